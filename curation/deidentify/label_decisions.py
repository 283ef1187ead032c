"""What a person decided about labels: `label_decisions.jsonl` in the vault.

Keyed by `image_id`, the hash of the released pixels, so a decision holds in every later run of
`curate` on the same image, whatever the image is called by then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from ..frozen import Frozen
from ..vocabulary import LABEL_IDS
from .ledger import append_line, parse_line, read_lines, torn_warning

LABEL_DECISIONS_NAME = "label_decisions.jsonl"
IMAGE_ID = r"^[0-9a-f]{32}$"
LabelAction = Literal["keep", "relabel", "drop", "undecided"]


class LabelDecision(Frozen):
    """The label of one cell as a person saw it; `undecided` takes an earlier decision back.

    `label` is the one that holds where kept or changed; `given` is what the cell was called then.
    """

    image_id: str = Field(pattern=IMAGE_ID)
    action: LabelAction
    given: str
    label: str | None = None
    at: AwareDatetime
    by: str | None = Field(default=None, max_length=80, description="name or initials")
    note: str | None = Field(default=None, max_length=2000)

    @field_validator("at")
    @classmethod
    def _to_utc(cls, at: datetime) -> datetime:
        return at.astimezone(UTC)

    @field_validator("given", "label")
    @classmethod
    def _is_known(cls, label: str | None) -> str | None:
        if label is not None and label not in LABEL_IDS:
            raise ValueError("a label must be in the vocabulary")
        return label

    @model_validator(mode="after")
    def _label_fits(self) -> Self:
        if (self.action in ("keep", "relabel")) != (self.label is not None):
            raise ValueError("a label that is kept or changed is named, any other is not")
        if self.action in ("keep", "relabel") and (self.action == "keep") != (
            self.label == self.given
        ):
            raise ValueError("a kept label is the given one, a changed label another")
        return self


def record_label_decision(vault_dir: Path, decision: LabelDecision) -> None:
    """Append a decision to the vault; it is on the disk when this returns.

    Raises: VaultError where the vault is missing or cannot be written.
    """
    line = decision.model_dump_json(exclude_none=True).encode()
    append_line(vault_dir / LABEL_DECISIONS_NAME, line)


def read_label_decisions(vault_dir: Path) -> dict[str, LabelDecision]:
    """Return image id -> the decision that holds, the latest last; none for what was taken back.

    Raises: VaultError where a whole line is damaged, or the file cannot be read.
    """
    found: dict[str, LabelDecision] = {}
    lines, _ = read_lines(vault_dir / LABEL_DECISIONS_NAME)
    for number, line in enumerate(lines, start=1):
        decision = parse_line(LabelDecision, vault_dir / LABEL_DECISIONS_NAME, line, number)
        found.pop(decision.image_id, None)  # so that the order is that of the last decisions
        if decision.action != "undecided":
            found[decision.image_id] = decision
    return found


def label_decisions(vault_dir: Path) -> dict[str, str | None]:
    """Return image id -> the label that a person gave it, None where the cell is to be dropped.

    Raises: VaultError where a whole line is damaged, or the file cannot be read.
    """
    return {key: one.label for key, one in read_label_decisions(vault_dir).items()}


def torn_label_line(vault_dir: Path) -> str | None:
    """Return what to tell a person where a crash left half a decision, else None.

    Raises: VaultError where the file cannot be read.
    """
    return torn_warning(vault_dir / LABEL_DECISIONS_NAME, "cell")
