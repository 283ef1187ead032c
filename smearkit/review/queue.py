"""What there is to review: each quarantined image once, in order, and the conflicts beside them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from curation.deidentify.quarantine_entry import ConflictEntry, QuarantineEntry, read_entries


@dataclass(frozen=True, slots=True)
class Queue:
    """The images to decide about by id, the source names of each (private), and the conflicts."""

    images: dict[str, QuarantineEntry]
    names: dict[str, tuple[str, ...]]
    conflicts: tuple[ConflictEntry, ...]

    def number(self, image_id: str) -> int:
        """Return the place of an image in the queue, from 1."""
        return list(self.images).index(image_id) + 1

    def neighbours(self, image_id: str) -> tuple[str | None, str | None]:
        """Return the ids before and after an image, None at either end."""
        return neighbours_in(list(self.images), image_id)

    def next_undecided(self, decided: Container[str], after: str | None = None) -> str | None:
        """Return the first undecided id behind `after`, else the first of all, else None."""
        return after_in(list(self.images), decided, after)

    def latest(self, decided: Iterable[str]) -> str | None:
        """Return the id in this queue that was decided last, of ids in the order of decision."""
        return latest_in(self.images, decided)


def neighbours_in(ids: list[str], image_id: str) -> tuple[str | None, str | None]:
    """Return the ids before and after one of them, None at either end."""
    place = ids.index(image_id)
    before = ids[place - 1] if place > 0 else None
    return before, ids[place + 1] if place + 1 < len(ids) else None


def after_in(ids: list[str], decided: Container[str], after: str | None) -> str | None:
    """Return the first undecided id behind `after`, else the first of all, else None."""
    start = ids.index(after) + 1 if after is not None else 0
    return next((i for i in ids[start:] + ids[:start] if i not in decided), None)


def latest_in(images: Container[str], decided: Iterable[str]) -> str | None:
    """Return the id among images that was decided last, of ids in the order of decision."""
    return next((i for i in reversed(list(decided)) if i in images), None)


def open_queue(quarantine: Path) -> Queue:
    """Read a quarantine; files of equal bytes have one id, so they are one decision.

    Raises: SmearkitError where the folder is no quarantine or one of its lines does not fit.
    """
    images: dict[str, QuarantineEntry] = {}
    names: dict[str, tuple[str, ...]] = {}
    conflicts: list[ConflictEntry] = []
    for entry in read_entries(quarantine):
        if isinstance(entry, ConflictEntry):
            conflicts.append(entry)
        else:
            images.setdefault(entry.id, entry)
            names[entry.id] = (*names.get(entry.id, ()), entry.name)
    return Queue(images, names, tuple(conflicts))
