"""What an earlier version fixes: rows keep their split, and no new row may tie two splits together.

A new row that shares something with rows of two splits (the subject of one, the slide of another)
would leak wherever it goes, so it is cut out. What it alone had joined falls apart again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import SPLITS
from .errors import SourceError
from .split_groups import Codes, Edges, Groups, KeyColumn, key_codes

_FREE = -1


class SplitConflictError(SourceError):
    """What has to lie in one split lies in several already."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Groups that hold at most one fixed split, and the rows that had to be cut out for it."""

    groups: Groups
    links: NDArray[np.bool_]


def check_one_split(
    keys: Mapping[str, KeyColumn],
    fixed: NDArray[np.int64],
    *,
    edges: Edges | None = None,
    where: str = "the earlier version",
) -> None:
    """Refuse splits in which a subject, slide, field or duplicate pair lies in two of them.

    `keys` is name -> column; `fixed` is (n,) int64, an index into `SPLITS`, or -1 for no split.

    Raises: SplitConflictError, which counts what is divided and names none of it.
    """
    found = [
        f"{count} {name}{'s' if count > 1 else ''}"
        for name, count in ((name, _divided(key_codes(key), fixed)) for name, key in keys.items())
        if count
    ]
    if edges is not None and len(edges):
        a, b = fixed[edges[:, 0]], fixed[edges[:, 1]]
        pairs = int(((a >= 0) & (b >= 0) & (a != b)).sum())
        found += [f"{pairs} duplicate pair{'s' if pairs > 1 else ''}"] if pairs else []
    if found:
        raise SplitConflictError(
            f"in {where}, two or more splits share {' and '.join(found)}; expected each in one. "
            "Next: correct the splits given, or split anew without them (a new major version)"
        )


def _divided(codes: Codes, fixed: NDArray[np.int64]) -> int:
    """Return how many values of a column lie in several splits."""
    known = (codes >= 0) & (fixed >= 0)
    pairs = np.unique(codes[known] * len(SPLITS) + fixed[known])
    return int((np.bincount(pairs // len(SPLITS)) > 1).sum()) if len(pairs) else 0


def cut_links(
    groups: Groups,
    keys: Mapping[str, KeyColumn],
    fixed: NDArray[np.int64],
    *,
    edges: Edges | None = None,
) -> Cut:
    """Cut the new rows that tie two fixed splits together out of their groups.

    From the fixed rows each split spreads, one split and one step at a time, over what its rows
    share; a row that two splits reach is cut. `fixed` must be free of conflicts of its own.
    """
    torn = _torn_groups(groups, fixed)
    links = np.zeros(len(groups), np.bool_)
    if not torn.any():
        return Cut(groups, links)
    rows = np.flatnonzero(torn[groups])
    reach = _Reach.of(rows, len(groups), keys, edges)
    split = fixed[rows].copy()
    cut = np.zeros(len(rows), np.bool_)
    while _spread(reach, split, cut):
        pass
    links[rows] = cut
    # Torn groups fall into one part per split, one that no split reaches, and each cut row.
    parts = np.where(cut, len(SPLITS) + 1 + np.arange(len(rows)), split + 1)
    stride = len(SPLITS) + 1 + len(rows)
    whole = groups * 1
    whole[rows] = int(groups.max()) + 1 + groups[rows] * stride + parts
    return Cut(np.unique(whole, return_inverse=True)[1].astype(np.int64), links)


def _torn_groups(groups: Groups, fixed: NDArray[np.int64]) -> NDArray[np.bool_]:
    n_groups = int(groups.max(initial=-1)) + 1
    known = fixed >= 0
    seen = [
        np.bincount(groups[known & (fixed == split)], minlength=n_groups) > 0
        for split in range(len(SPLITS))
    ]
    return np.asarray(np.sum(seen, axis=0) > 1)


@dataclass(frozen=True, slots=True)
class _Reach:
    """What some rows share: codes per column, and pairs of them."""

    columns: tuple[Codes, ...]
    edges: Edges

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], count: int, keys: Mapping[str, KeyColumn], edges: Edges | None
    ) -> _Reach:
        place = np.full(count, -1, np.int64)
        place[rows] = np.arange(len(rows))
        pairs = np.empty((0, 2), np.int64) if edges is None else place[edges]
        return cls(
            tuple(key_codes(key)[rows] for key in keys.values()), pairs[(pairs >= 0).all(axis=1)]
        )

    def near(self, split: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each row, as bits, the splits of the rows that it shares something with."""
        bits = np.where(split >= 0, 1 << np.maximum(split, 0), 0)
        near = np.zeros(len(split), np.int64)
        for codes in self.columns:
            known = codes >= 0
            of_value = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
            np.bitwise_or.at(of_value, codes[known], bits[known])
            near[known] |= of_value[codes[known]]
        for here, there in ((0, 1), (1, 0)):
            np.bitwise_or.at(near, self.edges[:, here], bits[self.edges[:, there]])
        return near


def _spread(reach: _Reach, split: NDArray[np.int64], cut: NDArray[np.bool_]) -> bool:
    """Let each split take the rows next to it; return whether any row changed."""
    changed = False
    for index in range(len(SPLITS)):
        # Looked up anew for each split: what one took a moment ago, the next must not share.
        near = reach.near(split)
        waiting = (split == _FREE) & ~cut
        taken = waiting & (near == 1 << index)
        two = waiting & (near & (near - 1) != 0)
        split[taken] = index
        cut |= two
        changed |= bool(taken.any() or two.any())
    return changed
