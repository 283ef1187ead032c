"""The Hub as a server on loopback, in a thread of this process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from .accounts import Account
from .core import HubCore, HubError
from .faults import Fault
from .read_routes import add_content_routes, add_listing_routes
from .repository_routes import add_account_routes, add_pull_routes, add_repository_routes
from .upload_routes import add_commit_route, add_upload_routes

TOKEN, READ_TOKEN, STRANGER = "hf_writes", "hf_reads", "hf_stranger"


class LoopbackHub(HubCore):
    """A Hub that the unmodified clients accept; `address` is what HF_ENDPOINT has to be.

    Tokens: TOKEN writes to `lab` and `hemo`, READ_TOKEN only reads there, STRANGER is of neither.
    """

    def __init__(self, root: Path, multipart_bytes: int = 8 * 2**20, xet: bool = True) -> None:
        super().__init__(root, multipart_bytes, xet)
        self.accounts.add(TOKEN, Account("lab"))
        self.accounts.add(READ_TOKEN, Account("reader", role="read"))
        self.accounts.add(STRANGER, Account("stranger", organisations=()))

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.base

    def application(self) -> _Faulty:
        """Return the ASGI application."""
        app = FastAPI(openapi_url=None)
        app.add_exception_handler(HubError, _answer)
        for add in (
            add_account_routes, add_pull_routes, add_upload_routes, add_commit_route,
            add_listing_routes, add_repository_routes, add_content_routes,
        ):  # fmt: skip
            add(app, self)
        return _Faulty(app, self)

    def plant(self, kind: Any, path: str = "", **what: Any) -> Fault:
        """Plant a fault: see `Fault`."""
        return self.faults.plant(Fault(kind, path, **what))

    @contextmanager
    def running(self, port: int = 0) -> Iterator[LoopbackHub]:
        """Serve while the block runs."""
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen(128)
            self.base = f"http://127.0.0.1:{listening.getsockname()[1]}"
            config = uvicorn.Config(
                self.application(), http="h11", log_level="critical", lifespan="off",
                timeout_graceful_shutdown=1,
            )  # fmt: skip
            server = uvicorn.Server(config)
            thread = threading.Thread(
                target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
            )
            thread.start()
            while not server.started:
                time.sleep(0.01)
            try:
                yield self
            finally:
                server.should_exit = True
                thread.join(timeout=10)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HubError), "registered for nothing else"
    return error.response()


class _Faulty:
    """Notes each request, and lets the planted fault fall on it."""

    def __init__(self, app: Any, hub: LoopbackHub) -> None:
        self._app, self._hub = app, hub

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path = scope["method"], scope["raw_path"].decode()
        fault = self._hub.faults.striking(method, path)
        self._hub.log.append(f"{method} {path}")
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "status":
            answer = HubError(fault.status, "", fault.message).response(fault.headers)
            await answer(scope, receive, send)
        elif fault.kind == "drop":
            _hang_up(send)
        else:
            await self._around(fault, scope, receive, send)

    async def _around(self, fault: Fault, scope: Any, receive: Any, send: Any) -> None:
        # In a thread, so that what is called may itself ask this Hub.
        call = fault.call or (lambda: None)
        if fault.kind == "call":
            await asyncio.to_thread(call)
            await self._app(scope, receive, send)
            return
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)

        await self._app(scope, receive, keep)
        if fault.kind == "drop_after":
            _hang_up(send)
            return
        await asyncio.to_thread(call)
        for message in kept:
            await send(message)


def _hang_up(send: Any) -> None:
    # uvicorn's own: what it sends by is a method of the cycle that holds the connection.
    send.__self__.transport.abort()


def client_environment(hub: HubCore, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    """Return the environment of a process whose Hub clients shall see this Hub only."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    kept.pop("HUGGING_FACE_HUB_TOKEN", None)
    found = {
        **kept, "HF_ENDPOINT": hub.base, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    return found if token is None else {**found, "HF_TOKEN": token}
