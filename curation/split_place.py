"""A first placement of groups: largest first, each where its labels are needed most."""

from __future__ import annotations

import numpy as np

from .split_demand import Counts, Demand, Shares

# From here on the members of a type are dealt out at once, by what each split still needs.
_ONE_BY_ONE = 32


def place(demand: Demand) -> Counts:
    """Return how many groups of each type go to each split, (T, S)."""
    target_SL = np.outer(demand.wanted_s, demand.totals_c()[:-1])
    placed_SL = demand.pinned_sl.astype(np.float64)
    members_TS = np.zeros((len(demand.members_t), len(demand.wanted_s)), np.int64)
    blocked_S = np.where(demand.wanted_s > 0, 0.0, np.inf)
    for index, counts_L in enumerate(demand.counts_tl):
        members = int(demand.members_t[index])
        present = np.flatnonzero(counts_L)
        if members > _ONE_BY_ONE:
            dealt_S = _dealt(counts_L, members, target_SL, placed_SL, present)
            members_TS[index] += dealt_S
            placed_SL += np.outer(dealt_S, counts_L)
            continue
        for _ in range(members):
            best = _best(counts_L, target_SL, placed_SL, present, blocked_S)
            members_TS[index, best] += 1
            placed_SL[best] += counts_L
    return members_TS


def _best(
    counts_L: Counts, target_SL: Shares, placed_SL: Shares, present: Counts, blocked_S: Shares
) -> int:
    """Return the split whose need, less what would be too much, a group meets best.

    Both are relative to each label's total, so that a rare label weighs as much as a common one;
    a label that train has not yet got goes to train.
    """
    if (placed_SL[0, present] == 0).any():
        return 0
    need = target_SL[:, present] - placed_SL[:, present]
    counts = counts_L[present]
    total = target_SL[:, present].sum(axis=0)
    too_much = np.maximum(counts - np.maximum(need, 0), 0)
    size_S = target_SL.sum(axis=1)
    room_S = np.maximum(size_S - placed_SL.sum(axis=1), 0)
    overall_S = np.maximum(counts.sum() - room_S, 0) / np.maximum(size_S, 1)
    cost_S = ((too_much - np.minimum(need, counts)) / total).sum(axis=1) + overall_S
    return int(np.argmin(cost_S + blocked_S))


def _dealt(
    counts_L: Counts, members: int, target_SL: Shares, placed_SL: Shares, present: Counts
) -> Counts:
    """Return how many of many equal groups each split gets: in proportion to what it needs."""
    total = target_SL[:, present].sum(axis=0)
    need_S = (np.maximum(target_SL - placed_SL, 0)[:, present] / total).sum(axis=1)
    wanted_S = target_SL.sum(axis=1)
    share_S = (need_S if need_S.sum() > 0 else wanted_S) / (need_S.sum() or wanted_S.sum())
    ends = np.rint(np.cumsum(share_S[::-1]) * members).astype(np.int64)
    dealt_S = np.diff(ends, prepend=0)[::-1].copy()
    if dealt_S[0] == 0 and (placed_SL[0, present] == 0).any():
        dealt_S[np.argmax(dealt_S)] -= 1
        dealt_S[0] += 1
    return np.asarray(dealt_S)
