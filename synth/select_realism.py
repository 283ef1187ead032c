"""Does a cell lie where real cells of its class lie: balls about each of these, in feature space.

A ball reaches to the k-th nearest other cell of the class. The score says how much smaller all
balls could be for k of them to hold the cell still: at 1 it has the density 1 of Naeem et al.;
below, the balls have to grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .select_cells import Floats

_FARTHEST = 6.0  # standard deviations: one odd feature must not decide alone
_SMALLEST = 1e-6
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class _Balls:
    """About n real cells of one class: `centres` (n, k) float32, `radii` (n,) float32."""

    centres: Floats
    radii: Floats


@dataclass(frozen=True, slots=True)
class Realism:
    """The balls of each class, over features in standard deviations of all real cells.

    Source: Naeem et al., Reliable Fidelity and Diversity Metrics, ICML 2020, density, eq. 4;
    Kynkäänniemi et al., Improved Precision and Recall Metric, NeurIPS 2019, realism, eq. 3.
    """

    mean: Floats
    scale: Floats
    neighbours: int
    balls: dict[str, _Balls]

    @classmethod
    def fit(
        cls, features_NK: Floats, labels: NDArray[np.str_], classes: Sequence[str], neighbours: int
    ) -> Realism:
        """Put balls about the cells of `classes`, which have at least two each."""
        mean = features_NK.mean(axis=0)
        scale = features_NK.std(axis=0) + np.float32(1e-3)
        scaled = _scale(features_NK, mean, scale)
        balls = {label: _balls(scaled[labels == label], neighbours) for label in classes}
        return cls(mean, scale, neighbours, balls)

    def score(self, features_NK: Floats, asked: Sequence[str]) -> Floats:
        """Return the realism of each cell among those of its label, (n,) float32, over 0.

        NaN where there are no balls of the label.
        """
        found = np.full(len(asked), np.nan, np.float32)
        names = np.array(asked, dtype=str)
        for label, balls in self.balls.items():
            rows = np.flatnonzero(names == label)
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                part = rows[start : start + _ROWS_AT_ONCE]
                growth = _distances(_scale(features_NK[part], self.mean, self.scale), balls.centres)
                growth /= balls.radii
                least = min(self.neighbours, len(balls.radii))
                kth = np.partition(growth, least - 1, axis=1)[:, least - 1]
                found[part] = 1 / np.maximum(kth, _SMALLEST)
        return found


def _balls(scaled: Floats, neighbours: int) -> _Balls:
    k = min(neighbours, len(scaled) - 1)
    radii = np.empty(len(scaled), np.float32)
    for start in range(0, len(scaled), _ROWS_AT_ONCE):
        distances = _distances(scaled[start : start + _ROWS_AT_ONCE], scaled)
        # The nearest is the cell itself.
        radii[start : start + len(distances)] = np.partition(distances, k, axis=1)[:, k]
    return _Balls(scaled, np.maximum(radii, np.float32(_SMALLEST)))


def _scale(rows: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.asarray(np.clip((rows - mean) / scale, -_FARTHEST, _FARTHEST), np.float32)


def _distances(one: Floats, other: Floats) -> Floats:
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * (one @ other.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)), np.float32)
