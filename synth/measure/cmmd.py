"""CMMD: the kernel distance with a Gaussian kernel, for features as CLIP and DINOv2 give them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .features_pair import Features, blocks
from .floors import Halves, kernel_floors
from .kernel import Estimate, kernel_distance

CLIP_LIKE = ("clip", "dinov2")
"""What stands in the names of extractors whose features CMMD is meant for."""

SCALE = 1_000
"""What the distance is multiplied by, so that it is of a readable size."""

_SIGMA = 10.0

Array = NDArray[np.float64]


def cmmd(a: Features, b: Features, *, seed: int = 0) -> Estimate:
    """Return the CMMD of (n, d) and (m, d) features, unbiased, with a 95 % interval.

    The features are brought to unit length, and the kernel is exp(-|x - y|^2 / 200). Published
    values leave an image's likeness to itself in, and so never fall below zero; these do.

    Source: Jayasumana et al., Rethinking FID, CVPR 2024, section 4, with its constants.

    Raises: MeasurementError as `kernel_distance` does, and where a feature vector is zero.
    """
    found = kernel_distance(unit_rows(a), unit_rows(b), kernel=gaussian, seed=seed)
    return Estimate(found.value * SCALE, found.low * SCALE, found.high * SCALE)


def cmmd_floors(pool: Features, parted: Halves, *, seed: int = 0) -> Array:
    """Return the CMMD between the halves of each split of a pool, (1 + splits,)."""
    return kernel_floors(unit_rows(pool), parted, kernel=gaussian, seed=seed) * SCALE


def gaussian(x: Array, y: Array) -> Array:
    """Return exp(-|x - y|^2 / (2 sigma^2)) with sigma 10."""
    squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * (x @ y.T)
    return np.asarray(np.exp(-squares / (2 * _SIGMA**2)))


def unit_rows(features: Features) -> NDArray[np.float32]:
    """Return features, (n, d), at unit length, float32.

    Raises: MeasurementError where one is zero: it has no direction.
    """
    found = np.empty(features.shape, dtype=np.float32)
    for rows in blocks(len(features)):
        norms = np.linalg.norm(features[rows], axis=1, keepdims=True)
        if not norms.all():
            raise MeasurementError("features of zero length cannot be brought to unit length")
        found[rows] = features[rows] / norms
    return found
