"""How far a classifier's confidence is from how often it is right.

Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), equations 2 and 3: cells
in bins of equal width by the probability of the class that was said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Of each bin, (BINS,): how many cells it holds, mean confidence and share right.

    The last two are NaN where a bin is empty.
    """

    cells: Array
    confidence: Array
    right: Array

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap, each bin by its share."""
        return float(np.nansum(self.share * np.abs(self.confidence - self.right)))

    @property
    def share(self) -> Array:
        """The share of the cells in each bin."""
        return np.asarray(self.cells / self.cells.sum())


def calibration_curve(
    probabilities_NK: NDArray[np.float32], codes_N: NDArray[np.int64]
) -> CalibrationCurve:
    """Return the curve of n probabilities (n, k) float32 with the true classes, (n,) int64."""
    bins, confidence, right = _said(probabilities_NK, codes_N)
    counts = np.bincount(bins, minlength=BINS).astype(np.float64)
    none = np.where(counts == 0, np.nan, counts)
    return CalibrationCurve(
        counts,
        np.bincount(bins, confidence, BINS) / none,
        np.bincount(bins, right, BINS) / none,
    )


def calibration_errors(
    probabilities_NK: NDArray[np.float32], codes_N: NDArray[np.int64], counts_DN: Array
) -> Array:
    """Return the expected calibration error in each draw, (d,); `counts_DN` says how often each
    cell is taken in it."""
    bins, confidence, right = _said(probabilities_NK, codes_N)
    gaps = np.zeros((len(codes_N), BINS))
    gaps[np.arange(len(codes_N)), bins] = confidence - right
    return np.asarray(np.abs(counts_DN @ gaps).sum(1) / counts_DN.sum(1))


def _said(
    probabilities_NK: NDArray[np.float32], codes_N: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return each cell's bin, its confidence, and 1 where what was said is right."""
    confidence = probabilities_NK.max(1).astype(np.float64)
    # Right-closed bins, as in the source; rounding may leave a probability just above 1.
    bins = (np.ceil(confidence * BINS).astype(np.int64) - 1).clip(0, BINS - 1)
    return bins, confidence, (probabilities_NK.argmax(1) == codes_N).astype(np.float64)
