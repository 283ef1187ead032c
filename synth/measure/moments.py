"""Mean and covariance of features, added up block by block: what a Gaussian is fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .features_pair import Features, blocks

Array = NDArray[np.float64]
Rows = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Moments:
    """How many rows there were, their mean (d,), and their scatter about it, (d, d) float64."""

    count: int
    mean: Array
    scatter: Array


def moments(features: Features, rows: Rows | None = None) -> Moments:
    """Return the moments of (n, d) features, or of some rows, block by block.

    The memory does not grow with n.

    Raises: MeasurementError where there are none.
    """
    whole: Moments | None = None
    for part in blocks(len(features) if rows is None else len(rows)):
        block = np.asarray(features[part if rows is None else rows[part]], dtype=np.float64)
        mean = block.mean(axis=0)
        block = block - mean
        own = Moments(len(block), mean, block.T @ block)
        whole = own if whole is None else merged([whole, own])
    if whole is None:
        raise MeasurementError("no features to take moments of")
    return whole


def merged(parts: Sequence[Moments]) -> Moments:
    """Return the moments of several sets, at least one, together.

    Source: Chan, Golub and LeVeque, Am Stat 37 (1983), eq. 2.1: no large sums are subtracted.
    """
    count = sum(part.count for part in parts)
    mean = sum((part.mean * part.count for part in parts), np.zeros_like(parts[0].mean)) / count
    scatter = np.zeros_like(parts[0].scatter)
    for part in parts:
        gap = part.mean - mean
        scatter += part.scatter
        scatter += part.count * np.outer(gap, gap)
    return Moments(count, mean, scatter)


def without(whole: Moments, part: Moments) -> Moments:
    """Return the moments of what is left of a set once a part of it is taken away."""
    count = whole.count - part.count
    mean = (whole.mean * whole.count - part.mean * part.count) / count
    gap = part.mean - mean
    scatter = whole.scatter - part.scatter
    scatter -= part.count * count / whole.count * np.outer(gap, gap)
    return Moments(count, mean, scatter)


def factor(found: Moments) -> Array:
    """Return F, (rank, d) float64, with F'F the covariance, which may be singular.

    Source: Higham, Analysis of the Cholesky decomposition of a semi-definite matrix (1990):
    with pivoting it stops at the rank.
    """
    from scipy.linalg.lapack import dpstrf

    covariance = found.scatter / (found.count - 1)
    upper, pivots, rank, _ = dpstrf(covariance, lower=0)
    unpivoted = np.empty((int(rank), len(covariance)))
    unpivoted[:, pivots - 1] = np.triu(upper)[: int(rank)]
    return unpivoted
