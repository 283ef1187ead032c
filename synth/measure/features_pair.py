"""Two sets of features that can be compared; read in blocks, so that none is held twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

Features = NDArray[np.floating]
"""(n, d) of any float type, in memory or mapped from a file; worked on in float64."""

BLOCK_ROWS = 4_096


def check_pair(a: Features, b: Features, *, least: int) -> None:
    """Refuse feature sets, (n, d) and (m, d), that cannot be compared.

    Raises: MeasurementError for their shape, number of rows, or a value that is not finite.
    """
    for side in (a, b):
        check_features(side, least=least)
    if a.shape[1] != b.shape[1]:
        raise MeasurementError(
            f"features of {a.shape[1]} and of {b.shape[1]} dimensions cannot be compared"
        )


def check_features(side: Features, *, least: int) -> None:
    """Refuse features, (n, d), of another shape, too few rows, or with a value not finite.

    Raises: MeasurementError.
    """
    if side.ndim != 2:
        raise MeasurementError(f"features must be (images, features), not {side.shape}")
    if side.shape[0] < least:
        raise MeasurementError(f"{side.shape[0]} images a side; at least {least} are needed")
    if not all(np.isfinite(side[rows]).all() for rows in blocks(len(side))):
        raise MeasurementError("features hold values that are not finite")


def blocks(count: int, rows: int | None = None) -> Iterator[slice]:
    """Yield slices that cover `count` rows, at most `rows` at a time, else `BLOCK_ROWS`."""
    rows = rows or BLOCK_ROWS
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
