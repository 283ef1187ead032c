"""How close the shares come: against trying everything, against scikit-learn, and at the edges."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from curation.split import Fractions, assign_splits, best_placement
from curation.split_demand import TOLERANCE, Demand, closest_off
from curation.split_exact import least_excess, solve
from curation.split_place import place
from curation.split_search import improve, shake
from curation.split_types import group_types

FRACTIONS = Fractions()
SHARES = FRACTIONS.array()


def off(split: NDArray[np.int64]) -> float:
    return float(np.abs(np.bincount(split, minlength=3) / len(split) - SHARES).max())


def offs(labels: NDArray[np.int64], split: NDArray[np.int64]) -> list[float]:
    return [off(split), *(off(split[labels == label]) for label in np.unique(labels))]


def patients(n_subjects: int, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    sizes = rng.lognormal(0, 1.0, n_subjects)
    sizes = np.maximum(1, sizes / sizes.sum() * count).astype(int)
    mixes = rng.dirichlet(np.array([4.0, 2.0, 1.0, 0.5, 0.5]), n_subjects)
    labels = [rng.choice(5, size, p=mix) for size, mix in zip(sizes, mixes, strict=True)]
    return np.concatenate(labels).astype(np.int64), np.repeat(np.arange(n_subjects), sizes)


def demand_of(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> Demand:
    n_labels = int(labels.max()) + 1
    types = group_types(labels, groups, np.arange(len(labels)), n_labels)
    pinned = np.zeros((3, n_labels), np.int64)
    return Demand(types.counts_tl, types.members_t, pinned, SHARES)


def outside(demand: Demand, members_TS: NDArray[np.int64]) -> float:
    return demand.yardstick().excess(demand.deviations_sc(members_TS))


def least_of_all(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Try every placement that leaves train a cell of each label."""
    demand = demand_of(labels, groups)
    yardstick, none = demand.yardstick(), np.zeros_like(demand.members_t)
    counts = np.array(
        [np.bincount(labels[groups == g], minlength=int(labels.max()) + 1) for g in set(groups)]
    )
    off_SC = demand.deviations_sc(np.zeros((len(none), 3), np.int64))
    shares_GC = np.hstack([counts, counts.sum(axis=1, keepdims=True)]) / demand.totals_c()
    least = np.inf
    for choice in product(range(3), repeat=len(counts)):
        where = np.eye(3)[list(choice)]
        if (where.T @ counts)[0].min() > 0:
            least = min(least, yardstick.excess(off_SC + where.T @ shares_GC))
    return least


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=60))
def test_nothing_lies_less_outside_than_what_is_proved_best(cells: list[tuple[int, int]]) -> None:
    groups = np.unique([group for group, _ in cells], return_inverse=True)[1]
    labels = np.unique([label for _, label in cells], return_inverse=True)[1]
    demand = demand_of(labels, groups)
    members_TS, proved = best_placement(demand)
    np.testing.assert_array_equal(members_TS.sum(axis=1), demand.members_t)
    least = least_of_all(labels, groups)
    assert outside(demand, members_TS) >= least - 1e-9
    if proved:
        assert outside(demand, members_TS) <= least * 1.001 + 1e-5
    assert least_excess(demand, members_TS) <= least + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_division_is_matched(seed: int) -> None:
    """Thirty groups, made so that a division within 2 % exists: one is found."""
    rng = np.random.default_rng(seed)
    labels, groups = [], []
    for split, (share, n_groups) in enumerate(zip(SHARES, (16, 7, 7), strict=True)):
        for label, total in enumerate((1_000, 400, 200, 100)):
            cells = round(total * share)
            labels += [label] * cells
            mine = rng.choice(n_groups, cells, p=rng.dirichlet(np.full(n_groups, 0.4)))
            groups += (100 * split + mine).tolist()
    order = rng.permutation(len(labels))
    result = assign_splits(np.array(labels), np.array(groups), order, FRACTIONS)
    assert result.proved
    assert max(offs(np.array(labels), result.split)) <= TOLERANCE + 1e-9


@pytest.mark.parametrize(("n_subjects", "count"), [(80, 6_000), (300, 20_000)])
def test_shares_are_within_two_percent_and_closer_than_folds(n_subjects: int, count: int) -> None:
    labels, subjects = patients(n_subjects, count, seed=n_subjects)
    order = np.random.default_rng(0).permutation(len(labels))
    split = assign_splits(labels, subjects, order, FRACTIONS).split
    folds = StratifiedGroupKFold(20, shuffle=True, random_state=0).split(labels, labels, subjects)
    theirs = np.zeros(len(labels), np.int64)
    for fold, (_, rows) in zip(range(6), folds, strict=False):
        theirs[rows] = 1 + fold // 3
    ours = offs(labels, split)
    assert max(ours) <= TOLERANCE
    assert max(ours) < max(offs(labels, theirs))


def test_thousands_of_subjects_are_hardly_felt() -> None:
    labels, subjects = patients(3_000, 60_000, seed=3_000)
    order = np.random.default_rng(0).permutation(len(labels))
    result = assign_splits(labels, subjects, order, FRACTIONS)
    assert result.proved
    assert max(offs(labels, result.split)) < 0.001


def test_search_and_shaking_bring_a_first_placement_closer() -> None:
    labels, subjects = patients(60, 3_000, seed=5)
    demand = demand_of(labels, subjects)
    placed = place(demand)
    improved = improve(demand, placed)
    shaken = shake(demand, improved, 0.0)
    yardstick = demand.yardstick()

    def penalty(members_TS: NDArray[np.int64]) -> float:
        return float(yardstick.penalty(demand.deviations_sc(members_TS)).sum())

    assert penalty(improved) < penalty(placed)
    assert penalty(shaken) <= penalty(improved)
    for members_TS in (placed, improved, shaken):
        np.testing.assert_array_equal(members_TS.sum(axis=1), demand.members_t)
        assert members_TS.min() >= 0


def test_pairs_and_single_cells_are_dealt_out_at_once() -> None:
    rng = np.random.default_rng(3)
    labels = rng.choice(6, 40_000, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01])
    groups = np.arange(40_000) // 2
    groups[30_000:] = np.arange(30_000, 40_000)
    demand = demand_of(labels, groups)
    assert len(demand.members_t) <= 6 + 21, "as many types as single labels and pairs of labels"
    split = assign_splits(labels, groups, rng.permutation(40_000), FRACTIONS).split
    assert max(offs(labels, split)) < 0.005
    np.testing.assert_array_equal(split[:30_000:2], split[1:30_000:2])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=50),
    st.integers(0, 9),
)
def test_the_keyed_order_decides_and_the_order_of_rows_does_not(
    cells: list[tuple[int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    groups, labels = np.array(cells).T
    order = rng.permutation(len(cells))
    split = assign_splits(labels, groups, order, FRACTIONS).split
    shuffled = rng.permutation(len(cells))
    # Groups are named anew as well: their numbers mean nothing.
    names = rng.permutation(10) + 5
    again = assign_splits(
        labels[shuffled], names[groups[shuffled]], order[shuffled], FRACTIONS
    ).split
    np.testing.assert_array_equal(again, split[shuffled])


def test_another_key_makes_another_split() -> None:
    labels = np.zeros(1_000, np.int64)
    groups = np.arange(1_000)
    splits = [
        assign_splits(labels, groups, np.random.default_rng(seed).permutation(1_000), FRACTIONS)
        for seed in (0, 1)
    ]
    assert (splits[0].split != splits[1].split).any()
    assert off(splits[0].split) == off(splits[1].split) == 0


def test_one_subject_is_train() -> None:
    result = assign_splits(np.arange(20) % 3, np.zeros(20, np.int64), np.arange(20), FRACTIONS)
    assert set(result.split.tolist()) == {0}
    assert result.proved


def test_one_label_in_groups_of_one_size() -> None:
    split = assign_splits(np.zeros(200, np.int64), np.arange(200) // 10, np.arange(200), FRACTIONS)
    assert np.bincount(split.split).tolist() == [140, 30, 30]


def test_more_splits_than_groups() -> None:
    labels, groups = np.zeros(20, np.int64), np.arange(20) // 10
    split = assign_splits(labels, groups, np.arange(20), FRACTIONS).split
    assert 0 in split
    assert (split[:10] == split[0]).all()
    assert (split[10:] == split[10]).all()


@pytest.mark.parametrize(
    ("cells", "closest"), [(1, 0.3), (2, 0.3), (3, 0.7 - 2 / 3 + 0.15), (20, 0.0), (100, 0.01)]
)
def test_single_cells_can_be_divided_so_closely(cells: int, closest: float) -> None:
    found = closest_off(cells, SHARES)
    tries = [
        max(abs(a / cells - 0.7), abs(b / cells - 0.15), abs((cells - a - b) / cells - 0.15))
        for a in range(cells + 1)
        for b in range(cells + 1 - a)
    ]
    assert found >= min(tries) - 1e-12
    assert found == pytest.approx(closest if cells >= 50 else min(tries))


def test_too_many_kinds_of_groups_are_not_solved_exactly() -> None:
    counts = np.arange(1, 402)[:, None]
    demand = Demand(counts, np.ones(401, np.int64), np.zeros((3, 1), np.int64), SHARES)
    assert solve(demand).members_ts is None


@pytest.mark.parametrize("n_groups", [12, 120])
def test_train_keeps_every_label_even_where_held_out_splits_pull(n_groups: int) -> None:
    """With 20 % for train, a label of one group would lie closer to its shares elsewhere."""
    rng = np.random.default_rng(n_groups)
    groups = np.repeat(np.arange(n_groups), rng.integers(5, 40, n_groups))
    labels = np.where(groups < 6, groups + 1, 0)
    order = rng.permutation(len(labels))
    split = assign_splits(labels, groups, order, Fractions(0.2, 0.4, 0.4)).split
    assert set(labels[split == 0].tolist()) == set(labels.tolist())
