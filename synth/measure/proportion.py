"""Intervals for a share and for a median."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.959963984540054


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of count out of total, in [0, 1].

    Source: Wilson, J Am Stat Assoc 22:209 (1927): right at 0 and at small totals.
    """
    share = count / total
    spread = _Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == total else min(1.0, centre + half)
    return low, high


def median_interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 95 % interval of the median of (n,) values, from its order statistics."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    half = _Z95 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - half))
    high = min(count - 1, math.ceil(count / 2 + half))
    return float(ordered[low]), float(ordered[high])
