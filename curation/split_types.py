"""Groups as types: which groups hold the same number of cells of each label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import SPLITS
from .split_demand import Counts


@dataclass(frozen=True, slots=True)
class GroupTypes:
    """The type of each group to place, and what a group of each type holds.

    Types stand in the order in which they are placed: largest first, then by the keyed order.
    """

    group_g: NDArray[np.int64]
    type_g: NDArray[np.int64]
    first_g: NDArray[np.int64]
    counts_tl: Counts
    members_t: Counts

    def splits_of_groups(self, members_TS: Counts) -> NDArray[np.int64]:
        """Return the split of each group, in keyed order within a type; held-out splits first."""
        order = np.lexsort((self.first_g, self.type_g))
        held_out_first = range(len(SPLITS) - 1, -1, -1)
        in_order = np.tile(np.array(held_out_first), len(members_TS))
        split = np.empty(len(order), np.int64)
        split[order] = np.repeat(in_order, members_TS[:, ::-1].ravel())
        return split


def group_types(
    labels: NDArray[np.int64], groups: NDArray[np.int64], order: NDArray[np.int64], n_labels: int
) -> GroupTypes:
    """Return the types of the groups of some rows; labels are numbers below `n_labels`.

    Group numbers are about as small as the number of rows (`related_groups` makes such).
    """
    sizes_G = np.bincount(groups)
    group_G = np.flatnonzero(sizes_G)
    groups = (np.cumsum(sizes_G > 0) - 1)[groups]
    sizes_G = sizes_G[group_G]
    first_G = np.full(len(group_G), np.iinfo(np.int64).max)
    np.minimum.at(first_G, groups, order)
    cells, counts = np.unique(groups * n_labels + labels, return_counts=True)
    of_group, of_label = cells // n_labels, cells % n_labels
    mark_G = _marks(of_group, of_label, counts, len(group_G), n_labels)
    _, sample_T, type_G, members_T = np.unique(
        mark_G, return_index=True, return_inverse=True, return_counts=True
    )
    first_T = np.full(len(sample_T), np.iinfo(np.int64).max)
    np.minimum.at(first_T, type_G, first_G)
    by_size = np.lexsort((first_T, -sizes_G[sample_T]))
    rank_T = np.empty_like(by_size)
    rank_T[by_size] = np.arange(len(by_size))
    return GroupTypes(
        group_G,
        rank_T[type_G],
        first_G,
        _dense(of_group, of_label, counts, sample_T[by_size], n_labels),
        members_T[by_size].astype(np.int64),
    )


def _marks(
    of_group: Counts, of_label: Counts, counts: Counts, n_groups: int, n_labels: int
) -> NDArray[np.uint64]:
    """Return a number per group that is the same for the same counts of each label.

    Two different compositions meet with a chance of 2^-64 a pair; they would be balanced a little
    worse, and still never be divided.
    """
    factors_L = np.random.default_rng(0).integers(
        1, 2**64, n_labels, dtype=np.uint64, endpoint=False
    )
    terms = factors_L[of_label] * counts.astype(np.uint64)
    mark_G = np.zeros(n_groups, np.uint64)
    np.add.at(mark_G, of_group, terms)
    return mark_G


def _dense(
    of_group: Counts, of_label: Counts, counts: Counts, sample_T: Counts, n_labels: int
) -> Counts:
    begin = np.searchsorted(of_group, sample_T, side="left")
    end = np.searchsorted(of_group, sample_T, side="right")
    lengths = end - begin
    type_of = np.repeat(np.arange(len(sample_T)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    cells = begin[type_of] + within
    counts_TL = np.zeros((len(sample_T), n_labels), np.int64)
    counts_TL[type_of, of_label[cells]] = counts[cells]
    return counts_TL
