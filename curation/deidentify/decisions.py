"""What a person decided about quarantined images: `decisions.jsonl` in the vault.

The file only grows: a decision is one line, a later line on the same image takes its place, and
taking a decision back is a line too. So the file tells who decided what, and when.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, field_validator, model_validator

from ..errors import VaultError
from ..manifest import Frozen
from .quarantine_entry import ENTRY_ID, Box

DECISIONS_NAME = "decisions.jsonl"
Action = Literal["accept", "redact", "drop", "undecided"]


class Decision(Frozen):
    """What is to become of one quarantined image; `undecided` takes an earlier decision back."""

    id: str = Field(pattern=ENTRY_ID)
    action: Action
    boxes: tuple[Box, ...] = Field(default=(), description="what to blank, where redacted")
    at: AwareDatetime
    by: str | None = Field(default=None, max_length=80, description="name or initials")
    note: str | None = Field(default=None, max_length=2000)

    @field_validator("at")
    @classmethod
    def _to_utc(cls, at: datetime) -> datetime:
        return at.astimezone(UTC)

    @model_validator(mode="after")
    def _boxes_fit(self) -> Self:
        if (self.action == "redact") != bool(self.boxes):
            raise ValueError("a redaction has at least one box, any other action has none")
        return self


def record_decision(vault_dir: Path, decision: Decision) -> None:
    """Append a decision to the vault; it is on the disk when this returns.

    Half a line that a crash left at the end goes first: it was never confirmed to anybody.

    Raises: VaultError where the vault is missing or cannot be written.
    """
    path = vault_dir / DECISIONS_NAME
    is_new = not path.exists()
    with _vault_errors(path), _locked(path) as file:
        _cut_torn_line(file)
        file.write(decision.model_dump_json(exclude_none=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
        if is_new:
            _sync_directory(vault_dir)


def read_decisions(vault_dir: Path) -> dict[str, Decision]:
    """Return image id -> the decision that holds, the latest last; none for what was taken back.

    A vault without decisions has none; half a last line is passed over (see `torn_line`).

    Raises: VaultError where a whole line is damaged, or the file cannot be read.
    """
    found: dict[str, Decision] = {}
    for number, line in enumerate(_lines(vault_dir)[0], start=1):
        decision = _parse_decision(line, number)
        found.pop(decision.id, None)  # so that the order is that of the last decisions
        if decision.action != "undecided":
            found[decision.id] = decision
    return found


def torn_line(vault_dir: Path) -> str | None:
    """Return what to tell a person where a crash left half a decision, else None.

    Raises: VaultError where the file cannot be read.
    """
    lines, torn = _lines(vault_dir)
    if not torn:
        return None
    return (
        f"{DECISIONS_NAME}, line {len(lines) + 1}: a crash left half a decision, which does not "
        "count. Next: decide about that image again"
    )


def _lines(vault_dir: Path) -> tuple[list[bytes], bytes]:
    """Return the whole lines, and what stands after the last of them."""
    path = vault_dir / DECISIONS_NAME
    with _vault_errors(path):
        if not path.exists():
            return [], b""
        *lines, torn = path.read_bytes().split(b"\n")
    return lines, torn


def _parse_decision(line: bytes, number: int) -> Decision:
    try:
        return Decision.model_validate_json(line)
    except ValidationError as error:
        # Not chained and without the value found: a note may name a person.
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "the whole line"
        message = f"{DECISIONS_NAME}, line {number}, at {where}: {found['msg']}"
    raise VaultError(f"{message}. Next: restore the vault from a copy, or remove that line")


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
