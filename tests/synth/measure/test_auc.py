from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from curation.errors import MeasurementError
from synth.measure.auc import auc, stratified_auc


@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_sklearns_ties_and_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    high, low = rng.integers(2, 9, 40).astype(float), rng.integers(0, 8, 25).astype(float)
    sides = np.r_[np.ones(40), np.zeros(25)]
    found = auc(high, low)
    assert found.value == pytest.approx(roc_auc_score(sides, np.r_[high, low]))
    assert found.low < found.value < found.high
    assert auc(low, high).value == pytest.approx(1 - found.value)


def test_the_interval_covers_the_true_area() -> None:
    rng = np.random.default_rng(0)
    # Two normals one apart: the area is Phi(1 / sqrt 2) = 0.76025.
    ends = [auc(rng.normal(1, 1, 60), rng.normal(0, 1, 60)) for _ in range(400)]
    covered = np.mean([found.low <= 0.76025 <= found.high for found in ends])
    assert 0.92 <= covered <= 0.98
    assert np.mean([found.value for found in ends]) == pytest.approx(0.76025, abs=0.005)


def test_delongs_variance_is_the_spread_of_areas() -> None:
    rng = np.random.default_rng(1)
    found = [auc(rng.normal(0, 1, 200), rng.normal(0, 1, 100)) for _ in range(400)]
    spread = np.std([one.value for one in found])
    half = np.mean([one.high - one.low for one in found]) / 2
    assert half / 1.96 == pytest.approx(spread, rel=0.1)


def test_sides_that_do_not_overlap_have_an_interval_too() -> None:
    found = auc(np.arange(10.0, 30), np.arange(10.0))
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.75, "Wilson's end of 0 in 10"
    assert auc(np.arange(10.0), np.arange(10.0, 30)).value == 0
    assert auc(np.ones(5), np.ones(5)).value == 0.5


def test_scores_of_strata_are_never_compared() -> None:
    rng = np.random.default_rng(2)
    strata = ["a", "b"] * 50
    offset = np.array([0.0, 100.0] * 50)
    high, low = rng.normal(1, 1, 100), rng.normal(0, 1, 100)
    found = stratified_auc(high + offset, low + offset, strata, strata)
    same = stratified_auc(high, low, strata, strata)
    assert found.value == pytest.approx(same.value)
    assert auc(high + offset, low + offset).value < found.value - 0.05
    wide = stratified_auc(high, low, strata, strata, inflation=4)
    assert wide.high - wide.low > 1.8 * (same.high - same.low)
    # A stratum with one cell on a side says nothing and is left out.
    more = stratified_auc(np.r_[high, 9.0], np.r_[low, 9.0], [*strata, "c"], [*strata, "c"])
    assert more.value == pytest.approx(same.value)


def test_refusals() -> None:
    two = np.array([0.0, 1.0])
    with pytest.raises(MeasurementError, match="1 scores a side"):
        auc(two, two[:1])
    with pytest.raises(MeasurementError, match="not finite"):
        auc(two, np.array([0.0, np.nan]))
    with pytest.raises(MeasurementError, match="name of its stratum"):
        stratified_auc(two, two, ["a"], ["a", "a"])
    with pytest.raises(MeasurementError, match="no stratum has 2 cells on both sides"):
        stratified_auc(two, two, ["a", "b"], ["a", "b"])
