"""The Vendi score: how many different images a set amounts to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .features_pair import Features, check_features

Array = NDArray[np.float64]
Rows = NDArray[np.integer]


def cosines(pool: Features) -> Array:
    """Return the cosines between (N, d) features, (N, N) float64 in [-1, 1].

    Raises: MeasurementError where a value is not finite, or a feature vector is zero: it has no
    direction.
    """
    check_features(pool, least=2)
    x = np.asarray(pool, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise MeasurementError("features of zero length have no cosine")
    x = x / norms
    return np.asarray(x @ x.T)


def vendi(similarities: Array, rows: Rows) -> float:
    """Return the Vendi score of some rows of a pool, in [1, number of rows].

    The exponential of the entropy of the eigenvalues of the similarities over their number: k sets
    of equal images, each unlike the others, come out as k.

    Source: Friedman and Dieng, The Vendi Score, TMLR 2023, eq. 3.
    """
    values = np.linalg.eigvalsh(similarities[np.ix_(rows, rows)] / len(rows))
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))
