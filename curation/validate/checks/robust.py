"""Statistics of groups that a tenth of bad values cannot move far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Groups = NDArray[np.int64]
"""(n,) int64: the group of each value, from 0."""

_POLISH_ROUNDS = 3
# Of the standard normal distribution: its quartile and its ninth decile.
_QUARTILE, _NINTH_DECILE = 0.6745, 1.2816


def group_quantiles(values: Values, groups: Groups, count: int, at: Sequence[float]) -> Values:
    """Return (count, len(at)): quantiles of each group, linear between ranks; NaN where empty."""
    order = np.lexsort((values, groups))
    ordered = values[order]
    ends = np.searchsorted(groups[order], np.arange(count + 1))
    sizes = np.diff(ends)
    found = np.full((count, len(at)), np.nan)
    some = sizes > 0
    for place, share in enumerate(at):
        rank = ends[:-1][some] + share * (sizes[some] - 1)
        low = np.floor(rank).astype(np.int64)
        high = np.minimum(low + 1, ends[1:][some] - 1)
        found[some, place] = ordered[low] + (rank - low) * (ordered[high] - ordered[low])
    return found


def medians(values: Values, groups: Groups, count: int) -> Values:
    """Return (count,) medians of the groups, NaN where empty."""
    return group_quantiles(values, groups, count, (0.5,))[:, 0]


def upper_scales(values: Values, groups: Groups, count: int, *, tail: float) -> Values:
    """Return (count,) spreads above the median, as a standard deviation; NaN where empty.

    From the upper half alone, since faults or a skew make one side longer. The quartile says it;
    the ninth decile may make it up to `tail` times that: a tail may be usual, or may be faults.
    """
    middle, quartile, decile = group_quantiles(values, groups, count, (0.5, 0.75, 0.9)).T
    return _with_tail((quartile - middle) / _QUARTILE, (decile - middle) / _NINTH_DECILE, tail)


def folded_scales(values: Values, groups: Groups, count: int, *, tail: float) -> Values:
    """Return (count,) spreads of distances from 0, as a standard deviation; NaN where empty."""
    middle, high = group_quantiles(values, groups, count, (0.5, 0.8)).T
    return _with_tail(middle / _QUARTILE, high / _NINTH_DECILE, tail)


def _with_tail(bulk: Values, wide: Values, tail: float) -> Values:
    return np.asarray(np.maximum(bulk, np.minimum(wide, tail * bulk)))


def polish(values: Values, rows: Groups, columns: Groups, shape: tuple[int, int]) -> Values:
    """Return what is left of the values without the levels of two groupings.

    Source: Tukey, Exploratory Data Analysis (1977), chapter 11: median polish.
    """
    left = values.copy()
    for _ in range(_POLISH_ROUNDS):
        left -= medians(left, rows, shape[0])[rows]
        left -= medians(left, columns, shape[1])[columns]
    return left
