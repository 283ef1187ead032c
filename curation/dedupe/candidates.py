"""Which cells could be copies of each other: neighbours among their codes, found by faiss.

Few codes are all compared. Many go into an inverted file whose cells ship with the model and do not
depend on the corpus: a batch that is added later is searched in the same cells as everything at
once would be. What the inverted file misses is measured in docs/duplicates.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import cores
from ..memory import give_back
from .model import CODE_SIZE, code_model

_SCALES: tuple[tuple[int, float, float], ...] = (
    (20_000, 4.5, 0.8),
    (50_000, 4.0, 0.8),
    (100_000, 3.5, 0.8),
    (500_000, 3.0, 0.85),
)  # up to so many cells: gate, first look
_LAST_SCALE = 2.5, 0.9
MOST_CANDIDATES = 64
"""Nearest codes that one code is compared with; more are only met where cells are all alike."""
MOST_TRIES = 3
"""Pairs of keypoints by which two cells are compared."""
ALL_PAIRS_UP_TO = 6_000
"""Codes; from here on the inverted file."""
_PROBES = 32
_BLOCK = 16_384
_FLAT_BLOCK = 1_024
"""Of codes compared with all: should all be alike, their neighbours still fit the memory."""
_ADDED_BLOCK = 65_536
"""Codes that enter the index at once. A multiple of what faiss itself assigns at once: a code goes
to the same cell of the inverted file as it would with all."""
_RANGE_CELLS = 16_384
"""Cells whose pairs are sorted at once."""

Flat = NDArray[np.int64]
Rows = NDArray[np.integer]
Small = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of cells with the keypoints of each that look alike; (m,) each.

    A pair of cells stands there once for each of its nearest pairs of keypoints, nearest first.
    `first` and `second` are rows, `first < second`, int32 where they fit; keypoints int8; `tries`
    int8 counts the pairs of keypoints of one pair of cells from 0; `distances` float32; `cut_off`
    counts the codes that had more than `MOST_CANDIDATES` neighbours.
    """

    first: Rows
    first_keypoint: Small
    second: Rows
    second_keypoint: Small
    tries: Small
    distances: NDArray[np.float32]
    cut_off: int

    def __len__(self) -> int:
        return len(self.first)

    def where(self, chosen: NDArray[np.bool_]) -> Candidates:
        """Return some of the pairs; all tries of a pair of cells or none must be chosen."""
        return Candidates(
            self.first[chosen], self.first_keypoint[chosen], self.second[chosen],
            self.second_keypoint[chosen], self.tries[chosen], self.distances[chosen], self.cut_off,
        )  # fmt: skip


def gate_distance(cells: int) -> float:
    """Return how far apart codes may be among so many cells.

    It is a root mean square over the dimensions, in which copies of one cell differ by about 1.
    A wide gate finds more of what was cropped much; different cells that pass it by chance grow
    with the square of the number of cells, so that a large corpus has a narrower one.
    """
    return _scale(cells)[0]


def least_rough_correlation(cells: int) -> float:
    """Return how well a candidate must agree at first look to be registered, among so many cells.

    In [-1, 1]; copies that were cropped most have 0.85 and more, on tight pictures 0.75.
    """
    return _scale(cells)[1]


def _scale(cells: int) -> tuple[float, float]:
    return next(((gate, look) for limit, gate, look in _SCALES if cells <= limit), _LAST_SCALE)


def find_candidates(
    codes: NDArray[np.float16], *, known: int = 0, gate: float | None = None
) -> Candidates:
    """Return pairs of cells whose codes (n, 3, 24) are within the gate.

    The first `known` cells were compared before: pairs among them are left out.
    """
    count, per_cell = codes.shape[:2]
    flat = codes.reshape(-1, CODE_SIZE)
    there = _small(np.flatnonzero(~np.isnan(flat[:, 0])))
    asked = there[there >= known * per_cell]
    if len(asked) == 0 or count < 2:
        return _candidates([], count, per_cell, 0)
    are_few = len(there) <= ALL_PAIRS_UP_TO
    index = _index(flat, there)
    # Threads that share so little work spend as long on waiting for each other.
    _use_cores(1 if are_few else cores())
    step = _FLAT_BLOCK if are_few else _BLOCK
    radius = np.float32((gate_distance(count) if gate is None else gate) ** 2 * CODE_SIZE)
    parts, cut_off = [], 0
    for start in range(0, len(asked), step):
        block = asked[start : start + step]
        row, found, squared = _neighbours(index, flat[block].astype(np.float32), radius, len(there))
        cut_off += int((np.bincount(row) > MOST_CANDIDATES).sum())
        parts.append(_met(block[row], there[found], squared, per_cell))
    # The index is as large as the codes, and what was met as large again.
    del index
    give_back()
    return _candidates(parts, count, per_cell, cut_off)


def _neighbours(
    index: Any, codes: NDArray[np.float32], radius: np.float32, count: int
) -> tuple[Flat, Flat, NDArray[np.float32]]:
    """Return the nearest of `count` codes within a radius, each code itself among them.

    Rows of the codes asked about, numbers of those found, squared distances.
    """
    most = min(MOST_CANDIDATES + 1, count)
    if count > ALL_PAIRS_UP_TO:
        squared, found = index.search(codes, most)
        near = (found >= 0) & (squared <= radius)
        return np.nonzero(near)[0], found[near], squared[near]
    # Of few codes, most are far from each other: to sort out the nearest takes longest.
    ends, squared, found = index.range_search(codes, np.nextafter(radius, np.float32(np.inf)))
    sizes = np.diff(ends.astype(np.int64))
    row = np.repeat(np.arange(len(codes)), sizes)
    if sizes.max(initial=0) > most:
        order = np.lexsort((found, squared, row))
        rank = np.arange(len(order)) - np.repeat(ends[:-1].astype(np.int64), sizes)
        order = order[rank < most]
        row, found, squared = row[order], found[order], squared[order]
    return row, found, squared


def _met(
    one: Rows, other: Rows, squared: NDArray[np.float32], per_cell: int
) -> tuple[Rows, Rows, NDArray[np.float32]]:
    """Return the pairs of keypoints of two cells, the earlier first, in the order of the first."""
    first, second = np.minimum(one, other), np.maximum(one, other)
    # Most of what a code finds is itself.
    apart = first // per_cell != second // per_cell
    first, second, squared = first[apart], second[apart], squared[apart]
    order = np.argsort(first, kind="stable")
    return first[order], second[order], squared[order]


def _small(rows: Flat) -> Rows:
    return rows.astype(np.int32) if rows.max(initial=0) < 2**31 else rows


def _use_cores(number: int) -> None:
    import faiss

    faiss.omp_set_num_threads(number)


def _index(flat: NDArray[np.float16], there: Rows) -> Any:
    """Return an index over some of the codes (n, 24), numbered by their place in `there`."""
    import faiss

    if len(there) <= ALL_PAIRS_UP_TO:
        index: Any = faiss.IndexFlatL2(CODE_SIZE)
    else:
        centroids = code_model().centroids
        quantizer = faiss.IndexFlatL2(CODE_SIZE)
        quantizer.add(centroids)
        index = faiss.IndexIVFFlat(quantizer, CODE_SIZE, len(centroids))
        index.nprobe = min(_PROBES, len(centroids))
    for start in range(0, len(there), _ADDED_BLOCK):
        index.add(flat[there[start : start + _ADDED_BLOCK]].astype(np.float32))
    return index


_Part = tuple[Rows, Rows, NDArray[np.float32]]


def _candidates(parts: list[_Part], count: int, per_cell: int, cut_off: int) -> Candidates:
    """Return the candidates among the pairs that were met, in parts that `_met` made.

    The parts are used up. A range of cells at a time: to sort takes several times what is sorted.
    """
    stops = range(_RANGE_CELLS, max(count, 1) + _RANGE_CELLS, _RANGE_CELLS)
    ranges = [
        _sorted(_between(parts, (stop - _RANGE_CELLS) * per_cell, stop * per_cell), count, per_cell)
        for stop in stops
    ]
    parts.clear()
    give_back()
    first, first_keypoint, second, second_keypoint, tries, distances = (
        np.concatenate(column) for column in zip(*ranges, strict=True)
    )
    return Candidates(first, first_keypoint, second, second_keypoint, tries, distances, cut_off)


def _between(parts: list[_Part], start: int, stop: int) -> _Part:
    """Return the pairs whose first keypoint lies in a range, in the order in which they came."""
    some: list[_Part] = [(_NO_ROWS, _NO_ROWS, np.empty(0, np.float32))]
    for first, second, squared in parts:
        here = slice(*np.searchsorted(first, [start, stop]).tolist())
        some.append((first[here], second[here], squared[here]))
    first, second, squared = (np.concatenate(column) for column in zip(*some, strict=True))
    return first, second, squared


_NO_ROWS: Rows = np.empty(0, np.int32)
_Columns = tuple[Rows, Small, Rows, Small, Small, NDArray[np.float32]]


def _sorted(part: _Part, count: int, per_cell: int) -> _Columns:
    """Return the columns of `Candidates` of some of the pairs that were met."""
    first, second, squared = part[0].astype(np.int64), part[1].astype(np.int64), part[2]
    # Each pair of keypoints once: it may have been found from both sides.
    _, once = np.unique(first * (count * per_cell) + second, return_index=True)
    first, second, squared = first[once], second[once], squared[once]
    pair = first // per_cell * count + second // per_cell
    # Ties by keypoint, so that the order of the search does not matter.
    order = np.lexsort((second, first, squared, pair))
    starts = np.flatnonzero(np.r_[True, np.diff(pair[order]) != 0]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    chosen, rank = order[rank < MOST_TRIES], rank[rank < MOST_TRIES]
    first, second = first[chosen], second[chosen]
    return (
        _small(first // per_cell), (first % per_cell).astype(np.int8),
        _small(second // per_cell), (second % per_cell).astype(np.int8), rank.astype(np.int8),
        np.sqrt(np.maximum(squared[chosen], 0) / CODE_SIZE).astype(np.float32),
    )  # fmt: skip
