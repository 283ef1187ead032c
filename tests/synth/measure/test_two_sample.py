from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from curation.errors import MeasurementError
from synth.measure.pixel_scores import PIXEL_FOLDS, pixel_scores
from synth.measure.two_sample import curved_scores, folds, linear_scores, told_apart
from tests.synth.measure.made_blots import blots

LABELS = ["a"] * 40 + ["b"] * 20


def _rows(seed: int, n: int = 60, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (n, d))


def test_folds_hold_every_class_evenly() -> None:
    labels = ["a"] * 23 + ["b"] * 5 + ["c"] * 7
    found = folds(labels, 5, seed=3)
    for label, count in Counter(labels).items():
        sizes = np.bincount(found[[one == label for one in labels]], minlength=5)
        assert sizes.sum() == count
        assert np.ptp(sizes) <= 1
    assert np.ptp(np.bincount(found)) <= 1
    assert (folds(labels, 5, seed=3) == found).all()


def test_sides_of_one_kind_are_told_as_often_as_not() -> None:
    found = [
        told_apart(_rows(seed), _rows(seed + 500), LABELS, LABELS, linear_scores)
        for seed in range(40)
    ]
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.03)
    covered = np.mean([one.low <= 0.5 <= one.high for one in found])
    assert covered >= 0.9


def test_a_shift_is_told_and_a_spread_only_with_squares() -> None:
    real, shifted = _rows(0), _rows(1) + 1.2
    assert told_apart(real, shifted, LABELS, LABELS, linear_scores).low > 0.8
    wide = _rows(2) * 2
    assert told_apart(real, wide, LABELS, LABELS, linear_scores).value < 0.7
    assert told_apart(real, wide, LABELS, LABELS, curved_scores).low > 0.8


def test_one_row_far_off_and_columns_that_never_change_do_no_harm() -> None:
    real, shifted = _rows(0), _rows(1) + 1.5
    real[0, 0] = 1e6
    even = np.ones((60, 2))
    found = told_apart(
        np.concatenate([real, even], axis=1), np.concatenate([shifted, even], axis=1),
        LABELS, LABELS, curved_scores,
    )  # fmt: skip
    assert found.value > 0.9
    assert told_apart(even, even, LABELS, LABELS, curved_scores).value == 0.5


def test_no_cell_is_scored_by_what_learned_from_it() -> None:
    seen: list[tuple[set[float], set[float]]] = []

    def spy(learned: np.ndarray, is_second: np.ndarray, asked: np.ndarray) -> np.ndarray:
        seen.append((set(learned[:, 0]), set(asked[:, 0])))
        assert is_second.any()
        assert not is_second.all()
        return np.asarray(asked[:, 0], np.float64)

    one, other = np.arange(60.0)[:, None], np.arange(60.0, 120)[:, None]
    found = told_apart(one, other, LABELS, LABELS, spy)
    assert found.value == 1
    assert all(not learned & asked for learned, asked in seen)
    assert set().union(*(asked for _, asked in seen)) == set(range(120))
    # Noise that one row carries on both sides is not learned either.
    same = told_apart(_rows(5), _rows(5), LABELS, LABELS, linear_scores)
    assert same.value < 0.7


def test_refusals() -> None:
    with pytest.raises(MeasurementError, match="by their classes"):
        told_apart(_rows(0), _rows(1), LABELS, ["a"] * 60, linear_scores)
    with pytest.raises(MeasurementError, match="10 cells a side; 20 are needed"):
        told_apart(_rows(0, 10), _rows(1, 10), ["a"] * 10, ["a"] * 10, linear_scores)
    bad = _rows(0)
    bad[3, 1] = np.nan
    with pytest.raises(MeasurementError, match="not finite"):
        told_apart(bad, _rows(1), LABELS, LABELS, linear_scores)


def test_a_network_tells_pixels_apart_and_not_where_there_is_nothing() -> None:
    real, others = blots(0, 60, 32), blots(1, 60, 32)
    green = others.copy()
    green[..., 1] //= 2
    told = told_apart(real, green, LABELS, LABELS, pixel_scores, parts=PIXEL_FOLDS)
    assert told.low > 0.9
    same = told_apart(real, others, LABELS, LABELS, pixel_scores, parts=PIXEL_FOLDS)
    assert same.value < 0.7
    again = told_apart(real, others, LABELS, LABELS, pixel_scores, parts=PIXEL_FOLDS)
    assert same == again
