from __future__ import annotations

import numpy as np
import pytest
from cleanfid.fid import frechet_distance as clean_fid_distance
from numpy.typing import NDArray

from curation.errors import MeasurementError
from synth.measure import features_pair
from synth.measure.frechet import frechet_distance

Array = NDArray[np.float64]


def _draw(seed: int, count: int, size: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, size)) @ rng.standard_normal((size, size)) + rng.random(size)


def _standardised(seed: int, count: int, size: int) -> Array:
    """Features whose sample mean is exactly 0 and whose sample covariance is exactly 1."""
    x = _draw(seed, count, size)
    x = x - x.mean(axis=0)
    whitener = np.linalg.cholesky(np.linalg.inv(np.cov(x, rowvar=False)))
    return np.asarray(x @ whitener)


@pytest.mark.parametrize(("n", "m"), [(50, 80), (6, 200), (6, 7)])
def test_a_shift_adds_its_square(n: int, m: int) -> None:
    a = _draw(1, n, 12)
    assert frechet_distance(a, a + 3.0) == pytest.approx(12 * 9.0, rel=1e-9)
    b = _draw(2, m, 12)
    near = frechet_distance(a - a.mean(axis=0), b - b.mean(axis=0))
    gap = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    assert frechet_distance(a, b) == pytest.approx(near + gap, rel=1e-9)


def test_commuting_covariances_have_a_closed_form() -> None:
    scales_a, scales_b = np.array([1.0, 2.0, 5.0]), np.array([3.0, 0.5, 5.0])
    a = _standardised(1, 40, 3) * scales_a
    b = _standardised(2, 90, 3) * scales_b
    assert frechet_distance(a, b) == pytest.approx(np.square(scales_a - scales_b).sum(), rel=1e-9)


def test_turned_covariances_have_a_closed_form() -> None:
    # In two dimensions tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    a = _standardised(3, 30, 2) * np.array([1.0, 3.0])
    b = (_standardised(4, 30, 2) * np.array([2.0, 0.5])) @ turn
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    product = cov_a @ cov_b
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(cov_a) + np.trace(cov_b) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("n", "m", "size"), [(60, 90, 8), (200, 30, 16), (500, 500, 24)])
def test_agrees_with_clean_fid(n: int, m: int, size: int) -> None:
    a, b = _draw(5, n, size), _draw(6, m, size)
    theirs = clean_fid_distance(
        a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False)
    )
    assert frechet_distance(a, b) == pytest.approx(float(theirs), rel=1e-3)


def test_few_images_agree_with_the_eigenvalues_of_the_product() -> None:
    a, b = _draw(7, 9, 40), _draw(8, 13, 40)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    eigenvalues = np.linalg.eigvals(cov_a @ cov_b).real.clip(0)
    gap = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    expected = gap + np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(eigenvalues).sum()
    # The root of eigenvalues that are zero but for rounding limits the comparison.
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_is_symmetric_and_zero_on_equal_sets_in_any_order() -> None:
    rng = np.random.default_rng(9)
    for n, size in ((30, 5), (7, 64)):
        a, b = _draw(10, n, size), _draw(11, n + 3, size)
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)
        scale = np.square(a).sum()
        assert 0 <= frechet_distance(a, a) < 1e-10 * scale
        assert 0 <= frechet_distance(a, rng.permutation(a)) < 1e-10 * scale
        shuffled = frechet_distance(rng.permutation(a), rng.permutation(b))
        assert shuffled == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_float32_features_are_worked_on_in_float64() -> None:
    a = (_draw(12, 40, 6) + 1000).astype(np.float32)
    b = (_draw(13, 40, 6) + 1000).astype(np.float32)
    wide = frechet_distance(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(a, b) == wide


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 4)), np.zeros((9, 4)), "1 images a side; at least 2"),
        (np.zeros((9, 4)), np.zeros((9, 5)), "of 4 and of 5 dimensions"),
        (np.zeros((9, 4)), np.full((9, 4), np.nan), "not finite"),
        (np.full((9, 4), np.inf), np.zeros((9, 4)), "not finite"),
        (np.zeros(9), np.zeros((9, 4)), r"must be \(images, features\)"),
    ],
)
def test_refuses_what_cannot_be_compared(a: Array, b: Array, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        frechet_distance(a, b)


def test_more_images_than_features_need_no_more_memory_and_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = _draw(14, 300, 10), _draw(15, 200, 10)
    whole = frechet_distance(a, b)
    monkeypatch.setattr(features_pair, "BLOCK_ROWS", 17)
    assert frechet_distance(a, b) == pytest.approx(whole, rel=1e-10)


def test_images_that_are_all_alike_have_a_distance() -> None:
    for n in (3, 30):
        assert frechet_distance(np.ones((n, 5)), np.ones((n + 1, 5))) == 0
        # By hand: only the means differ, in five features, by two.
        assert frechet_distance(np.ones((n, 5)), np.full((n, 5), 3.0)) == pytest.approx(20)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
def test_few_features_of_the_size_of_inceptions_agree_with_clean_fid() -> None:
    # Skewed and never negative, with few directions that matter, as Inception's are.
    rng = np.random.default_rng(16)
    turn = rng.standard_normal((96, 96)) / np.arange(1, 97)[:, None]
    a = np.maximum(0, rng.standard_normal((400, 96)) @ turn + 0.4).astype(np.float32)
    b = np.maximum(0, rng.standard_normal((300, 96)) @ turn + 0.5).astype(np.float32)
    theirs = clean_fid_distance(
        a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False)
    )
    assert frechet_distance(a, b) == pytest.approx(float(theirs), rel=1e-3)
