"""A file of JSON lines in the vault that only grows: what a person decided, line by line.

A line is on the disk when it is confirmed; half a line that a crash left never counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import VaultError

Line = TypeVar("Line", bound=BaseModel)


def append_line(path: Path, line: bytes) -> None:
    """Append a line; it is on the disk when this returns.

    Half a line that a crash left at the end goes first: it was never confirmed to anybody.

    Raises: VaultError where the vault is missing or cannot be written.
    """
    is_new = not path.exists()
    with _vault_errors(path), _locked(path) as file:
        _cut_torn_line(file)
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
        if is_new:
            _sync_directory(path.parent)


def read_lines(path: Path) -> tuple[list[bytes], bytes]:
    """Return the whole lines, and what stands after the last of them.

    Raises: VaultError where the file cannot be read.
    """
    with _vault_errors(path):
        if not path.exists():
            return [], b""
        *lines, torn = path.read_bytes().split(b"\n")
    return lines, torn


def parse_line(model: type[Line], path: Path, line: bytes, number: int) -> Line:
    """Return a line of the file as a model; lines are numbered from 1.

    Raises: VaultError where it does not fit; what stands in it is not told.
    """
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        # Not chained and without the value found: a note may name a person.
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "the whole line"
        message = f"{path.name}, line {number}, at {where}: {found['msg']}"
    raise VaultError(f"{message}. Next: restore the vault from a copy, or remove that line")


def torn_warning(path: Path, what: str) -> str | None:
    """Return what to tell a person where a crash left half a decision about a `what`, else None.

    Raises: VaultError where the file cannot be read.
    """
    lines, torn = read_lines(path)
    if not torn:
        return None
    return (
        f"{path.name}, line {len(lines) + 1}: a crash left half a decision, which does not "
        f"count. Next: decide about that {what} again"
    )


@contextmanager
def _vault_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VaultError(
            f"{path.name} in the vault cannot be read or written: {error.strerror}. "
            "Next: check that the vault is there, yours, and on a disk with space"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    # Through no link: whoever could plant one would have decisions written elsewhere.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "a+b") as file:
        # Two pages, or two runs, may decide at once; the lock dies with the descriptor.
        fcntl.flock(file, fcntl.LOCK_EX)
        os.fchmod(file.fileno(), 0o600)
        yield file


def _cut_torn_line(file: IO[bytes]) -> None:
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
