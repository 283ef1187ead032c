"""Keypoints of a cell: its strongest stained blobs, each with a place and a size.

A blob is an extremum of the difference of Gaussians over place and scale (Lindeberg's scale-space
blobs). It moves, turns and grows with the picture, so what is measured relative to it does not
depend on shifts, crops, rotations or magnification.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

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
_LEAST_RESPONSE = np.nextafter(np.float32(_MIN_RESPONSE), np.float32(1))  # above it
_RADIUS = 2.5  # px of the tile per px of sigma on the grid
_AT_ONCE = 8
"""Cells whose scale space is made in one go, as channels of one picture: OpenCV then spends its
time on the pixels, and not on starting; the scale space of more does not fit the cache."""

Keypoints = NDArray[np.float32]
"""(3, 3): x, y and radius in px of the tile, strongest first; NaN where there are fewer blobs."""


def find_keypoints(stain: Plane) -> Keypoints:
    """Return the strongest blobs of a stain map, float32 (96, 96) in [0, 1]."""
    return cast(Keypoints, find_all_keypoints([stain])[0])


def find_all_keypoints(stains: Sequence[Plane]) -> NDArray[np.float32]:
    """Return the strongest blobs of each stain map, float32 (n, 3, 3)."""
    found = np.full((len(stains), KEYPOINTS, 3), np.nan, np.float32)
    space: _ScaleSpace | None = None
    for start in range(0, len(stains), _AT_ONCE):
        chosen = stains[start : start + _AT_ONCE]
        if space is None or space.cells != len(chosen):
            space = _ScaleSpace(len(chosen))
        _find(space, chosen, found[start : start + _AT_ONCE])
    return found


class _ScaleSpace:
    """Memory for the scale spaces of some cells: to get it anew each time costs more than to work.

    `blurred` float32 (11, 48, 48, n); `responses`, `highest` and `around` (10, 48, 48, n).
    """

    def __init__(self, cells: int) -> None:
        self.cells = cells
        shape = len(_SIGMAS), _GRID, _GRID, cells
        self.blurred, self.responses, self.highest, self.around = (
            np.empty((shape[0] - less, *shape[1:]), np.float32) for less in (0, 1, 1, 1)
        )


def _find(space: _ScaleSpace, stains: Sequence[Plane], found: NDArray[np.float32]) -> None:
    _respond(space, stains)
    responses = space.responses
    # Not `nonzero`, which takes several times as long over four axes.
    places = np.flatnonzero(_is_extremum(space))
    level, row, column, cell = np.unravel_index(places, responses.shape)
    strength = responses.ravel()[places]
    # Strongest first in each cell; of equals, the one of the finer scale.
    order = np.lexsort((-strength, cell))
    starts = np.searchsorted(cell[order], np.arange(space.cells))
    slot = np.arange(len(order)) - starts[cell[order]]
    chosen, slot = order[slot < KEYPOINTS], slot[slot < KEYPOINTS]
    at = level[chosen], row[chosen], column[chosen], cell[chosen]
    found[cell[chosen], slot] = _refined(responses, *at)


def _respond(space: _ScaleSpace, stains: Sequence[Plane]) -> None:
    """Fill in the differences of Gaussians."""
    import cv2

    size = _GRID, _GRID
    halves = [cv2.resize(stain, size, interpolation=cv2.INTER_AREA) for stain in stains]
    source = np.stack(halves, axis=-1)
    for kernel, blurred in zip(_kernels(), space.blurred, strict=True):
        cv2.sepFilter2D(source, -1, kernel, kernel, dst=blurred, borderType=cv2.BORDER_REPLICATE)
        source = blurred
    np.subtract(space.blurred[:-1], space.blurred[1:], out=space.responses)


@cache
def _kernels() -> tuple[NDArray[np.float32], ...]:
    """Return the Gaussians that lead from each level to the next."""
    import cv2

    before = np.concatenate([[0.0], _SIGMAS[:-1]])
    steps = np.sqrt(_SIGMAS**2 - before**2).tolist()
    # Four standard deviations to each side, as OpenCV takes for pictures of float32.
    return tuple(
        np.asarray(cv2.getGaussianKernel(round(8 * step + 1) | 1, step, cv2.CV_32F), np.float32)
        for step in steps
    )


def _is_extremum(space: _ScaleSpace) -> NDArray[np.bool_]:
    import cv2

    square = np.ones((3, 3), np.uint8)
    highest, around = space.highest, space.around
    for plane, out in zip(space.responses, highest, strict=True):
        cv2.dilate(plane, square, dst=out)
    np.maximum(highest, _LEAST_RESPONSE, out=around)
    np.maximum(around[1:], highest[:-1], out=around[1:])
    np.maximum(around[:-1], highest[1:], out=around[:-1])
    extremum: NDArray[np.bool_] = space.responses >= around
    extremum[:, :_RIM], extremum[:, -_RIM:] = False, False
    extremum[:, :, :_RIM], extremum[:, :, -_RIM:] = False, False
    return extremum


def _refined(
    space_LHWN: NDArray[np.float32],
    level: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return x, y and radius in px of the tile, between the grid's points by parabolas; (k, 3)."""
    middle = space_LHWN[level, row, column, cell]
    x = column + _peak(
        space_LHWN[level, row, column - 1, cell], middle, space_LHWN[level, row, column + 1, cell]
    )
    y = row + _peak(
        space_LHWN[level, row - 1, column, cell], middle, space_LHWN[level, row + 1, column, cell]
    )
    last = len(space_LHWN) - 1
    finer, coarser = np.maximum(level - 1, 0), np.minimum(level + 1, last)
    between = _peak(
        space_LHWN[finer, row, column, cell], middle, space_LHWN[coarser, row, column, cell]
    )
    scale = level + np.where((level > 0) & (level < last), between, 0.0)
    sigma = _SIGMAS[0] * (_SIGMAS[1] / _SIGMAS[0]) ** scale
    return np.stack([2 * x + 0.5, 2 * y + 0.5, _RADIUS * sigma], axis=1)


def _peak(before: Any, middle: Any, after: Any) -> NDArray[np.float64]:
    """Return where a parabola through three equidistant values peaks, in [-0.5, 0.5]."""
    before, middle, after = (value.astype(np.float64) for value in (before, middle, after))
    bend = before - 2 * middle + after
    flat = np.abs(bend) < 1e-9
    peak = 0.5 * (before - after) / np.where(flat, 1.0, bend)
    return np.where(flat, 0.0, np.clip(peak, -0.5, 0.5))
