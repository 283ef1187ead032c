"""The Fréchet distance between two sets of features: FID, when they are Inception's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features_pair import Features, check_pair
from .moments import Moments, factor, moments

Array = NDArray[np.float64]


def frechet_distance(a: Features, b: Features) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to (n, d) and (m, d) features.

    No square root of a matrix is taken. With A'A and B'B the covariances, the trace of
    sqrt(A'A B'B) is the sum of the singular values of AB'. A is the centred features over
    sqrt(n - 1) where n is at most d, and a Cholesky factor of the covariance, added up in blocks,
    where it is more: the memory does not grow with n.

    Source: Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, eq. 6.

    Raises: MeasurementError where a side has fewer than two rows, where the columns differ in
    number, or where a value is not finite.
    """
    check_pair(a, b, least=2)
    mean_a, factor_a = _fitted(a)
    mean_b, factor_b = _fitted(b)
    return _between(mean_a, factor_a, mean_b, factor_b)


def frechet_of_moments(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance of the Gaussians with these moments."""
    return _between(a.mean, factor(a), b.mean, factor(b))


def _fitted(features: Features) -> tuple[Array, Array]:
    """Return the mean, (d,), and F, (at most d, d), with F'F the covariance of the rows."""
    if len(features) > features.shape[1]:
        found = moments(features)
        return found.mean, factor(found)
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)


def _between(mean_a: Array, factor_a: Array, mean_b: Array, factor_b: Array) -> float:
    gap = mean_a - mean_b
    overlap = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    spread = np.square(factor_a).sum() + np.square(factor_b).sum()
    # Rounding can leave equal sets a hair below zero.
    return max(0.0, float(gap @ gap + spread - 2 * overlap))
