"""The desk of the label review: one validation folder, the vault, and what may be decided."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from curation.deidentify.label_decisions import (
    LabelAction,
    LabelDecision,
    read_label_decisions,
    record_label_decision,
    torn_label_line,
)
from curation.errors import VaultError
from curation.validate.label_queue import (
    EXAMPLES,
    N_EXAMPLES,
    PICTURES,
    DoubtfulLabel,
    read_label_queue,
)

from .desk import UndecidableError
from .queue import after_in, latest_in, neighbours_in


@dataclass(frozen=True, slots=True)
class LabelQueue:
    """The doubtful labels by image id, the worst first."""

    images: dict[str, DoubtfulLabel]

    def number(self, image_id: str) -> int:
        """Return the place of a cell in the queue, from 1."""
        return list(self.images).index(image_id) + 1

    def neighbours(self, image_id: str) -> tuple[str | None, str | None]:
        """Return the ids before and after a cell, None at either end."""
        return neighbours_in(list(self.images), image_id)

    def next_undecided(self, decided: Container[str], after: str | None = None) -> str | None:
        """Return the first undecided id behind `after`, else the first of all, else None."""
        return after_in(list(self.images), decided, after)


@dataclass(frozen=True, slots=True)
class LabelDesk:
    """Where the label review reads and writes; `by` is who decides."""

    folder: Path
    vault: Path
    queue: LabelQueue
    by: str | None = None

    def decisions(self) -> dict[str, LabelDecision]:
        """Return the decisions that hold about cells of this queue, the latest last.

        Raises: VaultError.
        """
        found = read_label_decisions(self.vault)
        return {key: found[key] for key in found if key in self.queue.images}

    def picture(self, image_id: str) -> bytes:
        """Return the encoded picture of a cell.

        Raises: UndecidableError where it is not in the folder.
        """
        return self._read(self.folder / PICTURES / self.queue.images[image_id].picture)

    def examples(self, label: str) -> tuple[int, ...]:
        """Return the numbers of the typical cells of a label that there are pictures of."""
        place = self.folder / EXAMPLES
        return tuple(n for n in range(N_EXAMPLES) if (place / f"{label}-{n}.png").is_file())

    def example(self, label: str, number: int) -> bytes:
        """Return the picture of a typical cell as PNG.

        Raises: UndecidableError where it is not in the folder.
        """
        return self._read(self.folder / EXAMPLES / f"{label}-{number}.png")

    def decide(self, image_id: str, label: str | None, note: str | None) -> None:
        """Record the label of a cell, None to drop it.

        Raises: UndecidableError where it cannot be shown or does not fit; VaultError.
        """
        entry = self.queue.images[image_id]
        if label is None:
            action: LabelAction = "drop"
        else:
            self.picture(image_id)  # nobody names what cannot be seen
            action = "keep" if label == entry.given.label else "relabel"
        record_label_decision(self.vault, self._decision(entry, action, label, note))

    def undo(self, image_id: str) -> str:
        """Take back the decision about this cell, else the latest one; return whose it was.

        Raises: UndecidableError where nothing is decided; VaultError.
        """
        decided = self.decisions()
        whose = image_id if image_id in decided else latest_in(self.queue.images, decided)
        if whose is None:
            raise UndecidableError("Nothing is decided yet, so nothing can be taken back.")
        entry = self.queue.images[whose]
        record_label_decision(self.vault, self._decision(entry, "undecided", None, None))
        return whose

    def warning(self) -> str | None:
        """Return what a crash left in the vault, for a person to know."""
        return torn_label_line(self.vault)

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError:
            raise UndecidableError(
                "Its picture is not in the folder, so nobody can tell what it shows. It can only "
                "be dropped; or run validate again."
            ) from None

    def _decision(
        self, entry: DoubtfulLabel, action: LabelAction, label: str | None, note: str | None
    ) -> LabelDecision:
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            return LabelDecision(
                image_id=entry.image_id, action=action, given=entry.given.label, label=label,
                at=now, by=self.by, note=note or None,
            )  # fmt: skip
        except ValidationError as error:
            # Without the value: a note may name a person.
            raise UndecidableError(error.errors(include_input=False)[0]["msg"]) from None


def open_label_desk(folder: Path, vault: Path, by: str | None = None) -> LabelDesk:
    """Open a validation folder beside the vault that its decisions go to.

    Raises: SmearkitError where it is no validation, VaultError where there is no vault.
    """
    if not vault.is_dir():
        raise VaultError(
            f"{vault} is no vault. Next: give with --vault the one that `smearkit curate` used "
            "(default OUT-vault)"
        )
    read_label_decisions(vault)  # a damaged file is told now, not at the first decision
    queue = {entry.image_id: entry for entry in read_label_queue(folder)}
    return LabelDesk(folder, vault, LabelQueue(queue), by)
