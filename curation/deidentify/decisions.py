"""What a person decided about quarantined images: `decisions.jsonl` in the vault.

The file only grows: a decision is one line, a later line on the same image takes its place, and
taking a decision back is a line too. So the file tells who decided what, and when.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from ..manifest import Frozen
from .ledger import append_line, parse_line, read_lines, torn_warning
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
    line = decision.model_dump_json(exclude_none=True).encode()
    append_line(vault_dir / DECISIONS_NAME, line)


def read_decisions(vault_dir: Path) -> dict[str, Decision]:
    """Return image id -> the decision that holds, the latest last; none for what was taken back.

    A vault without decisions has none; half a last line is passed over (see `torn_line`).

    Raises: VaultError where a whole line is damaged, or the file cannot be read.
    """
    found: dict[str, Decision] = {}
    for number, line in enumerate(read_lines(vault_dir / DECISIONS_NAME)[0], start=1):
        decision = parse_line(Decision, vault_dir / DECISIONS_NAME, line, number)
        found.pop(decision.id, None)  # so that the order is that of the last decisions
        if decision.action != "undecided":
            found[decision.id] = decision
    return found


def torn_line(vault_dir: Path) -> str | None:
    """Return what to tell a person where a crash left half a decision, else None.

    Raises: VaultError where the file cannot be read.
    """
    return torn_warning(vault_dir / DECISIONS_NAME, "image")
