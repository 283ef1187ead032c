"""Thresholds follow each acquisition; bad values, few cells, bad acquisitions do not fool them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.validate.checks import (
    CHECK_NAMES,
    AcquisitionThreshold,
    Checked,
    Measures,
    calibrate,
)
from curation.validate.checks.robust import group_quantiles, polish
from curation.vocabulary import LABEL_IDS

Raw = dict[str, NDArray[np.float32]]
USUAL = Measures(-1.4, 1.3, 0.9, 0.0, 0.2, 0.0, 0.05, 0.0, 0.2, 2.0, 100.0, 60.0)
SPREAD = Measures(0.1, 0.04, 0.01, 0.0, 0.05, 0.0, 0.3, 0.0, 0.1, 0.1, 0.08, 0.08)
"""As shares of the level."""


def cells(count: int, seed: int = 0, **usual: float) -> Raw:
    """Raw columns of sound cells of one acquisition, with another level of some; no outliers."""
    rng = np.random.default_rng(seed)
    level = USUAL._replace(**usual)
    return {
        name: (mean * (1 + spread * rng.normal(0, 1, count).clip(-2, 2))).astype(np.float32)
        for name, mean, spread in zip(Measures._fields, level, SPREAD, strict=True)
    }


def together(*parts: Raw) -> tuple[Raw, NDArray[np.int64]]:
    sizes = [len(part["ground"]) for part in parts]
    raw = {name: np.concatenate([part[name] for part in parts]) for name in Measures._fields}
    return raw, np.repeat(np.arange(len(parts)), sizes)


def threshold(found: Checked, check: str, acquisition: int) -> AcquisitionThreshold:
    result = next(one for one in found.report.checks if one.check == check)
    return next(one for one in result.acquisitions if one.acquisition == acquisition)


def flagged(found: Checked, check: str) -> list[int]:
    return np.flatnonzero(found.flags[check]).tolist()


def test_each_acquisition_has_its_own_threshold() -> None:
    """0.75 is dark where the light is 0.9, and bright where it is 0.6."""
    raw, acquisition = together(cells(300), cells(300, 1, ground=0.6))
    raw["ground"][[7, 407]] = 0.75
    found = calibrate(raw, acquisition)
    assert flagged(found, "too_dark") == [7]
    assert flagged(found, "too_bright") == [407]
    first, second = (threshold(found, "too_dark", one) for one in (0, 1))
    assert first.calibrated_on == second.calibrated_on == "acquisition"
    assert first.level == pytest.approx(-np.log(0.9), abs=0.01)
    assert second.level == pytest.approx(-np.log(0.6), abs=0.01)
    assert (first.flagged, second.flagged) == (1, 0)
    at_once = calibrate(raw, np.zeros(600, np.int64))
    assert flagged(at_once, "too_dark") == flagged(at_once, "too_bright") == []


@pytest.mark.parametrize("share", [0.02, 0.1, 0.15])
def test_many_faults_do_not_pass_for_usual(share: float) -> None:
    raw = cells(1000)
    bad = np.arange(round(1000 * share))
    raw["sharpness"][bad] -= 2.0
    found = calibrate(raw, np.zeros(1000, np.int64))
    assert flagged(found, "focus") == bad.tolist()


def test_a_score_is_one_at_what_is_usual_and_a_half_at_the_threshold() -> None:
    raw = cells(999)
    raw["off_centre"] = np.linspace(0, 0.999, 999).astype(np.float32) ** 8
    found = calibrate(raw, np.zeros(999, np.int64))
    scores, where = found.scores["off_centre"], raw["off_centre"]
    limit = threshold(found, "off_centre", 0)
    assert scores.dtype == np.float32
    assert (np.diff(scores) <= 0).all()
    assert (scores[where <= limit.level] == 1).all()
    assert np.interp(limit.threshold, where, scores) == pytest.approx(0.5, abs=0.01)
    assert (found.flags["off_centre"] == (scores < 0.5)).all()
    assert scores.min() >= 0


def test_classes_have_levels_of_their_own() -> None:
    """A platelet is small and pale; a lymphocyte of that size is at the wrong magnification."""
    raw, kind = together(cells(200), cells(200, 1, core=0.7, diameter_px=25, chord_px=40))
    labels = np.array([LABEL_IDS["lymphocyte"], LABEL_IDS["platelet"]])[kind]
    for name in ("core", "diameter_px", "chord_px"):
        raw[name][5] = raw[name][300]
    found = calibrate(raw, np.zeros(400, np.int64), labels)
    assert flagged(found, "magnification") == [5]
    assert flagged(found, "empty") == [5]
    result = next(one for one in found.report.checks if one.check == "empty")
    assert result.flagged_by_label == {"lymphocyte": 1}
    without = calibrate(raw, np.zeros(400, np.int64))
    assert all(set(one.flagged_by_label) <= {"any"} for one in without.report.checks)


def test_magnification_looks_both_ways() -> None:
    raw = cells(300)
    for row, factor in ((3, 2.0), (4, 0.5)):
        raw["diameter_px"][row] *= factor
        raw["chord_px"][row] *= factor
    raw["diameter_px"][5] *= 1.6  # a large cell among red cells of the usual size
    found = calibrate(raw, np.zeros(300, np.int64))
    assert flagged(found, "magnification") == [3, 4]


def test_few_cells_borrow_what_they_lack_and_say_so() -> None:
    raw, acquisition = together(cells(300), cells(15, 1, ground=0.6), cells(4, 2, ground=0.6))
    raw["ground"][302] = 0.4
    found = calibrate(raw, acquisition)
    basis = [threshold(found, "too_dark", one).calibrated_on for one in range(3)]
    assert basis == ["acquisition", "own level, spread of all", "all"]
    # Fifteen cells have a level; four are judged by all cells, which are brighter.
    assert flagged(found, "too_dark") == [302, 315, 316, 317, 318]
    assert not found.report.too_few


def test_a_handful_of_cells_is_judged_by_what_is_never_a_fault() -> None:
    raw = cells(6)
    raw["filled"][2] = 0.3
    found = calibrate(raw, np.zeros(6, np.int64))
    assert found.report.too_few
    assert flagged(found, "truncated") == [2]
    assert found.report.flagged == 1


def test_no_cells_and_one_cell() -> None:
    nothing = calibrate(cells(0), np.zeros(0, np.int64))
    assert nothing.report.cells == nothing.report.flagged == 0
    assert {name: len(scores) for name, scores in nothing.scores.items()} == dict.fromkeys(
        CHECK_NAMES, 0
    )
    alone = calibrate(cells(1), np.zeros(1, np.int64), np.array([LABEL_IDS["basophil"]]))
    assert alone.report.flagged == 0
    assert all(scores.tolist() == [1.0] for scores in alone.scores.values())


def test_an_acquisition_that_is_blurred_as_a_whole_is_flagged() -> None:
    raw, acquisition = together(cells(200), cells(200, 1, sharpness=-4.0))
    found = calibrate(raw, acquisition)
    assert flagged(found, "focus") == list(range(200, 400))
    assert threshold(found, "focus", 1).worse_than_others
    assert not threshold(found, "focus", 0).worse_than_others
    assert threshold(found, "focus", 1).threshold < 4.0
    assert (found.scores["focus"][200:] < 0.5).all()


def test_of_two_lights_none_is_wrong_of_three_one_is() -> None:
    raw, acquisition = together(cells(100), cells(100, 1, ground=0.5))
    assert flagged(calibrate(raw, acquisition), "too_dark") == []
    raw, acquisition = together(cells(100), cells(100, 1, ground=0.5), cells(100, 2, ground=0.88))
    found = calibrate(raw, acquisition)
    assert flagged(found, "too_dark") == list(range(100, 200))
    assert flagged(found, "too_bright") == []


def test_acquisition_numbers_are_the_callers() -> None:
    raw, acquisition = together(cells(100), cells(50, 1, ground=0.6))
    found = calibrate(raw, np.array([907, -3])[acquisition])
    assert [one.acquisition for one in found.report.checks[0].acquisitions] == [-3, 907]
    assert threshold(found, "focus", 907).cells == 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(40, 200))
def test_the_order_of_cells_does_not_matter(seed: int, count: int) -> None:
    raw, acquisition = together(cells(count, seed % 97), cells(count // 2, 1, ground=0.7))
    labels = np.arange(len(acquisition)) % 3
    order = np.random.default_rng(seed).permutation(len(acquisition))
    found = calibrate(raw, acquisition, labels)
    moved = calibrate(
        {name: values[order] for name, values in raw.items()}, acquisition[order], labels[order]
    )
    assert found.report == moved.report
    for name in CHECK_NAMES:
        assert np.allclose(found.scores[name][order], moved.scores[name], atol=1e-6)


def _without(raw: Raw, name: str) -> Raw:
    return {key: values for key, values in raw.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: _without(raw, "ground"), "no raw column 'ground'; found sharpness"),
        (lambda raw: {**raw, "core": raw["core"][:-1]}, r"'core' of shape \(39,\); expected"),
        (lambda raw: {**raw, "core": raw["core"] * np.nan}, "'core' has a value that is not fin"),
    ],
)
def test_raw_columns_that_do_not_fit_are_refused(change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        calibrate(change(cells(40)), np.zeros(40, np.int64))
    with pytest.raises(ValueError, match="3 labels for 40 cells"):
        calibrate(cells(40), np.zeros(40, np.int64), np.zeros(3, np.int64))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50)), min_size=1, max_size=40))
def test_quantiles_of_groups_against_numpy(pairs: list[tuple[int, int]]) -> None:
    groups = np.array([group for group, _ in pairs])
    values = np.array([value for _, value in pairs], np.float64)
    found = group_quantiles(values, groups, 4, (0.0, 0.25, 0.5, 0.9, 1.0))
    for group in range(4):
        mine = values[groups == group]
        if len(mine):
            assert np.allclose(found[group], np.quantile(mine, (0.0, 0.25, 0.5, 0.9, 1.0)))
        else:
            assert np.isnan(found[group]).all()


def test_polish_takes_both_levels_away() -> None:
    rows, columns = np.divmod(np.arange(12).repeat(5), 4)
    noise = np.tile([-0.2, -0.1, 0.0, 0.1, 0.2], 12)
    values = np.array([0.0, 5.0, -3.0])[rows] + np.array([1.0, 0.0, 9.0, 2.0])[columns] + noise
    assert np.allclose(polish(values, rows, columns, (3, 4)), noise)
