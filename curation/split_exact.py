"""The best placement of few groups, by integer programming: found, or proved not to be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .split_demand import Counts, Demand, Shares

# Above this many unknowns the search is hopeless more often than not.
_MAX_TYPES = 400
# A number of nodes, not of seconds: the same input must give the same split on a busy machine.
_MAX_NODES = 400
# How far above the least excess a placement that counts as the best may lie, as a part of it.
GAP = 1e-3


@dataclass(frozen=True, slots=True)
class Exact:
    """A placement, if one was found, and the least excess over the tolerance that is possible."""

    members_ts: Counts | None
    least_excess: float
    proved: bool


def solve(demand: Demand) -> Exact:
    """Return the placement that is least outside the tolerance, as far as few steps find it."""
    types = len(demand.members_t)
    if not 0 < types <= _MAX_TYPES:
        return Exact(None, 0.0, proved=False)
    result = _minimise(demand)
    bound = result.mip_dual_bound
    proved = bool(result.status == 0)
    if result.x is None:
        return Exact(None, 0.0 if bound is None else float(bound), proved=False)
    splits = len(demand.wanted_s)
    members_TS = np.rint(result.x[: types * splits]).astype(np.int64).reshape(types, splits)
    return Exact(members_TS, float(result.fun if proved else bound or 0.0), proved)


def alone(held: Counts, pinned_S: Counts, wanted_S: Shares) -> Demand:
    """Return the demand of one label, as if the groups with so many cells of it held no other."""
    sizes, members = np.unique(held, return_counts=True)
    return Demand(sizes[:, None], members.astype(np.int64), pinned_S[:, None], wanted_S)


def least_alone(demand: Demand) -> float:
    """Return what of a single label surely lies outside the tolerance, however it is placed."""
    if len(demand.members_t) == 0:
        found = demand.yardstick().excess(demand.deviations_sc(np.zeros((0, 3), np.int64)))
    else:
        found = solve(demand).least_excess
    # The only label is also all cells together: both columns count the same.
    return max(found, 0.0) / float(demand.yardstick().weights_c.sum())


def least_excess(demand: Demand, members_TS: Counts) -> float:
    """Return what surely lies outside the tolerance: each label by itself, those that are off."""
    yardstick = demand.yardstick()
    off_C = yardstick.beyond(demand.deviations_sc(members_TS)).sum(axis=0)
    total = 0.0
    for label in np.flatnonzero(off_C[:-1] > 0):
        held_T = demand.counts_tl[:, label]
        held = np.repeat(held_T[held_T > 0], demand.members_t[held_T > 0])
        total += least_alone(alone(held, demand.pinned_sl[:, label], demand.wanted_s))
    return total


def _minimise(demand: Demand) -> Any:
    """Minimise what lies outside the tolerance, over members (T, S) and excesses (S, C)."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    shares_TC = demand.shares_tc()
    types, columns = shares_TC.shape
    splits = len(demand.wanted_s)
    n_members, n_excess = types * splits, splits * columns
    yardstick = demand.yardstick()
    tolerance_SC = np.tile(yardstick.tolerance_c, splits)
    off_SC = demand.deviations_sc(np.zeros((types, splits), np.int64))
    share_of = np.zeros((splits, columns, types, splits))
    for split in range(splits):
        share_of[split, :, :, split] = shares_TC.T
    share_rows = share_of.reshape(n_excess, n_members)
    excess = np.eye(n_excess)
    all_placed = np.hstack(
        [np.kron(np.eye(types), np.ones((1, splits))), np.zeros((types, n_excess))]
    )
    in_train = np.zeros((columns - 1, types, splits))
    in_train[:, :, 0] = demand.counts_tl.T
    in_train_rows = np.hstack(
        [in_train.reshape(columns - 1, n_members), np.zeros((columns - 1, n_excess))]
    )
    needed_L = (demand.counts_tl.sum(axis=0) > 0) & (demand.pinned_sl[0] == 0)
    most_TS = np.outer(demand.members_t, demand.wanted_s > 0)
    return milp(
        np.concatenate([np.zeros(n_members), np.tile(yardstick.weights_c, splits)]),
        integrality=np.concatenate([np.ones(n_members), np.zeros(n_excess)]),
        bounds=Bounds(0, np.concatenate([most_TS.ravel(), np.full(n_excess, np.inf)])),
        constraints=[
            LinearConstraint(all_placed, demand.members_t, demand.members_t),
            LinearConstraint(np.hstack([share_rows, -excess]), ub=tolerance_SC - off_SC.ravel()),
            LinearConstraint(np.hstack([share_rows, excess]), lb=-tolerance_SC - off_SC.ravel()),
            LinearConstraint(in_train_rows, lb=needed_L.astype(float)),
        ],
        options={"node_limit": _MAX_NODES, "mip_rel_gap": GAP},
    )
