"""The spread of a statistic of two sets, told from random halves of them.

A bootstrap draws images several times, and an image is its own nearest neighbour: radii shrink and
a covariance loses rank, so that what it spreads around is another statistic. Half of the images,
each drawn once, has no such ties; and over halves of one set an average spreads exactly as
much as it does over whole sets, so nothing has to be scaled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Array = NDArray[np.float64]
Statistic = Callable[[Rows, Rows], NDArray[np.float64]]
"""Rows of the first and of the second set -> its values, (v,)."""

HALVES = 50


def half_widths(
    statistic: Statistic, n: int, m: int, *, seed: int, most: int = 1_000, halves: int = HALVES
) -> Array:
    """Return half the 95 % intervals, (v,), of a statistic of n and m images.

    Where half of a set is more than `most` images, that many are drawn and the spread is scaled.

    Source: Politis, Romano and Wolf, Subsampling (1999), ch. 2; m out of n without replacement has
    (1/m - 1/n) where all n have 1/n.
    """
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    size_n, size_m = min(n // 2, most), min(m // 2, most)
    found = [
        statistic(np.sort(rng.permutation(n)[:size_n]), np.sort(rng.permutation(m)[:size_m]))
        for _ in range(halves)
    ]
    scale = np.sqrt(max(size_n / (n - size_n), size_m / (m - size_m)))
    # So few halves do not know their own spread well: t, not 1.96.
    return np.asarray(t.ppf(0.975, halves - 1) * np.std(found, axis=0, ddof=1) * scale)
