from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from cleanfid.fid import kernel_distance as clean_fid_distance
from numpy.typing import NDArray
from torch_fidelity.metric_kid import kernel_mmd

from curation.errors import MeasurementError
from synth.measure import kernel
from synth.measure.kernel import kernel_distance

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]
SIZE = 64
ROUNDS = 200


def _even(rng: np.random.Generator, count: int) -> Array:
    return rng.standard_normal((count, SIZE))


def _uneven(rng: np.random.Generator, count: int) -> Array:
    """A few directions hold most of the spread, as in the features of one cell class."""
    scales = 1 / np.sqrt(np.arange(1, SIZE + 1))
    scales *= np.sqrt(SIZE / np.square(scales).sum())
    return np.asarray(rng.standard_normal((count, SIZE)) * scales)


def _rectified(rng: np.random.Generator, count: int) -> Array:
    """Non-negative and skewed, as what comes out of a network's last rectifier."""
    return np.maximum(0, 0.7 * _uneven(rng, count) + 0.1)


def _naive(x: Array, y: Array) -> float:
    def k(a: Array, b: Array) -> float:
        return float((sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i, j in product(range(n), repeat=2) if i != j)
    within_y = sum(k(y[i], y[j]) for i, j in product(range(m), repeat=2) if i != j)
    across = sum(k(a, b) for a, b in product(x, y))
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)


def _coverage(draw: Draw, n: int, m: int, shift: float, truth: float) -> tuple[float, float, float]:
    """Return the share of intervals that hold the truth, and that lie above and below it."""
    rng = np.random.default_rng(20)
    found = [
        kernel_distance(draw(rng, n), draw(rng, m) + shift, seed=i, draws=400)
        for i in range(ROUNDS)
    ]
    above = np.mean([estimate.low > truth for estimate in found])
    below = np.mean([estimate.high < truth for estimate in found])
    return float(1 - above - below), float(above), float(below)


@pytest.mark.parametrize(("n", "m"), [(7, 9), (12, 5)])
def test_the_value_is_that_of_two_plain_loops(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 6)), rng.standard_normal((m, 6)) + 0.5
    assert kernel_distance(x, y).value == pytest.approx(_naive(x, y), rel=1e-10)


def test_the_value_is_clean_fids_where_its_subsets_are_everything() -> None:
    rng = np.random.default_rng(1)
    x, y = _rectified(rng, 50), _rectified(rng, 50) + 0.2
    theirs = clean_fid_distance(x, y, num_subsets=1, max_subset_size=50)
    assert kernel_distance(x, y).value == pytest.approx(theirs, rel=1e-9)


def test_the_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    x, y = _uneven(rng, 23), _uneven(rng, 31) + 0.2
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel, "_BLOCK", 5)
    parts = kernel_distance(x, y)
    assert parts.value == pytest.approx(whole.value, rel=1e-9)
    assert parts.low == pytest.approx(whole.low, rel=1e-6)
    assert parts.high == pytest.approx(whole.high, rel=1e-6)


def test_the_variance_of_pairs_is_that_of_the_centred_kernel() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((200, SIZE)) * 1e-2
    ones = np.ones((1, len(x)))
    # So near zero the cube is 1 + 3 x.y / d: the pairs' variance is 9 trace(C^2) / d^2.
    expected = 9 * np.trace(np.linalg.matrix_power(np.eye(SIZE) * 1e-4, 2)) / SIZE**2
    assert kernel._within(x, ones).pair_variance == pytest.approx(expected, rel=0.05, abs=0)
    y = rng.standard_normal((150, SIZE)) * 1e-2
    across = kernel._across(x, y, ones, np.ones((1, len(y))))
    assert across.pair_variance == pytest.approx(expected, rel=0.05, abs=0)


def test_the_variance_of_pairs_is_unbiased_for_few_images() -> None:
    rng = np.random.default_rng(10)
    ones = np.ones((1, 6))
    found = [
        kernel._within(rng.standard_normal((6, SIZE)) * 1e-2, ones).pair_variance
        for _ in range(2_000)
    ]
    expected = 9 * SIZE * 1e-8 / SIZE**2
    assert np.mean(found) == pytest.approx(expected, rel=0.05, abs=0)


def test_the_noise_of_pairs_is_not_taken_for_the_spread_of_single_images() -> None:
    rng = np.random.default_rng(8)
    reach, multipliers = rng.standard_normal(50), kernel._multipliers(rng, 20_000, 50)
    variance = float(np.var(reach, ddof=1))
    draws = kernel._singles(reach, multipliers, variance / 4, reference=2.0)
    assert np.var(draws) == pytest.approx(4 * (variance * 3 / 4) / 2 / 50, rel=0.05)
    assert not kernel._singles(reach, multipliers, variance, reference=2.0).any()


def test_the_multipliers_have_the_moments_they_need() -> None:
    draws = kernel._multipliers(np.random.default_rng(9), 1_000, 1_000)
    for power, moment in ((1, 0), (2, 1), (3, 1)):
        assert np.mean(draws**power) == pytest.approx(moment, abs=0.01)


@pytest.mark.e2e
@pytest.mark.parametrize("draw", [_even, _uneven, _rectified])
@pytest.mark.parametrize(("n", "m"), [(40, 40), (10, 60)])
def test_two_draws_of_one_distribution_cover_zero(draw: Draw, n: int, m: int) -> None:
    coverage, above, below = _coverage(draw, n, m, 0.0, 0.0)
    assert 0.90 <= coverage <= 0.99
    assert max(above, below) <= 0.08


# Truths by averaging the estimate over independent pairs of 4,000; a shift of every feature.
@pytest.mark.e2e
@pytest.mark.parametrize(
    ("draw", "shift", "truth"),
    [(_even, 0.1, 0.0315), (_even, 0.3, 0.3014), (_uneven, 0.1, 0.0334), (_uneven, 0.3, 0.315)],
)
def test_two_distributions_cover_their_distance(draw: Draw, shift: float, truth: float) -> None:
    coverage, above, below = _coverage(draw, 40, 40, shift, truth)
    assert coverage >= 0.87
    assert above <= 0.08
    assert below <= 0.12


def test_the_estimate_is_unbiased_where_nothing_differs() -> None:
    rng = np.random.default_rng(4)
    values = [
        kernel_distance(_even(rng, 20), _even(rng, 30), draws=10).value for _ in range(ROUNDS)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(ROUNDS)


def test_the_seed_decides_and_the_value_does_not_depend_on_it() -> None:
    rng = np.random.default_rng(5)
    x, y = _uneven(rng, 30), _uneven(rng, 30)
    first = kernel_distance(x, y, seed=1)
    assert kernel_distance(x, y, seed=1) == first
    other = kernel_distance(x, y, seed=2)
    assert other.value == first.value
    assert other != first
    # The seed is only the noise of the draws: it moves the ends little.
    assert other.high - other.low == pytest.approx(first.high - first.low, rel=0.15)


def test_the_interval_holds_the_value_and_narrows() -> None:
    rng = np.random.default_rng(6)
    widths = []
    for n in (10, 40, 160, 640):
        found = kernel_distance(_uneven(rng, n), _uneven(rng, n) + 0.3)
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert found.low > 0


def test_order_does_not_matter_to_the_value_and_sides_can_be_swapped() -> None:
    rng = np.random.default_rng(7)
    x, y = _rectified(rng, 30), _rectified(rng, 20) + 0.1
    value = kernel_distance(x, y).value
    assert kernel_distance(rng.permutation(x), y).value == pytest.approx(value, rel=1e-9)
    assert kernel_distance(y, x).value == pytest.approx(value, rel=1e-9)


def test_sets_without_any_spread() -> None:
    x = np.ones((5, 3))
    same = kernel_distance(x, x)
    assert same.value == pytest.approx(0, abs=1e-12)
    assert same.low <= same.value <= same.high
    # By hand: k(1, 1) = 8 and k(0, 0) = k(0, 1) = 1, so 8 + 1 - 2.
    apart = kernel_distance(x, np.zeros((6, 3)))
    assert [apart.value, apart.low, apart.high] == pytest.approx([7, 7, 7])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((3, 4)), np.zeros((9, 4)), "3 images a side; at least 4"),
        (np.zeros((9, 4)), np.zeros((9, 5)), "of 4 and of 5 dimensions"),
        (np.zeros((9, 4)), np.full((9, 4), np.nan), "not finite"),
    ],
)
def test_refuses_what_cannot_be_compared(a: Array, b: Array, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        kernel_distance(a, b)


def test_the_value_is_torch_fidelitys() -> None:
    rng = np.random.default_rng(11)
    x, y = _rectified(rng, 40), _rectified(rng, 40) + 0.2
    assert kernel_distance(x, y).value == pytest.approx(kernel_mmd(x, y), rel=1e-9)


def _in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "ALL_PAIRS", 50)
    monkeypatch.setattr(kernel, "BLOCK_IMAGES", 20)


def test_blocks_are_at_least_ten_and_not_large() -> None:
    assert kernel.block_count(5_000, 10) == 1
    assert kernel.block_count(5_001, 5_001) == 10
    assert kernel.block_count(10, 200_000) == 80


def test_in_blocks_the_value_is_unbiased_and_the_interval_covers_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _in_blocks(monkeypatch)
    rng = np.random.default_rng(12)
    for shift, truth in ((0.0, 0.0), (0.3, 0.3014)):  # the truths of the test above
        found = [
            kernel_distance(_even(rng, 200), _even(rng, 240) + shift, seed=i) for i in range(ROUNDS)
        ]
        values = np.array([estimate.value for estimate in found])
        assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(ROUNDS) + 1e-3
        covered = np.mean([estimate.low <= truth <= estimate.high for estimate in found])
        assert 0.90 <= covered <= 0.99


def test_in_blocks_the_mean_is_of_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _in_blocks(monkeypatch)
    rng = np.random.default_rng(13)
    seen: list[Array] = []

    def note(x: Array, y: Array) -> Array:
        seen.append(x[:, 0])
        return kernel.polynomial(x, y)

    x, y = np.arange(120.0).reshape(60, 2), rng.random((55, 2)) - 9
    first = kernel_distance(x, y, kernel=note, seed=1)
    found = np.concatenate(seen)
    # Within the set and across: each image of it is a row twice, and none else.
    assert sorted(found[found >= 0]) == sorted([*x[:, 0], *x[:, 0]])
    assert kernel_distance(x, y, seed=1) == first
    assert kernel_distance(x, y, seed=2).value != first.value


def test_few_images_against_many_are_not_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    _in_blocks(monkeypatch)
    rng = np.random.default_rng(14)
    x, y = _even(rng, 12), _even(rng, 70)
    assert kernel_distance(x, y).value == pytest.approx(kernel.kernel_mean(x, y), rel=1e-12)


def test_an_estimate_below_zero_has_an_interval_however_few_the_draws() -> None:
    rng = np.random.default_rng(15)
    found = [kernel_distance(_even(rng, 20), _even(rng, 20), draws=2, seed=i) for i in range(50)]
    assert any(estimate.value < 0 for estimate in found)
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found)
