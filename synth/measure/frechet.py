"""The Fréchet distance between two sets of features: FID, when they are Inception's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

Features = NDArray[np.floating]
"""(n, d) of any float type; worked on in float64."""


def frechet_distance(a: Features, b: Features) -> float:
    """Return the squared Fréchet distance of Gaussians fitted to (n, d) and (m, d) features.

    No square root of a matrix is taken. With A and B the centred features over sqrt(n - 1) and
    sqrt(m - 1), the covariances are A'A and B'B, and the trace of sqrt(A'A B'B) is the sum of the
    singular values of AB', which has the smaller of the sides n, m and d.

    Source: Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017, eq. 6.

    Raises: MeasurementError where a side has fewer than two rows, where the columns differ in
    number, or where a value is not finite.
    """
    x, y = checked_pair(a, b, least=2)
    mean_gap = x.mean(axis=0) - y.mean(axis=0)
    factor_x, factor_y = _factor(x), _factor(y)
    overlap = np.linalg.svd(factor_x @ factor_y.T, compute_uv=False).sum()
    spread = np.square(factor_x).sum() + np.square(factor_y).sum()
    # Rounding can leave equal sets a hair below zero.
    return max(0.0, float(mean_gap @ mean_gap + spread - 2 * overlap))


def checked_pair(
    a: Features, b: Features, *, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two feature sets, (n, d) and (m, d), as float64, once they can be compared.

    Raises: MeasurementError where they cannot: shape, number of rows, or a value not finite.
    """
    for side in (a, b):
        if side.ndim != 2:
            raise MeasurementError(f"features must be (images, features), not {side.shape}")
        if side.shape[0] < least:
            raise MeasurementError(f"{side.shape[0]} images a side; at least {least} are needed")
        if not np.isfinite(side).all():
            raise MeasurementError("features hold values that are not finite")
    if a.shape[1] != b.shape[1]:
        raise MeasurementError(
            f"features of {a.shape[1]} and of {b.shape[1]} dimensions cannot be compared"
        )
    return a.astype(np.float64), b.astype(np.float64)


def _factor(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return F, (min(n, d), d), with F'F the covariance of the rows of x."""
    centred = np.asarray((x - x.mean(axis=0)) / np.sqrt(len(x) - 1), dtype=np.float64)
    if len(x) <= x.shape[1]:
        return centred
    # R of QR has the same R'R at fewer rows, and the singular values of a product keep theirs.
    return np.asarray(np.linalg.qr(centred, mode="r"), dtype=np.float64)
