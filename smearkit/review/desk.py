"""The desk: one quarantine, the vault that remembers, and what may be decided about an image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from curation.deidentify.decisions import (
    Action,
    Decision,
    read_decisions,
    record_decision,
    torn_line,
)
from curation.deidentify.quarantine_entry import DROP_ONLY, Box, QuarantineEntry
from curation.errors import ImageError, SmearkitError, VaultError

from .pictures import load_picture
from .queue import Queue, open_queue


class UndecidableError(SmearkitError):
    """A decision does not fit its image; nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be seen of an image: its size in px, or why there is nothing to see."""

    width: int = 0
    height: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the review reads and writes; `by` is who decides."""

    quarantine: Path
    vault: Path
    queue: Queue
    by: str | None = None

    def decisions(self) -> dict[str, Decision]:
        """Return the decisions that hold about images of this quarantine, the latest last.

        Raises: VaultError.
        """
        found = read_decisions(self.vault)
        return {key: found[key] for key in found if key in self.queue.images}

    def look(self, entry: QuarantineEntry) -> Look:
        """Return the size of an image, or why it cannot be shown."""
        try:
            pixels = load_picture(self.quarantine, entry)
        except ImageError as error:
            return Look(problem=error.detail)
        return Look(pixels.shape[1], pixels.shape[0])

    def decide(
        self, image_id: str, action: Action, boxes: tuple[Box, ...], note: str | None
    ) -> None:
        """Record a decision about one image of this quarantine.

        Raises: UndecidableError where it does not fit the image; VaultError.
        """
        entry = self.queue.images[image_id]
        look = self.look(entry)
        refused = why_drop_only(entry, look)
        if refused and action in ("accept", "redact"):
            raise UndecidableError(refused)
        inside = _clipped(boxes, look) if action == "redact" else ()
        record_decision(self.vault, self._decision(image_id, action, inside, note))

    def undo(self, image_id: str) -> str:
        """Take back the decision about this image, else the latest one; return whose it was.

        Raises: UndecidableError where nothing is decided; VaultError.
        """
        decided = self.decisions()
        whose = image_id if image_id in decided else self.queue.latest(decided)
        if whose is None:
            raise UndecidableError("Nothing is decided yet, so nothing can be taken back.")
        record_decision(self.vault, self._decision(whose, "undecided", (), None))
        return whose

    def warning(self) -> str | None:
        """Return what a crash left in the vault, for a person to know."""
        return torn_line(self.vault)

    def _decision(
        self, image_id: str, action: Action, boxes: tuple[Box, ...], note: str | None
    ) -> Decision:
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            return Decision(
                id=image_id, action=action, boxes=boxes, at=now, by=self.by, note=note or None
            )
        except ValidationError as error:
            # Without the value: a note may name a person.
            raise UndecidableError(error.errors(include_input=False)[0]["msg"]) from None


def open_desk(quarantine: Path, vault: Path, by: str | None = None) -> Desk:
    """Open a quarantine beside the vault that its decisions go to.

    Raises: SmearkitError where it is no quarantine, VaultError where there is no vault.
    """
    if not vault.is_dir():
        raise VaultError(
            f"{vault} is no vault. Next: give with --vault the one that `smearkit curate` used "
            "(default OUT-vault)"
        )
    read_decisions(vault)  # a damaged file is told now, not at the first decision
    return Desk(quarantine, vault, open_queue(quarantine), by)


def why_drop_only(entry: QuarantineEntry, look: Look) -> str | None:
    """Return why an image can only be dropped, else None."""
    if look.problem is not None:
        return "It cannot be shown, so nobody can tell what it holds. It can only be dropped."
    if entry.reason in DROP_ONLY:
        return (
            "What keeps it out is the file, not what it shows. Mend it in the export or change "
            "the limits, then run curate again; here it can only be dropped."
        )
    return None


def _clipped(boxes: tuple[Box, ...], look: Look) -> tuple[Box, ...]:
    inside = tuple(
        (left, top, min(right, look.width), min(bottom, look.height))
        for left, top, right, bottom in boxes
    )
    if not inside:
        raise UndecidableError("A redaction needs at least one box. Draw one over what has to go.")
    if any(left >= right or top >= bottom for left, top, right, bottom in inside):
        raise UndecidableError(f"A box lies outside the image of {look.width}x{look.height} px.")
    return inside
