"""What a split has to divide: kinds of groups with their label counts, and the shares wanted.

Groups with the same cells of each label are interchangeable: they are one type with a number of
members, so that 100,000 pairs or single cells cost as much as a few. Letters of shapes: T types,
S splits, L labels, C the labels and, last, all cells together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]

TOLERANCE = 0.02
# All cells together matter more than any one label: a few rare cells must not move a large group.
_WEIGHT_OF_ALL = 10.0
# Beside what lies outside the tolerance, the square of every deviation counts a little.
_WEIGHT_OF_SQUARES = 0.5
# 3 of 20 cells are 15 %, whatever the last bit of a float says.
_HAIR = 1e-9


@dataclass(frozen=True, slots=True)
class Demand:
    """Types of groups to place, what is placed already, and the share of each split."""

    counts_tl: Counts
    members_t: Counts
    pinned_sl: Counts
    wanted_s: Shares

    def totals_c(self) -> Counts:
        """Return the cells per label, and of all labels; at least 1 each."""
        totals_L: Counts = self.members_t @ self.counts_tl + self.pinned_sl.sum(axis=0)
        return np.asarray(np.maximum(np.append(totals_L, totals_L.sum()), 1))

    def shares_tc(self) -> Shares:
        """Return what share of each label's cells one group of a type holds."""
        totals_C = self.totals_c()
        counts_TC = np.hstack([self.counts_tl, self.counts_tl.sum(axis=1, keepdims=True)])
        return counts_TC / totals_C

    def placed_sl(self, members_TS: Counts) -> Counts:
        """Return the cells per split and label."""
        return members_TS.T @ self.counts_tl + self.pinned_sl

    def deviations_sc(self, members_TS: Counts) -> Shares:
        """Return found minus wanted share, as parts of a label's cells; in [-1, 1]."""
        placed_SL = self.placed_sl(members_TS)
        placed_SC = np.hstack([placed_SL, placed_SL.sum(axis=1, keepdims=True)])
        return placed_SC / self.totals_c() - self.wanted_s[:, None]

    def yardstick(self) -> Yardstick:
        """Return how deviations are judged: each label's tolerance and weight."""
        totals_C = self.totals_c()
        closest_C = np.array([closest_off(int(n), self.wanted_s) for n in totals_C])
        # The labels come first: all cells may be off by what the rounding of each adds up to.
        closest_C[-1] = closest_C[:-1] @ totals_C[:-1] / totals_C[-1]
        weights_C = np.append(np.ones(len(totals_C) - 1), _WEIGHT_OF_ALL)
        return Yardstick(np.maximum(TOLERANCE, closest_C) + _HAIR, weights_C)

    def allowed(self) -> list[int]:
        """Return the splits that may get cells."""
        return [int(split) for split in np.flatnonzero(self.wanted_s > 0)]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How deviations are judged: the tolerance and the weight of each label, and of all cells.

    A label with too few cells to be divided within 2 % is held to the closest that its cells allow.
    """

    tolerance_c: Shares
    weights_c: Shares

    def beyond(self, deviations_xC: Shares) -> Shares:
        """Return what lies outside the tolerance, weighted."""
        return np.maximum(np.abs(deviations_xC) - self.tolerance_c, 0) * self.weights_c

    def penalty(self, deviations_xC: Shares) -> Shares:
        """Return how bad deviations are, summed over the last axis; 0 is perfect."""
        squares = _WEIGHT_OF_SQUARES * (deviations_xC**2).sum(axis=-1)
        return np.asarray(self.beyond(deviations_xC).sum(axis=-1) + squares)

    def excess(self, deviations_SC: Shares) -> float:
        """Return all that lies outside the tolerance; 0 where every share is within it."""
        return float(self.beyond(deviations_SC).sum())


def closest_off(cells: int, wanted_S: Shares) -> float:
    """Return how far off the worst share stays when single cells are divided as well as can be."""
    if cells * TOLERANCE >= 1:
        return 1 / cells
    floors_S = np.floor(wanted_S * cells)
    tries = (floors_S + extra for extra in product((0, 1), repeat=len(wanted_S)))
    return min(
        float(np.abs(tried / cells - wanted_S).max()) for tried in tries if tried.sum() == cells
    )
