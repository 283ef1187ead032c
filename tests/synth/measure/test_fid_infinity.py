from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.errors import MeasurementError
from synth.measure import fid_infinity
from synth.measure.fid_infinity import Frechet, frechet_estimates, intercept
from synth.measure.frechet import frechet_distance
from synth.measure.frechet_subsets import frechet_of_subsets

Array = NDArray[np.float64]
SCALES = 1 / np.arange(1, 41)


def _draw(rng: np.random.Generator, count: int, shift: float = 0.0) -> Array:
    return np.asarray(rng.standard_normal((count, 40)) * SCALES + shift * (np.arange(40) == 0))


def test_a_line_in_one_over_n_is_followed_to_its_end() -> None:
    sizes = np.array([10, 20, 40, 20])
    assert intercept(sizes, 3 + 50 / sizes) == pytest.approx(3)


@pytest.mark.parametrize(("n", "m"), [(30, 36), (300, 250)])
def test_the_plain_distance_is_that_of_all_images(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    a, b = _draw(rng, n), _draw(rng, m, 0.5)
    found = frechet_estimates(a, b).plain
    assert found.value == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert found.low < found.value < found.high


def test_a_subset_has_no_image_twice_and_is_at_least_half_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[NDArray[np.integer]] = []

    def note(products: Array, first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
        seen.extend((first, second))
        return frechet_of_subsets(products, first, second)

    monkeypatch.setattr(fid_infinity, "frechet_of_subsets", note)
    monkeypatch.setattr(fid_infinity, "_HALVES", 2)
    rng = np.random.default_rng(4)
    frechet_estimates(_draw(rng, 40), _draw(rng, 40))
    assert {len(rows) for rows in seen} >= {20, 24, 28, 32, 36, 40}
    assert all(len(set(rows)) == len(rows) for rows in seen)


def _found(shift: float, wide: bool, rounds: int) -> list[Frechet]:
    rng = np.random.default_rng(1)
    found = []
    for seed in range(rounds):
        a, b = _draw(rng, 120), _draw(rng, 120, shift)
        if wide:  # features that never change make 120 images fewer than features
            a, b = (np.pad(side, ((0, 0), (0, 200))) for side in (a, b))
        found.append(frechet_estimates(a, b, seed=seed))
    return found


@pytest.mark.parametrize("shift", [0.0, 0.4])
@pytest.mark.parametrize("wide", [False, True])
def test_little_bias_is_left(shift: float, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fid_infinity, "_HALVES", 2)  # the intervals take the time
    found = _found(shift, wide, 150)
    plain = np.mean([one.plain.value for one in found]) - shift**2
    infinity = np.mean([one.infinity.value for one in found]) - shift**2
    assert plain > 0.05
    assert abs(infinity) < plain / 3


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_interval_of_the_extrapolation_holds_the_truth(shift: float) -> None:
    found = _found(shift, wide=False, rounds=30)
    covered = [one.infinity.low <= shift**2 <= one.infinity.high for one in found]
    assert np.mean(covered) >= 0.88


def test_the_plain_interval_holds_what_other_images_give() -> None:
    rng = np.random.default_rng(2)
    found = [frechet_estimates(_draw(rng, 60), _draw(rng, 60, 0.5), seed=i).plain
             for i in range(60)]  # fmt: skip
    mean = np.mean([one.value for one in found])
    assert np.mean([one.low <= mean <= one.high for one in found]) >= 0.88


def test_the_order_changes_it_by_less_than_its_interval_and_the_seed_decides() -> None:
    rng = np.random.default_rng(3)
    a, b = _draw(rng, 60), _draw(rng, 60, 0.5)
    first = frechet_estimates(a, b, seed=1)
    assert frechet_estimates(a, b, seed=1) == first
    other = frechet_estimates(rng.permutation(a), rng.permutation(b), seed=1)
    assert other.plain.value == pytest.approx(first.plain.value, rel=1e-9)
    assert first.infinity.low < other.infinity.value < first.infinity.high


def test_too_few_images_and_what_is_not_finite_are_refused() -> None:
    with pytest.raises(MeasurementError, match="7 images a side; at least 8"):
        frechet_estimates(np.zeros((7, 3)), np.zeros((9, 3)))
    with pytest.raises(MeasurementError, match="not finite"):
        frechet_estimates(np.zeros((9, 3)), np.full((9, 3), np.inf))


def test_images_that_are_all_alike() -> None:
    found = frechet_estimates(np.ones((12, 3)), np.full((12, 3), 3.0))
    assert found.plain.value == pytest.approx(12)
    assert found.infinity.value == pytest.approx(12)
