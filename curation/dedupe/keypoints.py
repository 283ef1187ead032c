"""Keypoints of a cell: its strongest stained blobs, each with a place and a size.

A blob is an extremum of the difference of Gaussians over place and scale (Lindeberg's scale-space
blobs). It moves, turns and grows with the picture, so what is measured relative to it does not
depend on shifts, crops, rotations or magnification.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tiles import TILE_PX
from .stain import Plane

KEYPOINTS = 3
"""At most so many a cell: with fewer, crops of 10 % are missed; more add false candidates."""

_GRID = TILE_PX // 2
_SIGMAS = 2.0 * 1.19 ** np.arange(11)  # px of the half-size grid: radii of 5 to 25 px of the tile
_RIM = 2  # px of the grid: an extremum there may lie outside the picture
_MIN_RESPONSE = 0.002
_RADIUS = 2.5  # px of the tile per px of sigma on the grid

Keypoints = NDArray[np.float32]
"""(3, 3): x, y and radius in px of the tile, strongest first; NaN where there are fewer blobs."""


def find_keypoints(stain: Plane) -> Keypoints:
    """Return the strongest blobs of a stain map, float32 (96, 96) in [0, 1]."""
    space = _difference_of_gaussians(stain)
    level, row, column = np.nonzero(_is_extremum(space))
    response = space[level, row, column]
    found = np.full((KEYPOINTS, 3), np.nan, np.float32)
    for slot, which in enumerate(np.argsort(-response, kind="stable")[:KEYPOINTS]):
        found[slot] = _refined(space, int(level[which]), int(row[which]), int(column[which]))
    return found


def _difference_of_gaussians(stain: Plane) -> NDArray[np.float32]:
    """Return the scale space, float32 (10, 48, 48)."""
    import cv2

    blurred = np.empty((len(_SIGMAS), _GRID, _GRID), np.float32)
    half = cv2.resize(stain, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    before = 0.0
    for level, sigma in enumerate(_SIGMAS.tolist()):
        step = (sigma**2 - before**2) ** 0.5
        source = half if level == 0 else blurred[level - 1]
        cv2.GaussianBlur(source, (0, 0), step, dst=blurred[level], borderType=cv2.BORDER_REPLICATE)
        before = sigma
    return blurred[:-1] - blurred[1:]


def _is_extremum(space: NDArray[np.float32]) -> NDArray[np.bool_]:
    import cv2

    square = np.ones((3, 3), np.uint8)
    highest = np.stack([cv2.dilate(plane, square) for plane in space])
    around = highest.copy()
    np.maximum(around[1:], highest[:-1], out=around[1:])
    np.maximum(around[:-1], highest[1:], out=around[:-1])
    extremum: NDArray[np.bool_] = (space >= around) & (space > _MIN_RESPONSE)
    inside = np.zeros_like(extremum)
    inside[:, _RIM:-_RIM, _RIM:-_RIM] = extremum[:, _RIM:-_RIM, _RIM:-_RIM]
    return inside


def _refined(
    space: NDArray[np.float32], level: int, row: int, column: int
) -> tuple[float, float, float]:
    """Return x, y and radius in px of the tile, between the grid's points by parabolas."""
    middle = float(space[level, row, column])
    x = column + _peak(space[level, row, column - 1], middle, space[level, row, column + 1])
    y = row + _peak(space[level, row - 1, column], middle, space[level, row + 1, column])
    scale = float(level)
    if 0 < level < len(space) - 1:
        scale += _peak(space[level - 1, row, column], middle, space[level + 1, row, column])
    sigma = float(_SIGMAS[0]) * float(_SIGMAS[1] / _SIGMAS[0]) ** scale
    return 2 * x + 0.5, 2 * y + 0.5, _RADIUS * sigma


def _peak(before: Any, middle: float, after: Any) -> float:
    """Return where a parabola through three equidistant values peaks, in [-0.5, 0.5]."""
    bend = float(before) - 2 * middle + float(after)
    if abs(bend) < 1e-9:
        return 0.0
    return min(0.5, max(-0.5, 0.5 * (float(before) - float(after)) / bend))
