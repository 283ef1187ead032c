"""What becomes of cells that are there more than once: the best copy stays, or none does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

EXACT, TURNED, NEAR = "duplicate", "turned_duplicate", "near_duplicate"
Flat = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Copies of one cell whose labels or subjects disagree; all are dropped."""

    image_id: str
    kind: str
    labels: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found: groups of rows that show one cell, and per row a drop reason ("" = kept).

    `kept_row` is, per row, the row that stays for it; -1 where it stays itself or none does.
    """

    n_groups: int
    reasons: NDArray[np.object_]
    conflicts: tuple[Conflict, ...]
    kept_row: Flat = field(default_factory=lambda: np.empty(0, np.int64))


def find_duplicates(
    image_ids: Sequence[str],
    labels: Sequence[str],
    subjects: Sequence[str | None],
    *,
    turned_ids: Sequence[str] | None = None,
    groups: Flat | None = None,
    quality: Sequence[tuple[int, ...]] | None = None,
    absent: Sequence[bool] | None = None,
) -> Duplicates:
    """Keep the best of each group of copies, and drop groups that disagree.

    Nothing is chosen silently: where two copies carry different labels, or belong to two known
    subjects, no copy is kept and the group is returned as a conflict. Of the others, one with a
    known subject is kept before one without, then the highest `quality`, then the first row.

    `groups` numbers, per row, what shows one cell; without it, images with one id are a group.
    `absent` tells whose image is not there any more: another copy stays, if there is one.
    """
    names = np.asarray(image_ids, dtype=np.str_)
    numbers = np.unique(names, return_inverse=True)[1] if groups is None else groups
    reasons = np.full(len(names), "", dtype=object)
    kept_row = np.full(len(names), -1, np.int64)
    conflicts: list[Conflict] = []
    n_groups = 0
    for rows in _several(numbers):
        n_groups += 1
        kind = _disagreement(rows, labels, subjects)
        if kind is not None:
            reasons[rows] = f"{kind}_conflict"
            found = tuple(sorted({labels[row] for row in rows}))
            conflicts.append(Conflict(str(names[rows[0]]), kind, found, tuple(rows)))
            continue
        there = [row for row in rows if absent is None or not absent[row]]
        kept = min(there or rows, key=lambda row: _rank(row, subjects, quality))
        for row in rows:
            if row != kept:
                reasons[row] = _how_alike(row, kept, image_ids, turned_ids)
                kept_row[row] = kept
    return Duplicates(n_groups, reasons, tuple(conflicts), kept_row)


def _several(numbers: Flat) -> Iterator[list[int]]:
    """Yield the rows of each group of two or more, in the order of their numbers."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else ranked
    sizes = np.diff(np.r_[starts, len(ranked)])
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        yield order[start : start + size].tolist()


def _rank(
    row: int, subjects: Sequence[str | None], quality: Sequence[tuple[int, ...]] | None
) -> tuple[object, ...]:
    best = tuple(-value for value in quality[row]) if quality is not None else ()
    return (subjects[row] is None, best, row)


def _how_alike(
    row: int, kept: int, image_ids: Sequence[str], turned_ids: Sequence[str] | None
) -> str:
    if image_ids[row] == image_ids[kept]:
        return EXACT
    if turned_ids is not None and turned_ids[row] == turned_ids[kept]:
        return TURNED
    return NEAR


def _disagreement(
    rows: list[int], labels: Sequence[str], subjects: Sequence[str | None]
) -> str | None:
    if len({labels[row] for row in rows}) > 1:
        return "label"
    if len({subjects[row] for row in rows} - {None}) > 1:
        return "subject"
    return None
