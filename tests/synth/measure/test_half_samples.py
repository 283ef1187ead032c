from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.measure.half_samples import half_widths
from synth.measure.neighbours import neighbours, squared_distances

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@pytest.mark.parametrize("most", [1_000, 40])
def test_a_difference_of_means_spreads_as_it_should(most: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(200), 2 * rng.standard_normal(200)
    found = half_widths(
        lambda i, j: np.array([a[i].mean() - b[j].mean()]), 200, 200, seed=0, most=most, halves=900
    )
    expected = 1.96 * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 200)
    assert found[0] == pytest.approx(expected, rel=0.08)


def test_rows_come_once_and_the_seed_decides() -> None:
    seen: list[tuple[Rows, Rows]] = []

    def note(i: Rows, j: Rows) -> Array:
        seen.append((i, j))
        return np.array([float(i.sum())])

    first = half_widths(note, 11, 20, seed=3, halves=5)
    assert all(len(set(i)) == len(i) == 5 and len(set(j)) == len(j) == 10 for i, j in seen)
    assert half_widths(note, 11, 20, seed=3, halves=5) == first
    assert half_widths(note, 11, 20, seed=4, halves=5) != first


def test_halves_cover_where_a_bootstrap_with_its_ties_does_not() -> None:
    """The usual bootstrap's fault, planted: images drawn twice are their own neighbours."""
    rng = np.random.default_rng(1)
    n, rounds = 100, 60
    values, halves, low, high = [], [], [], []
    for seed in range(rounds):
        pool = rng.standard_normal((2 * n, 12))
        pool[n:] *= 0.9
        distances = squared_distances(pool)

        def coverage(i: Rows, j: Rows, of: NDArray[np.float32] = distances) -> Array:
            return np.array([neighbours(of, i, n + j, 5).coverage])

        rows = np.arange(n)
        values.append(coverage(rows, rows)[0])
        halves.append(half_widths(coverage, n, n, seed=seed, halves=30)[0])
        drawn = [coverage(rng.integers(0, n, n), rng.integers(0, n, n))[0] for _ in range(40)]
        low.append(np.quantile(drawn, 0.025))
        high.append(np.quantile(drawn, 0.975))
    truth = np.mean(values)
    covered = np.mean(np.abs(np.array(values) - truth) <= halves)
    bootstrap = np.mean((np.array(low) <= truth) & (truth <= np.array(high)))
    assert covered >= 0.88
    assert bootstrap <= 0.5
