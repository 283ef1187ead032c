from __future__ import annotations

import numpy as np
import pytest

from curation.errors import MeasurementError
from synth.measure.membership import (
    cosines,
    membership_auc,
    membership_floor,
    suspects,
    turned_correlations,
)
from synth.measure.memorisation import nearest_correlation, prepare
from synth.measure.turned import turned_image
from tests.synth.measure.made_blots import blots

TRAIN = ["a"] * 40 + ["b"] * 7 + ["c"] * 3
HELD = ["b"] * 20 + ["a"] * 12 + ["c"]
DRAWN = ["a"] * 5 + ["b"] * 4 + ["c"] * 4


def test_members_and_others_are_as_many_of_each_class_and_spare_cells_are_none_of_them() -> None:
    found = suspects(TRAIN, HELD, DRAWN, most=10, seed=0)
    members = [TRAIN[row] for row in found.members]
    assert members == [HELD[row] for row in found.others] == ["a"] * 10 + ["b"] * 3
    assert not set(found.members) & set(found.spare)
    spare = [TRAIN[row] for row in found.spare]
    assert spare == ["a"] * 10 + ["b"] * 4, "twice what was drawn, where there are"
    again = suspects(TRAIN, HELD, DRAWN, most=10, seed=0)
    assert again.members.tolist() == found.members.tolist()
    other = suspects(TRAIN, HELD, DRAWN, most=10, seed=1)
    assert other.members.tolist() != found.members.tolist()


def test_a_class_that_one_side_lacks_is_left_out() -> None:
    found = suspects(["a"] * 9 + ["b"] * 9, ["a"] * 9, ["a", "b"], most=9, seed=0)
    assert set(found.members) <= set(range(9))
    with pytest.raises(MeasurementError, match="no class has two held-out cells"):
        suspects(["b"] * 9, ["a"] * 9, ["a", "b"], most=9, seed=0)


def test_correlations_are_those_of_the_search_for_copies() -> None:
    cells, others = blots(0, 5), blots(1, 7)
    others[3] = turned_image(cells[2], 6)
    table = turned_correlations(prepare(cells), prepare(others))
    best, index = nearest_correlation(prepare(cells), prepare(others))
    np.testing.assert_allclose(table.max(axis=1), best, atol=1e-5)
    assert index[2] == 3
    assert table.shape == (5, 7)


def test_cosines_of_rows() -> None:
    rows = np.array([[3.0, 0], [0, 2], [0, 0]], np.float32)
    np.testing.assert_allclose(cosines(rows, rows), [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_members_that_a_drawn_cell_comes_near_are_told() -> None:
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 60
    others = rng.normal(0, 1, 120)
    same = membership_auc(rng.normal(0, 1, 120), others, labels)
    told = membership_auc(rng.normal(1, 1, 120), others, labels)
    assert same.low < 0.5 < same.high
    assert told.value == pytest.approx(0.76, abs=0.06)
    assert told.low > 0.6


def test_a_class_that_is_near_to_everything_does_not_hide_who_is_told() -> None:
    rng = np.random.default_rng(1)
    labels = ["a", "b"] * 60
    offset = np.array([0.0, 50.0] * 60)
    members, others = rng.normal(1, 1, 120), rng.normal(0, 1, 120)
    found = membership_auc(members + offset, others + offset, labels)
    assert found.value == pytest.approx(membership_auc(members, others, labels).value)


def test_the_floor_is_what_cells_that_are_no_members_give_away() -> None:
    rng = np.random.default_rng(2)
    labels = ["a"] * 80
    ours, theirs = rng.random((80, 50), np.float32), rng.random((80, 50), np.float32)
    floor = membership_floor(ours, theirs, labels, stand_ins=20, splits=30, seed=0)
    assert floor.low < 0.5 < floor.high
    assert floor.splits == 30
    # Held-out cells of other patients lie farther from all training cells: no leak, but a floor.
    apart = membership_floor(ours + 0.02, theirs, labels, stand_ins=20, splits=30, seed=0)
    assert apart.median > floor.median + 0.1


def test_refusals() -> None:
    with pytest.raises(MeasurementError, match="3 members, 2 others and 3 labels"):
        membership_auc(np.ones(3), np.ones(2), ["a"] * 3)
    with pytest.raises(MeasurementError, match="not finite"):
        membership_auc(np.array([1.0, np.nan]), np.ones(2), ["a"] * 2)
    none = np.empty((4, 0), np.float32)
    with pytest.raises(MeasurementError, match="no spare training cell"):
        membership_floor(none, none, ["a"] * 4, stand_ins=3, splits=2, seed=0)
