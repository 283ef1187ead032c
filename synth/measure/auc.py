"""How well a score tells two sides apart: the area under the ROC curve, with its interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .kernel import Estimate

Scores = NDArray[np.floating]
FEWEST_A_STRATUM = 2
"""Scores a side below which a stratum's variance cannot be told."""

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class _Part:
    area: float
    variance: float
    n_high: int
    n_low: int


def auc(high: Scores, low: Scores) -> Estimate:
    """Return how often a score of `high`, (n,), is above one of `low`, (m,); ties count half.

    0.5 where nothing is told apart, 1 where every score of `high` is above all of `low`. The 95 %
    interval is DeLong's on the scale of the logit; where the two sides do not overlap at all, it
    ends where one cell in the smaller side would have been out of order by Wilson's interval.

    Source: DeLong et al., Biometrics 44:837 (1988).

    Raises: MeasurementError for fewer than two scores a side, or one that is not finite.
    """
    return _estimate([_part(high, low)])


def stratified_auc(
    high: Scores,
    low: Scores,
    high_strata: Sequence[Hashable],
    low_strata: Sequence[Hashable],
    *,
    inflation: float = 1.0,
) -> Estimate:
    """Return the mean of the areas within strata, weighted by how many cells each has.

    Scores of different strata, such as folds or classes, are never compared. A stratum with fewer
    than two scores on a side is left out. The variance is multiplied by `inflation`.

    Raises: MeasurementError where no stratum is left, or a score is not finite.
    """
    if len(high) != len(high_strata) or len(low) != len(low_strata):
        raise MeasurementError("every score needs the name of its stratum")
    parts = []
    for name in dict.fromkeys(high_strata):
        one = np.asarray(high)[[stratum == name for stratum in high_strata]]
        other = np.asarray(low)[[stratum == name for stratum in low_strata]]
        if min(len(one), len(other)) >= FEWEST_A_STRATUM:
            parts.append(_part(one, other))
    if not parts:
        raise MeasurementError(
            f"no stratum has {FEWEST_A_STRATUM} cells on both sides: what tells them apart "
            "cannot be measured"
        )
    return _estimate(parts, inflation)


def _part(high: Scores, low: Scores) -> _Part:
    from scipy.stats import rankdata

    high, low = np.asarray(high, np.float64), np.asarray(low, np.float64)
    n, m = len(high), len(low)
    if min(n, m) < FEWEST_A_STRATUM:
        raise MeasurementError(f"{min(n, m)} scores a side; at least 2 are needed")
    if not (np.isfinite(high).all() and np.isfinite(low).all()):
        raise MeasurementError("scores hold values that are not finite")
    ranks = rankdata(np.concatenate([high, low]))
    # The share of the other side that each score is above.
    above = (ranks[:n] - rankdata(high)) / m
    below = 1 - (ranks[n:] - rankdata(low)) / n
    variance = float(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return _Part(float(above.mean()), variance, n, m)


def _estimate(parts: Sequence[_Part], inflation: float = 1.0) -> Estimate:
    weights = np.array([part.n_high + part.n_low for part in parts], np.float64)
    weights /= weights.sum()
    area = float(weights @ [part.area for part in parts])
    spread = math.sqrt(inflation * float(weights**2 @ [part.variance for part in parts]))
    cells = min(sum(part.n_high for part in parts), sum(part.n_low for part in parts))
    least = _Z95**2 / (cells + _Z95**2)  # Wilson's upper end of 0 out of `cells`
    if area <= 0 or area >= 1:
        return Estimate(area, max(0.0, area - least), min(1.0, area + least))
    logit, slope = math.log(area / (1 - area)), area * (1 - area)
    ends = [logit - _Z95 * spread / slope, logit + _Z95 * spread / slope]
    low, high = (1 / (1 + math.exp(-min(max(end, -700.0), 700.0))) for end in ends)
    return Estimate(area, low, high)
