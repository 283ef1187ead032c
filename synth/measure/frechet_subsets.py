"""Fréchet distances between many subsets of one pool, from the pool's inner products alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .features_pair import Features

Array = NDArray[np.float64]
Rows = NDArray[np.integer]


def inner_products(pool: Features) -> Array:
    """Return the inner products of (N, d) features about their mean, (N, N) float64."""
    x = np.asarray(pool, dtype=np.float64)
    # Distances do not depend on the origin; about the mean no large numbers are subtracted.
    x = x - x.mean(axis=0)
    return np.asarray(x @ x.T)


def frechet_of_subsets(products: Array, first: Rows, second: Rows) -> float:
    """Return the squared Fréchet distance between two subsets of a pool, given by their rows.

    The centred inner products of two subsets have the singular values that the product of their
    covariances' factors has: `frechet_distance` of the same features, at the cost of the subsets'
    sizes and not of the number of features.
    """
    n, m = len(first), len(second)
    across = products[np.ix_(first, second)]
    mean_a, mean_b, mean_across = (
        float(products[np.ix_(first, first)].mean()),
        float(products[np.ix_(second, second)].mean()),
        float(across.mean()),
    )
    gap = mean_a + mean_b - 2 * mean_across
    own = np.diagonal(products)
    spread = (own[first].sum() - n * mean_a) / (n - 1) + (own[second].sum() - m * mean_b) / (m - 1)
    across = across - across.mean(axis=1, keepdims=True)
    across -= across.mean(axis=0)
    overlap = np.linalg.svd(across, compute_uv=False).sum() / np.sqrt((n - 1) * (m - 1))
    return max(0.0, float(gap + spread - 2 * overlap))
