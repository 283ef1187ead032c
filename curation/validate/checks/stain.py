"""How strongly each pixel of a tile is stained, as a nucleus or a platelet is and no red cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...tiles import Tile

Stain = NDArray[np.float32]
"""(h, w) float32: optical density of the dyes of a nucleus, 0 in the background."""

_WEIGHTS = np.array([[1.0, 1.5, -2.0]], np.float32)
"""Of the densities of red, green and blue. A nucleus lets blue through, a red cell does not."""

_LOG_LEVELS = np.log(np.arange(1, 257, dtype=np.float32))

_PEAK_SHARE = 0.3
"""Of the highest peak of the histogram: what a peak must reach to be the background."""

_SMOOTHING_LEVELS = 9
_NEAR_LEVELS = 4


class Ground(NamedTuple):
    """The background of a tile: mean RGB in [0, 255]."""

    red: float
    green: float
    blue: float

    @property
    def level(self) -> float:
        """Its brightness in [0, 1]: Rec. 601 luma."""
        return (0.299 * self.red + 0.587 * self.green + 0.114 * self.blue) / 255


def find_ground(tile: Tile) -> Ground:
    """Return the background of (h, w, 3) uint8: the brightest marked peak of green."""
    import cv2

    green = cv2.extractChannel(tile, 1)
    counts = cv2.calcHist([green], [0], None, [256], [0, 256])
    smooth = cv2.blur(counts, (1, _SMOOTHING_LEVELS), borderType=cv2.BORDER_CONSTANT)
    mode = _brightest_peak(np.asarray(smooth, np.float32).ravel())
    near = cv2.inRange(green, max(0, mode - _NEAR_LEVELS), min(255, mode + _NEAR_LEVELS))
    red, green_mean, blue, _ = cv2.mean(tile, mask=near)
    return Ground(red, green_mean, blue)


def _brightest_peak(counts: NDArray[np.float32]) -> int:
    high = counts >= _PEAK_SHARE * counts.max()
    last = int(np.flatnonzero(high)[-1])
    # Down from there to the top of that peak.
    first = last
    while first > 0 and high[first - 1]:
        first -= 1
    return first + int(counts[first : last + 1].argmax())


def stain_of(tile: Tile, ground: Ground) -> Stain:
    """Return the stain (h, w) of a tile (h, w, 3) against its background; Beer and Lambert."""
    import cv2

    table = np.log(np.array(ground, np.float32) + 1)[None, :] - _LOG_LEVELS[:, None]
    densities = cv2.LUT(tile, np.ascontiguousarray(table[:, None, :]))
    return np.asarray(cv2.transform(densities, _WEIGHTS), np.float32)
