"""The interval of a score over training seeds and test cells, and of the difference of two.

Two things make a score another one: the seed of the training, and which cells happen to be tested.
The spread over S seeds has S - 1 degrees of freedom; that over cells comes from a bootstrap, in
which subjects are drawn whole where they are known, and else cells within their class. Both
variances add up, and Student's t at the degrees of freedom of Welch and Satterthwaite makes the
interval. The cells' share holds the seeds' own noise once more, so the interval is a little wide.
Where every cell is right a bootstrap sees no spread at all; there the rule of three stands in: of n
cells without a fault, up to 3 / n could have one.

Two scores of the same seeds and the same cells are compared by the spread of their differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 500
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """A score of each seed, (S,), and its mean over seeds in each draw of cells, (draws,).

    `least` is the variance over cells that it has at least.
    """

    seeds: Array
    draws: Array
    least: float = 0.0

    def __sub__(self, other: Score) -> Score:
        """Return the score of differences, seed by seed and draw by draw."""
        least = max(self.least, other.least)
        return Score(self.seeds - other.seeds, self.draws - other.draws, least)

    @property
    def interval(self) -> Interval:
        """The mean with its interval; one seed alone tells of the cells only."""
        from scipy.stats import t

        value = float(self.seeds.mean())
        of_cells = max(float(np.nanvar(self.draws, ddof=1)), self.least)
        freedom = len(self.seeds) - 1
        of_seeds = float(np.var(self.seeds, ddof=1)) / len(self.seeds) if freedom else 0.0
        variance = of_cells + of_seeds
        if variance == 0:
            return Interval(value, value, value)
        freedom_of_both = math.inf if of_seeds == 0 else freedom * (variance / of_seeds) ** 2
        half = float(t.ppf(0.975, freedom_of_both)) * math.sqrt(variance)
        return Interval(value, value - half, value + half)


def mean_score(scores: Sequence[Score]) -> Score:
    """Return the mean of scores of different cells, such as the recalls of some classes."""
    return Score(
        np.mean([one.seeds for one in scores], axis=0),
        np.mean([one.draws for one in scores], axis=0),
        sum(one.least for one in scores) / len(scores) ** 2,
    )


def least_variance(codes: NDArray[np.int64], subjects: Sequence[str | None]) -> dict[int, float]:
    """Return class code -> the least variance of its recall, by the rule of three.

    The n cells, or subjects where they are known, count; 1.96 standard deviations make 3 / n.
    """
    units: dict[int, set[object]] = {}
    for code, group in zip(codes.tolist(), _groups(subjects), strict=True):
        units.setdefault(code, set()).add(group)
    return {code: (3 / len(groups) / _Z95) ** 2 for code, groups in units.items()}


def cell_draws(
    codes: NDArray[np.int64], subjects: Sequence[str | None], seed: int, draws: int = DRAWS
) -> Array:
    """Return how often each of n cells is taken in each draw, (draws, n).

    `codes` (n,) are the cells' classes. Where a subject is known, its cells come together.
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, len(codes)))
    if any(subject is not None for subject in subjects):
        names = {name: place for place, name in enumerate(dict.fromkeys(_groups(subjects)))}
        groups = np.array([names[name] for name in _groups(subjects)])
        even = np.full(len(names), 1 / len(names))
        counts[:] = rng.multinomial(len(names), even, draws)[:, groups]
        return counts
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        counts[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), draws)
    return counts


def _groups(subjects: Sequence[str | None]) -> list[object]:
    # One that is not known is nobody else's.
    return [row if subject is None else subject for row, subject in enumerate(subjects)]
