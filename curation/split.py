"""Splits that cannot leak: whole groups of related cells, stratified by label, kept over versions.

Groups are placed largest first, each where its labels are needed most; then they move and change
places while that brings the shares closer; where few groups leave a share more than 2 % off, an
integer program looks for a better placement or proves that there is none. What an earlier version
fixed stays, and what would tie two of its splits together is marked to be dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .cells import SPLITS
from .split_demand import Demand
from .split_exact import GAP, least_excess, solve
from .split_groups import Edges, Groups, KeyColumn, key_codes
from .split_groups import related_groups as related_groups
from .split_links import check_one_split, cut_links
from .split_place import place
from .split_search import improve, shake
from .split_types import GroupTypes, group_types

LINKS_SPLITS = "links_splits"
# Two placements this close in what lies outside the tolerance are even.
_EVEN = 1e-6
# Up to here an integer program is done sooner than a search that cannot know when to stop.
_FEW_TYPES = 60


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


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where each row goes.

    `split` is an index into `SPLITS` per row, (n,) int64; -1 where `links` says that the row ties
    fixed splits together and has to be dropped. `groups` are the groups that were kept whole.
    `proved` says that nothing lies less outside the tolerance than this.
    """

    split: NDArray[np.int64]
    links: NDArray[np.bool_]
    groups: Groups
    proved: bool


def split_cells(
    labels: NDArray[np.int64],
    keys: Mapping[str, KeyColumn],
    order: NDArray[np.int64],
    fractions: Fractions,
    *,
    edges: Edges | None = None,
    fixed: NDArray[np.int64] | None = None,
) -> Assignment:
    """Group, look at what is fixed, and split: all that `curate` needs.

    `keys` is name -> column ("subject", "slide", "field"), `edges` pairs of rows that show one
    cell, (m, 2) int64; the rest is as in `assign_splits`.

    Raises: SplitConflictError where the fixed splits themselves divide something.
    """
    codes = {name: key_codes(key) for name, key in keys.items()}
    groups = related_groups(*codes.values(), edges=edges)
    if fixed is None:
        return assign_splits(labels, groups, order, fractions)
    check_one_split(codes, fixed, edges=edges)
    cut = cut_links(groups, codes, fixed, edges=edges)
    # What is cut out must not count for the balance.
    counted = np.where(cut.links, -1, labels)
    result = assign_splits(counted, cut.groups, order, fractions, fixed)
    return replace(result, links=result.links | cut.links)


def assign_splits(
    labels: NDArray[np.int64],
    groups: Groups,
    order: NDArray[np.int64],
    fractions: Fractions,
    fixed: NDArray[np.int64] | None = None,
) -> Assignment:
    """Return the split of each row; a group is never divided.

    `order` is a permutation rank per row that decides ties (keyed by the caller). `fixed` is (n,)
    int64, the split of a row in an earlier version, or -1: such rows stay, new rows join the split
    of their group, and the new rows of a group in which two splits are fixed become `links`. A row
    with a negative label is one that is gone by now: it holds its group's split and is not counted.
    """
    count = len(labels)
    split = np.full(count, -1, np.int64) if fixed is None else fixed.copy()
    if count == 0:
        return Assignment(split, np.zeros(0, np.bool_), groups, proved=True)
    groups = _small_numbers(groups)
    links = _follow_fixed(groups, split)
    names = np.unique(labels[labels >= 0])
    pinned_SL = _pinned(labels, split, names)
    free = np.flatnonzero((split < 0) & ~links & (labels >= 0))
    codes = np.searchsorted(names, labels[free])
    types = group_types(codes, groups[free], order[free], len(names))
    demand = Demand(types.counts_tl, types.members_t, pinned_SL, fractions.array())
    members_TS, proved = best_placement(demand)
    split[free] = _of_rows(types, groups[free], members_TS)
    return Assignment(split, links, groups, proved)


def best_placement(demand: Demand) -> tuple[NDArray[np.int64], bool]:
    """Return the groups of each type per split, (T, S), and whether none can be less off."""
    found_TS = improve(demand, place(demand))
    no_choice = len(found_TS) == 0 or len(demand.allowed()) == 1
    if no_choice or _outside(demand, found_TS) <= _EVEN:
        return found_TS, True
    if len(found_TS) <= _FEW_TYPES:
        found_TS, proved = _exact(demand, found_TS)
        return (found_TS, True) if proved else (shake(demand, found_TS, 0.0), False)
    least = least_excess(demand, found_TS)
    found_TS = shake(demand, found_TS, least)
    if _outside(demand, found_TS) <= least + _EVEN:
        return found_TS, True
    return _exact(demand, found_TS)


def _exact(demand: Demand, found_TS: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
    """Return the better of what was found and the integer program's answer, and if it is best."""
    exact = solve(demand)
    if exact.members_ts is None:
        return found_TS, False
    # Local search weighs squares too, so what it makes of the exact answer may lie further outside.
    tries = (improve(demand, exact.members_ts), exact.members_ts, found_TS)
    best_TS = min(tries, key=lambda tried: round(_outside(demand, tried), 6))
    least = exact.least_excess * (1 + GAP) + _EVEN
    return best_TS, exact.proved and _outside(demand, best_TS) <= least


def _outside(demand: Demand, members_TS: NDArray[np.int64]) -> float:
    return demand.yardstick().excess(demand.deviations_sc(members_TS))


def _follow_fixed(groups: Groups, split: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Give new rows the split of their group, in place; return those whose group has two."""
    known = split >= 0
    if not known.any():
        return np.zeros(len(split), np.bool_)
    n_groups = int(groups.max()) + 1
    lowest = np.full(n_groups, len(SPLITS), np.int64)
    highest = np.full(n_groups, -1, np.int64)
    np.minimum.at(lowest, groups[known], split[known])
    np.maximum.at(highest, groups[known], split[known])
    torn = (highest >= 0) & (lowest != highest)
    links = ~known & torn[groups]
    follows = ~known & (highest[groups] >= 0) & ~links
    split[follows] = highest[groups[follows]]
    return np.asarray(links)


def _small_numbers(groups: Groups) -> Groups:
    """Return groups whose numbers can index an array: as they are, where they can."""
    if groups.min() >= 0 and groups.max() <= 2 * len(groups):
        return groups
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _pinned(
    labels: NDArray[np.int64], split: NDArray[np.int64], names: NDArray[np.int64]
) -> NDArray[np.int64]:
    here = (split >= 0) & (labels >= 0)
    cells = split[here] * len(names) + np.searchsorted(names, labels[here])
    counts = np.bincount(cells, minlength=len(SPLITS) * len(names))
    return counts.reshape(len(SPLITS), len(names))


def _of_rows(types: GroupTypes, groups: Groups, members_TS: NDArray[np.int64]) -> NDArray[np.int64]:
    split_G = types.splits_of_groups(members_TS)
    return split_G[np.searchsorted(types.group_g, groups)]
