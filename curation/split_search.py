"""Local search: groups move or change places between splits while that brings the shares closer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from .split_demand import Counts, Demand, Shares

_GOOD_ENOUGH = 0.0005
_MAX_STEPS = 2_000
_LOOKED_AT = 2_048
_SWAPS_OF = 96
_LEAST_GAIN = 1e-9
_THROWN = 8
_MOST_SHAKES = 200
_LEAST_SHAKES = 30
_TYPES_SHAKEN = 200_000


@dataclass(frozen=True, slots=True)
class _Moves:
    """Moves from one split to another: types, how many groups of each, their shares, the gain."""

    source: int
    target: int
    types: Counts
    groups: Counts
    shares_mc: Shares
    gain_m: Shares


def improve(demand: Demand, members_TS: Counts) -> Counts:
    """Return a placement that no single move or exchange looked at brings closer, (T, S)."""
    search = _Search(demand, members_TS.copy())
    search.descend()
    return search.members_ts


def shake(demand: Demand, members_TS: Counts, least: float) -> Counts:
    """Return a placement no worse than the one given: thrown off a little and improved, often.

    It stops where no more than `least` lies outside the tolerance.
    """
    yardstick = demand.yardstick()
    rng = np.random.default_rng(0)
    best = _Search(demand, members_TS.copy())
    shakes = np.clip(_TYPES_SHAKEN // len(members_TS), _LEAST_SHAKES, _MOST_SHAKES)
    for _ in range(int(shakes)):
        if yardstick.excess(best.deviations_sc) <= least + _LEAST_GAIN:
            break
        tried = _Search(demand, best.members_ts.copy())
        tried.throw_off(rng)
        tried.descend()
        if tried.penalty() < best.penalty():
            best = tried
    return best.members_ts


class _Search:
    def __init__(self, demand: Demand, members_TS: Counts) -> None:
        self.members_ts = members_TS
        self._demand = demand
        self._shares_tc = demand.shares_tc()
        self._yardstick = demand.yardstick()
        self.deviations_sc = demand.deviations_sc(members_TS)
        self._placed_train_l = demand.placed_sl(members_TS)[0]
        self._good_c = np.maximum(_GOOD_ENOUGH, 1 / demand.totals_c())

    def penalty(self) -> float:
        """Return how bad the placement is by now."""
        return float(self._yardstick.penalty(self.deviations_sc).sum())

    def descend(self) -> None:
        """Make the best move or exchange until none brings the shares closer."""
        slices = max(1, -(-len(self.members_ts) // _LOOKED_AT))
        without_gain = 0
        for step in range(_MAX_STEPS):
            if without_gain == slices or self.good_enough():
                return
            moved = self.step(slice(step % slices, None, slices))
            without_gain = 0 if moved else without_gain + 1

    def throw_off(self, rng: np.random.Generator) -> None:
        """Move a few groups that hold labels which are off, wherever that takes them."""
        off_C = self._yardstick.beyond(self.deviations_sc).sum(axis=0) > 0
        holders = np.flatnonzero((self._shares_tc[:, off_C] > 0).any(axis=1))
        allowed = self._demand.allowed()
        for kind in rng.permutation(holders)[:_THROWN].tolist():
            source, target = rng.permutation(allowed)[:2].tolist()
            moves = self._moves(source, target, slice(kind, kind + 1))
            if len(moves.types):
                self._apply(moves, 0)

    def good_enough(self) -> bool:
        return bool((np.abs(self.deviations_sc) <= self._good_c).all())

    def step(self, rows: slice) -> bool:
        """Make the best move, or else the best exchange; return whether there was one."""
        moves = [
            self._moves(source, target, rows)
            for source, target in permutations(self._demand.allowed(), 2)
        ]
        moves = [found for found in moves if len(found.types)]
        if not moves:
            return False
        best = max(moves, key=lambda found: float(found.gain_m.max()))
        if best.gain_m.max() > _LEAST_GAIN:
            self._apply(best, int(np.argmax(best.gain_m)))
            return True
        return self._exchange(moves)

    def _moves(self, source: int, target: int, rows: slice) -> _Moves:
        types = np.arange(len(self.members_ts))[rows]
        types = types[self.members_ts[types, source] > 0]
        groups = self._how_many(types, source, target)
        if source == 0:
            left = self._left_in_train(types, groups)
            types, groups = types[left], groups[left]
        shares_MC = self._shares_tc[types] * groups[:, None]
        gain_M = self._gain(source, target, shares_MC)
        return _Moves(source, target, types, groups, shares_MC, gain_M)

    def _how_many(self, types: Counts, source: int, target: int) -> Counts:
        """Return how many groups of a type even out its main label between two splits."""
        main = np.argmax(self._shares_tc[types], axis=1)
        apart = (self.deviations_sc[source] - self.deviations_sc[target])[main]
        many = np.floor(apart / (2 * self._shares_tc[types, main]))
        return np.asarray(np.clip(many, 1, self.members_ts[types, source]).astype(np.int64))

    def _left_in_train(self, types: Counts, groups: Counts) -> NDArray[np.bool_]:
        """Return which moves out of train leave it some cell of every label."""
        gone_ML = self._demand.counts_tl[types] * groups[:, None]
        return np.asarray(((gone_ML == 0) | (gone_ML < self._placed_train_l)).all(axis=1))

    def _gain(self, source: int, target: int, shares_xC: Shares) -> Shares:
        here, there = self.deviations_sc[source], self.deviations_sc[target]
        before = self._yardstick.penalty(here) + self._yardstick.penalty(there)
        after = self._yardstick.penalty(here - shares_xC)
        after += self._yardstick.penalty(there + shares_xC)
        return np.asarray(before - after)

    def _exchange(self, moves: list[_Moves]) -> bool:
        by_way = {(found.source, found.target): found for found in moves}
        pairs = [
            (there, by_way[target, source])
            for (source, target), there in by_way.items()
            if source < target and (target, source) in by_way
        ]
        found = [(*self._best_exchange(there, back), there, back) for there, back in pairs]
        if not found:
            return False
        gain, i, j, there, back = max(found, key=lambda entry: entry[0])
        if gain <= _LEAST_GAIN:
            return False
        self._apply(there, i)
        self._apply(back, j)
        return True

    def _best_exchange(self, there: _Moves, back: _Moves) -> tuple[float, int, int]:
        """Return the gain of the best exchange among the most promising moves each way."""
        some = np.argsort(-there.gain_m, kind="stable")[:_SWAPS_OF]
        others = np.argsort(-back.gain_m, kind="stable")[:_SWAPS_OF]
        shares = there.shares_mc[some, None] - back.shares_mc[None, others]
        gain = self._gain(there.source, there.target, shares)
        i, j = np.unravel_index(int(np.argmax(gain)), gain.shape)
        return float(gain[i, j]), int(some[i]), int(others[j])

    def _apply(self, moves: _Moves, index: int) -> None:
        kind, groups = int(moves.types[index]), int(moves.groups[index])
        self.members_ts[kind, moves.source] -= groups
        self.members_ts[kind, moves.target] += groups
        self.deviations_sc[moves.source] -= moves.shares_mc[index]
        self.deviations_sc[moves.target] += moves.shares_mc[index]
        gone_L = self._demand.counts_tl[kind] * groups
        self._placed_train_l = self._placed_train_l - gone_L * (moves.source == 0)
        self._placed_train_l = self._placed_train_l + gone_L * (moves.target == 0)
