"""Serving the review on this machine alone, until the reviewer stops it."""

from __future__ import annotations

import os
import socket
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from curation.deidentify.vault import default_vault
from curation.errors import SmearkitError, VaultError
from curation.validate.label_queue import LABEL_QUEUE_NAME

from ..console import say
from ..validation import read_validation
from .app import review_app
from .desk import Desk
from .label_app import label_app
from .label_desk import LabelDesk
from .local_app import LOOPBACK

_DOOR = '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={url}">\n'


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a review came: images with a decision, and images in all."""

    decided: int
    total: int


def serve(
    quarantine: Path,
    vault: Path,
    port: int = 0,
    open_browser: bool = True,
    host: str = "127.0.0.1",
    *,
    by: str | None = None,
) -> Outcome:
    """Serve the review until Ctrl-C; its address goes to stdout. Port 0 takes any free one.

    Raises: SmearkitError where the host is not this machine, the port is taken, or the quarantine
    or the vault cannot be read.
    """
    make = label_app if is_validation(quarantine) else review_app
    app = make(quarantine, vault, by=by)
    desk: Desk | LabelDesk = app.state.desk
    with closing(_listen(host, port)) as listener:
        url = f"http://{_authority(listener)}/{app.state.token}/"
        print(url, flush=True)
        say("Only this address opens the review. Ctrl-C ends it; every decision is kept at once.")
        if warning := desk.warning():
            say(f"warning: {warning}")
        if open_browser:
            with _door(vault, url) as door:
                webbrowser.open(door.as_uri())
                _run(app, listener)
        else:
            _run(app, listener)
    return Outcome(len(desk.decisions()), len(desk.queue.images))


def is_validation(folder: Path) -> bool:
    """Return whether a folder was made by `validate`, and not by `curate`."""
    return (folder / LABEL_QUEUE_NAME).is_file()


def vault_beside(quarantine: Path) -> Path:
    """Return the vault of a quarantine, beside it, or of a validation, which names its own.

    Raises: SmearkitError where the report of a validation cannot be read.
    """
    if is_validation(quarantine):
        return Path(read_validation(quarantine).vault)
    place = quarantine.resolve()
    return default_vault(place.with_name(place.name.removesuffix("-quarantine")))


def _listen(host: str, port: int) -> socket.socket:
    if host not in LOOPBACK:
        raise SmearkitError(
            f"{host} is not an address of this machine alone; expected 127.0.0.1, ::1 or "
            "localhost. Next: leave the host out"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise SmearkitError(
            f"port {port} cannot be used: {error}. Next: leave the port out, which takes a free one"
        ) from error
    # From here a browser waits for its answer, however long the server takes to start.
    listener.listen()
    return listener


def _authority(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def _door(vault: Path, url: str) -> Iterator[Path]:
    """Yield a private file that leads to the address: a command line is seen by every user."""
    # Not in a hidden or temporary folder: confined browsers cannot open a file there.
    try:
        handle, name = tempfile.mkstemp(prefix="review-", suffix=".html", dir=vault.resolve())
    except OSError as error:
        raise VaultError(
            f"the vault cannot be written: {error.strerror}, so no decision could be recorded. "
            "Next: make it writable for you"
        ) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_DOOR.format(url=escape(url)))
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _run(app: FastAPI, listener: socket.socket) -> None:
    # No access log, for addresses hold the secret; no websockets, for nothing here speaks them.
    config = uvicorn.Config(
        app, access_log=False, log_level="error", server_header=False, ws="none", lifespan="off"
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # the way a review ends
