"""A first look at aligned pairs, many at once: do they agree at all, before any is registered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .alignment import Warps
from .stain import fills
from .thumbs import THUMB_PX, Pictures

_HALF = THUMB_PX // 2
_STEP = 2  # every second px of the half-size pictures is looked at
_MIN_SHARE = 0.25
_FEWEST_POINTS = 16  # of 256: fewer correlate by chance
_GRID = np.arange(0, _HALF, _STEP, dtype=np.float32)
_X, _Y = (axis.ravel() for axis in np.meshgrid(_GRID, _GRID))


def rough_correlation(first: Pictures, second: Pictures, warps: Warps) -> NDArray[np.float32]:
    """Return the correlation of pairs at half size where they overlap, (n,) in [-1, 1].

    -1 where less than a quarter of the first picture lies within the second. Filling counts neither
    way, unless hardly anything else is there.
    """
    if len(first) == 0:
        return np.empty(0, np.float32)
    here = _halved(first)[:, ::_STEP, ::_STEP].reshape(len(first), -1)
    there, inside = _sampled(_halved(second), warps)
    weights = _seen(first, second, warps, inside).astype(np.float32)
    count = weights.sum(axis=1)
    a, b = (_centred(values, weights, count) for values in (here, there))
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)) + 1e-6
    found = (a * b).sum(axis=1) / norm
    enough = np.count_nonzero(inside, axis=1) >= _MIN_SHARE * inside.shape[1]
    return np.where(enough, found, -1).astype(np.float32)


def _seen(
    first: Pictures, second: Pictures, warps: Warps, inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which points (n, 256) inside show picture in both; most pictures have no filling."""
    here, filled_here = fills(first)
    there, filled_there = fills(second)
    if not len(here) and not len(there):
        return inside
    seen = inside.copy()
    if len(here):
        points = _any_of_four(filled_here)[:, ::_STEP, ::_STEP]
        seen[here] &= ~points.reshape(len(here), -1)
    if len(there):
        touched, _ = _sampled(_any_of_four(filled_there).astype(np.float32), warps[there])
        seen[there] &= touched == 0
    hardly = np.count_nonzero(seen, axis=1) < _FEWEST_POINTS
    seen[hardly] = inside[hardly]
    return seen


def _any_of_four(filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows = filled[:, ::2] | filled[:, 1::2]
    halved: NDArray[np.bool_] = rows[:, :, ::2] | rows[:, :, 1::2]
    return halved


def _halved(pictures: Pictures) -> NDArray[np.float32]:
    rows = pictures[:, ::2].astype(np.float32) + pictures[:, 1::2]
    halved: NDArray[np.float32] = (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return halved


def _sampled(
    pictures: NDArray[np.float32], warps: Warps
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the second pictures at the points of the first, (n, 256), and which are inside."""
    x, y = 2 * _X + 0.5, 2 * _Y + 0.5
    across, down = (
        (warps[:, row, 0, None] * x + warps[:, row, 1, None] * y + warps[:, row, 2, None] - 0.5) / 2
        for row in (0, 1)
    )
    last = _HALF - 1
    inside = (across >= 0) & (across <= last) & (down >= 0) & (down <= last)
    left = np.clip(across, 0, last - 1e-3).astype(np.int64)
    top = np.clip(down, 0, last - 1e-3).astype(np.int64)
    right_share = np.clip(across - left, 0, 1).astype(np.float32)
    low_share = np.clip(down - top, 0, 1).astype(np.float32)
    flat = pictures.reshape(len(pictures), -1)
    at = top * _HALF + left
    corners = [np.take_along_axis(flat, at + step, axis=1) for step in (0, 1, _HALF, _HALF + 1)]
    upper = corners[0] + (corners[1] - corners[0]) * right_share
    lower = corners[2] + (corners[3] - corners[2]) * right_share
    return upper + (lower - upper) * low_share, inside


def _centred(
    values: NDArray[np.float32], weights: NDArray[np.float32], count: NDArray[np.float32]
) -> NDArray[np.float32]:
    mean = (values * weights).sum(axis=1) / np.maximum(count, 1)
    centred: NDArray[np.float32] = (values - mean[:, None]) * weights
    return centred
