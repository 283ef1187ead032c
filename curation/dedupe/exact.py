"""Exact duplicates: images of one shape and mode whose pixels are all equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Conflict:
    """Copies of one image whose labels or subjects disagree; both sides are dropped."""

    image_id: str
    kind: str
    labels: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found: groups of rows with one image, and per row a drop reason ("" = kept)."""

    n_groups: int
    reasons: NDArray[np.object_]
    conflicts: tuple[Conflict, ...]


def find_duplicates(
    image_ids: Sequence[str], labels: Sequence[str], subjects: Sequence[str | None]
) -> Duplicates:
    """Group rows by image, keep the first of each group, and drop groups that disagree.

    Nothing is chosen silently: where two copies carry different labels, or belong to two known
    subjects, no copy is kept and the group is returned as a conflict. A copy with a known subject
    is kept before one without.
    """
    reasons = np.full(len(image_ids), "", dtype=object)
    order = np.argsort(np.asarray(image_ids, dtype=np.str_), kind="stable")
    ids = np.asarray(image_ids, dtype=np.str_)[order]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.empty(0, int)
    sizes = np.diff(np.r_[starts, len(ids)])
    conflicts: list[Conflict] = []
    for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
        rows = [int(row) for row in order[start : start + size]]
        kind = _disagreement(rows, labels, subjects)
        if kind is None:
            kept = next((row for row in rows if subjects[row] is not None), rows[0])
            for row in rows:
                reasons[row] = "" if row == kept else "duplicate"
            continue
        for row in rows:
            reasons[row] = f"{kind}_conflict"
        found = tuple(sorted({labels[row] for row in rows}))
        conflicts.append(Conflict(image_ids[rows[0]], kind, found, tuple(rows)))
    return Duplicates(int((sizes > 1).sum()), reasons, tuple(conflicts))


def _disagreement(
    rows: list[int], labels: Sequence[str], subjects: Sequence[str | None]
) -> str | None:
    if len({labels[row] for row in rows}) > 1:
        return "label"
    if len({subjects[row] for row in rows} - {None}) > 1:
        return "subject"
    return None
