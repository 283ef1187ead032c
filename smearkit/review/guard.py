"""Who may see the page: only who holds the secret address, and only from the page itself.

The secret is a part of the path. A cookie would be sent to every port of this machine, so to what
another user serves on one; an address goes nowhere by itself. No other site knows it either, which
keeps forged forms out; their origin is checked nevertheless.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REFUSED = (
    "Refused: this address is not the one of the review that runs here.\n"
    "Next: open the whole address that `smearkit review` printed.\n"
)
# Nothing is kept by the browser, loaded from elsewhere, framed, or told to another page.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Lets through what comes under `/TOKEN`, without that part; refuses everything else."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        _, _, rest = scope["path"].partition("/")
        token, _, path = rest.partition("/")
        if secrets.compare_digest(token.encode(), self.token) and _is_own(scope):
            await self.app({**scope, "path": f"/{path}"}, receive, send_guarded)
        else:
            await PlainTextResponse(_REFUSED, 403)(scope, receive, send_guarded)


def _is_own(scope: Scope) -> bool:
    """Tell whether a request that changes something was sent by the page itself."""
    if scope["method"] in ("GET", "HEAD"):
        return True
    headers = Headers(scope=scope)
    own = f"http://{headers.get('host')}"
    site = headers.get("sec-fetch-site", "same-origin")
    return headers.get("origin", own) == own and site == "same-origin"
