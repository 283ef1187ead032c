"""Distances within a pool of features, and what nearest neighbours say about two of its subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .features_pair import Features, blocks, check_features

Distances = NDArray[np.float32]
"""(N, N) squared distances."""
Rows = NDArray[np.integer]

NAMES = ("precision", "recall", "density", "coverage")

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How two sets lie in each other: four shares, of which density can exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def squared_distances(pool: Features) -> Distances:
    """Return the squared distances within (N, d) features, (N, N) float32; equal rows get 0.

    Raises: MeasurementError where a value is not finite.
    """
    check_features(pool, least=2)
    x = np.asarray(pool, dtype=np.float64)
    x = x - x.mean(axis=0)
    squares = np.square(x).sum(axis=1)
    found = np.empty((len(x), len(x)), dtype=np.float32)
    for rows in blocks(len(x), _BLOCK):
        block = squares[rows, None] + squares - 2 * (x[rows] @ x.T)
        # What is left of equal rows is rounding, relative to their size.
        block[block < 1e-12 * (squares[rows, None] + squares)] = 0
        found[rows] = block
    return found


def neighbours(distances: Distances, real: Rows, made: Rows, k: int) -> Neighbours:
    """Return precision, recall, density and coverage of made rows against real ones, by k nearest.

    Source: Kynkaanniemi et al., Improved Precision and Recall, NeurIPS 2019, eq. 1-3; Naeem et
    al., Reliable Fidelity and Diversity Metrics, ICML 2020, eq. 4 and 5.

    Raises: MeasurementError where a side has no more than k rows.
    """
    if min(len(real), len(made)) <= k:
        raise MeasurementError(
            f"{min(len(real), len(made))} images a side have no {k} neighbours each"
        )
    across = distances[np.ix_(real, made)]
    reach_real = _reach(distances[np.ix_(real, real)], k)
    reach_made = _reach(distances[np.ix_(made, made)], k)
    inside_real = across < reach_real[:, None]
    return Neighbours(
        precision=float(inside_real.any(axis=0).mean()),
        recall=float((across < reach_made).any(axis=1).mean()),
        density=float(inside_real.sum() / (k * len(made))),
        coverage=float(inside_real.any(axis=1).mean()),
    )


def _reach(within: Distances, k: int) -> NDArray[np.float32]:
    """Return the squared distance of each row to its k-th nearest other one, (n,)."""
    # The row itself, at 0, is the nearest of all.
    return np.asarray(np.partition(within, k, axis=1)[:, k], dtype=np.float32)
