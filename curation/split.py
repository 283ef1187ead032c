"""Splits that cannot leak: whole groups of related cells, stratified by label.

Cells that share a subject or a slide are one group; a cell with neither is a group of its own
(its duplicates are gone by then). Groups are placed largest first, each where its labels are
needed most; single cells then fill what each label still needs, in keyed random order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .cells import SPLITS

Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fractions:
    """Shares of the cells per split; they add up to 1."""

    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or self.train == 0:
            raise ValueError(
                f"split fractions must be at least 0, with some for train, and add up to 1; "
                f"found {shares}"
            )

    def array(self) -> NDArray[np.float64]:
        """Return the shares in the order of `SPLITS`."""
        return np.array([self.train, self.validation, self.test])


def related_groups(
    subjects: Sequence[str | None],
    slides: Sequence[str | None],
    fields: Sequence[str | None] = (),
) -> Groups:
    """Return a group number per row, (n,) int64: rows that share anything share a group."""
    count = len(subjects)
    nodes: dict[tuple[str, str], int] = {}
    rows, targets = [], []
    for kind, values in (("subject", subjects), ("slide", slides), ("field", fields)):
        for row, value in enumerate(values):
            if value is not None:
                rows.append(row)
                targets.append(count + nodes.setdefault((kind, value), len(nodes)))
    size = count + len(nodes)
    edges = coo_array((np.ones(len(rows), np.int8), (rows, targets)), shape=(size, size))
    _, components = connected_components(edges, directed=False)
    return np.asarray(components[:count], dtype=np.int64)


def assign_splits(
    labels: NDArray[np.int64], groups: Groups, order: NDArray[np.int64], fractions: Fractions
) -> NDArray[np.int64]:
    """Return an index into `SPLITS` per row, (n,) int64; a group is never divided.

    `order` is a permutation rank per row that decides ties and single cells (keyed by the caller).
    """
    if len(labels) == 0:
        return np.empty(0, np.int64)
    _, labels = np.unique(labels, return_inverse=True)
    _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n_labels = int(labels.max()) + 1
    target = np.outer(fractions.array(), np.bincount(labels, minlength=n_labels))
    placed = np.zeros_like(target)
    split = np.full(len(labels), -1, np.int64)
    _place_groups(labels, groups, sizes, order, target, placed, split)
    _place_singles(labels, order, target, placed, split)
    return split


def _place_groups(
    labels: NDArray[np.int64],
    groups: Groups,
    sizes: NDArray[np.int64],
    order: NDArray[np.int64],
    target: NDArray[np.float64],
    placed: NDArray[np.float64],
    split: NDArray[np.int64],
) -> None:
    first = np.full(len(sizes), len(labels), np.int64)
    np.minimum.at(first, groups, order)
    by_size = np.lexsort((first, -sizes))
    rows_of = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    for group in by_size[sizes[by_size] > 1]:
        rows = rows_of[group]
        counts = np.bincount(labels[rows], minlength=target.shape[1])
        best = _best_split(counts, target, placed)
        split[rows] = best
        placed[best] += counts


def _best_split(
    counts: NDArray[np.int64], target: NDArray[np.float64], placed: NDArray[np.float64]
) -> int:
    """Return the split where placing a group brings the label counts closest to the target.

    Distances are relative to each label's total, so that a rare label weighs as much as a common
    one; a label that train has not yet got goes to train.
    """
    present = counts > 0
    if (placed[0, present] == 0).any():
        return 0
    total = np.maximum(target.sum(axis=0), 1)
    size = target.sum(axis=1)
    costs = np.full(len(SPLITS), np.inf)
    for index in range(len(SPLITS)):
        if size[index] == 0:
            continue
        after = placed.copy()
        after[index] += counts
        per_label = (np.maximum(after - target, 0) / total).sum()
        overall = (np.maximum(after.sum(axis=1) - size, 0) / np.maximum(size, 1)).sum()
        need = (np.minimum(target[index] - placed[index], counts) / total).sum()
        costs[index] = per_label + overall - need
    return int(np.argmin(costs))


def _place_singles(
    labels: NDArray[np.int64],
    order: NDArray[np.int64],
    target: NDArray[np.float64],
    placed: NDArray[np.float64],
    split: NDArray[np.int64],
) -> None:
    for label in range(target.shape[1]):
        rows = np.flatnonzero((labels == label) & (split < 0))
        rows = rows[np.argsort(order[rows])]
        need = np.maximum(target[:, label] - placed[:, label], 0)
        share = need / need.sum() if need.sum() else target[:, label] / target[:, label].sum()
        ends = np.rint(np.cumsum(share[::-1]) * len(rows)).astype(int)
        # Held-out splits are filled first, but the only cell of a label belongs to train.
        begin = 0
        for index, end in zip(reversed(range(len(SPLITS))), ends, strict=True):
            split[rows[begin:end]] = index
            begin = end
        if len(rows) and placed[0, label] == 0 and not (split[rows] == 0).any():
            split[rows[-1]] = 0
