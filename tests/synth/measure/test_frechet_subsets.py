from __future__ import annotations

import numpy as np
import pytest

from synth.measure.frechet import frechet_distance, frechet_of_moments
from synth.measure.frechet_subsets import frechet_of_subsets, inner_products
from synth.measure.moments import moments


@pytest.mark.parametrize(("n", "m", "size"), [(20, 35, 200), (200, 300, 20), (30, 30, 30)])
def test_inner_products_give_the_distance_of_the_features(n: int, m: int, size: int) -> None:
    pool = np.random.default_rng(0).standard_normal((n + m + 5, size)) + 1_000
    pool[n:] *= 1.5
    rows = np.random.default_rng(1).permutation(len(pool))
    first, second = rows[:n], rows[n : n + m]
    expected = frechet_distance(pool[first], pool[second])
    found = frechet_of_subsets(inner_products(pool), first, second)
    assert found == pytest.approx(expected, rel=1e-9)


def test_moments_give_it_too() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((90, 8)), rng.standard_normal((60, 8)) * 2 + 1
    expected = frechet_distance(a, b)
    assert frechet_of_moments(moments(a), moments(b)) == pytest.approx(expected, rel=1e-9)


def test_a_set_is_at_no_distance_from_itself() -> None:
    pool = np.random.default_rng(3).standard_normal((12, 40))
    rows = np.arange(12)
    assert frechet_of_subsets(inner_products(pool), rows, rows[::-1]) < 1e-9
