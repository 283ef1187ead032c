"""What every review page is served as: one secret address, on this machine alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from curation.errors import SmearkitError

from .guard import Guard

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
TOKEN_BYTES = 32

ErrorPage = Callable[[Request, Exception], HTMLResponse]


def local_app(
    router: APIRouter, desk: object, token: str | None, show_error: ErrorPage,
    show_missing: ErrorPage,
) -> FastAPI:  # fmt: skip
    """Return an application over `app.state.desk`; everything lies under `/TOKEN/`.

    The token is `app.state.token`.
    """
    app = FastAPI(title="smearkit review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.state.token = token or secrets.token_urlsafe(TOKEN_BYTES)
    app.include_router(router)
    app.add_exception_handler(SmearkitError, show_error)
    app.add_exception_handler(404, show_missing)
    app.add_middleware(Guard, token=app.state.token)
    # Another site's name that leads to this machine (DNS rebinding) stands in the Host header.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False)
    return app


def base_of(request: Request) -> str:
    """Return the secret address that a request came to."""
    return f"/{request.app.state.token}"
