"""What errors and logs call a source file: its position and a salted short id, never its name.

A file name often holds a patient's name or record number, and errors end in logs and in mails.
`curate --verbose-private` shows the names.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

_ID_HEX = 8


@dataclass(frozen=True, slots=True)
class Naming:
    """How files are named: by which salt, or by their names."""

    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    show: bool = False


_naming: ContextVar[Naming] = ContextVar("naming", default=Naming())  # noqa: B039 - frozen


@contextmanager
def naming(*, show: bool) -> Iterator[None]:
    """Name files by a new salt inside the block, or show their names."""
    with naming_as(Naming(show=show)):
        yield


@contextmanager
def naming_as(how: Naming) -> Iterator[None]:
    """Name files inside the block as another process does, that sent its `present_naming()`."""
    token = _naming.set(how)
    try:
        yield
    finally:
        _naming.reset(token)


def present_naming() -> Naming:
    """Return how files are named now."""
    return _naming.get()


def file_words(path: Path | str, position: int | None = None) -> str:
    """Return what an error calls a file: "file 12 (id 3f9a01bc)", or its name if names are shown.

    `position` counts from 0 in the order of the source.
    """
    how = _naming.get()
    if how.show:
        return str(path)
    digest = blake3(str(path).encode(errors="surrogatepass"), key=how.salt)
    number = "a file" if position is None else f"file {position}"
    return f"{number} (id {digest.hexdigest(length=_ID_HEX // 2)})"


def names_are_shown() -> bool:
    """Whether errors show the names of source files."""
    return _naming.get().show
