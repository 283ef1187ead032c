"""Pictures of one place: candidates by their codes, verified by registration.

Every step is a function of two signatures alone. Which other cells are in the corpus, in which
order, and in how many batches they came does not change what is found about a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..memory import give_back
from .alignment import align
from .candidates import MOST_TRIES, Candidates, find_candidates, least_rough_correlation
from .registration import MIN_OVERLAP, Match, is_same_place, register
from .rough import rough_correlation
from .signature import Signatures
from .thumbs import Pictures

SAME_VIEW_SHIFT = 0.1
"""Of a side: middles this close show one cell; farther apart, two cells of one field."""
_MIN_AGREEMENT = 0.6
_BLOCK = 4096

PAIR_COLUMNS = ("first", "second", *Match._fields)
"""Of `NearPairs`: what is known of each pair."""

Flat = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Verified pairs of rows, (m,) each, `first < second`; and how many were looked at.

    `correlation`, `detail`, `overlap` and `shift` are those of registration (`Match`).
    """

    first: Flat
    second: Flat
    correlation: NDArray[np.float32]
    detail: NDArray[np.float32]
    overlap: NDArray[np.float32]
    shift: NDArray[np.float32]
    candidates: int
    registered: int
    highest_rejected: float
    """The best of the pairs that were not taken, by the lesser of correlation and detail."""
    cut_off: int

    def __len__(self) -> int:
        return len(self.first)

    @property
    def is_copy(self) -> NDArray[np.bool_]:
        """Which pairs show one cell; the others show two cells of one field."""
        same: NDArray[np.bool_] = self.shift <= SAME_VIEW_SHIFT
        return same

    def where(self, chosen: NDArray[np.bool_], ends: Flat) -> NearPairs:
        """Return some of the pairs, renumbered: all pairs lie between `ends`, (m, 2)."""
        measured: dict[str, Any] = {name: getattr(self, name)[chosen] for name in Match._fields}
        return replace(self, first=ends[chosen, 0], second=ends[chosen, 1], **measured)


def joined_pairs(before: NearPairs, found: NearPairs) -> NearPairs:
    """Return pairs known before with those found now, in order; counts are those of now."""
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(before, name), getattr(found, name)]) for name in PAIR_COLUMNS
    }
    order = np.lexsort((whole["second"], whole["first"]))
    return replace(found, **{name: column[order] for name, column in whole.items()})


def near_pairs(
    signatures: Signatures,
    image_ids: Sequence[str] | pa.Array,
    *,
    known: int = 0,
    across: bool = False,
) -> NearPairs:
    """Return the pairs of cells that show one place of one smear.

    Pairs among the first `known` cells were found before and are left out; with `across`, pairs
    among the others as well.
    """
    candidates = find_candidates(signatures.codes, known=known)
    if across:
        candidates = candidates.where((candidates.first < known) & (candidates.second >= known))
    # The codes have done their part; whoever handed them over need not hold them either.
    signatures = signatures.without_codes()
    give_back()
    ids = image_ids if isinstance(image_ids, pa.Array) else pa.array(image_ids, pa.string())
    found: dict[tuple[int, int], Match] = {}
    registered, rejected = 0, -1.0
    for attempt in range(MOST_TRIES):
        rows = np.flatnonzero(candidates.tries == attempt)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            for pair, match in _compared(signatures, ids, candidates, block, found):
                registered += 1
                if is_same_place(match):
                    found[pair] = match
                elif match.overlap >= MIN_OVERLAP:
                    rejected = max(rejected, min(match.correlation, match.detail))
    pairs = sorted(found)
    measured = np.array([found[pair] for pair in pairs], np.float32).reshape(-1, len(Match._fields))
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    compared = int((candidates.tries == 0).sum())
    correlation, detail, overlap, shift = measured.T
    return NearPairs(
        first, second, correlation, detail, overlap, shift, compared, registered, rejected,
        candidates.cut_off,
    )  # fmt: skip


def _compared(
    signatures: Signatures,
    ids: pa.Array,
    candidates: Candidates,
    rows: Flat,
    found: Mapping[tuple[int, int], Match],
) -> Iterator[tuple[tuple[int, int], Match]]:
    """Yield the registration of each candidate that is not found yet and worth it."""
    new = [row for row in rows.tolist() if _pair(candidates, row) not in found]
    if not new:
        return
    pictures, warps, worth = _aligned(signatures, ids, candidates, np.array(new))
    for slot in np.flatnonzero(worth).tolist():
        match = register(pictures[0][slot], pictures[1][slot], warps[slot])
        yield _pair(candidates, new[slot]), match


def _pair(candidates: Candidates, row: int) -> tuple[int, int]:
    return int(candidates.first[row]), int(candidates.second[row])


def _aligned(
    signatures: Signatures, ids: pa.Array, candidates: Candidates, rows: Flat
) -> tuple[tuple[Pictures, Pictures], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the pictures of pairs, how they lie over each other, and which are worth more."""
    first, second = candidates.first[rows], candidates.second[rows]
    points = candidates.first_keypoint[rows], candidates.second_keypoint[rows]
    # A pair is registered in the order of its ids: rows change places when data is added.
    swap = np.asarray(pc.greater(ids.take(pa.array(first)), ids.take(pa.array(second))))
    one, other = np.where(swap, second, first), np.where(swap, first, second)
    one_point, other_point = np.where(swap, *points[::-1]), np.where(swap, *points)
    pictures = signatures.thumbs.take(one), signatures.thumbs.take(other)
    alignment = align(
        pictures[0], signatures.keypoints[one, one_point],
        pictures[1], signatures.keypoints[other, other_point],
    )  # fmt: skip
    agree = alignment.agreement >= _MIN_AGREEMENT
    agree[agree] = rough_correlation(
        pictures[0][agree], pictures[1][agree], alignment.warps[agree]
    ) >= least_rough_correlation(len(signatures))
    return pictures, alignment.warps, agree
