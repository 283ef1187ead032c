"""What only the full resolution shows: focus and the blocks of strong JPEG compression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...pixels import Pixels

Plane = NDArray[np.uint8]
"""(h, w) uint8: one channel."""

_SIDE_PX = 256
"""What is looked at: the middle of the image, at most so large."""

_BLOCK_PX = 8
_QUANTISED = 0.3
"""Grey levels, RMS: what rounding to 8 bits leaves in a flat image; keeps its logarithm finite."""


class FineDetail(NamedTuple):
    """Measurements of one image at full resolution.

    `sharpness` is a logarithm, higher = sharper; `blockiness` is the step across the borders of
    8 px blocks over the usual step between neighbours, 1 where there are no blocks.
    """

    sharpness: float
    blockiness: float


def fine_detail(pixels: Pixels, planes: Sequence[Pixels] = ()) -> FineDetail:
    """Measure an image (h, w, 3) or (h, w) uint8 while its pixels are there.

    `planes` are its channels, if they are there already.
    """
    # Green, in which every stain of a smear absorbs.
    plane = _middle(planes[len(planes) // 2] if planes else pixels)
    return FineDetail(_sharpness(plane), _blockiness(plane))


def _middle(pixels: Pixels) -> Plane:
    """Return the middle of an image, of its green channel where it has several."""
    import cv2

    height, width = pixels.shape[:2]
    down, across = min(height, _SIDE_PX), min(width, _SIDE_PX)
    top, left = (height - down) // 2, (width - across) // 2
    window = pixels[top : top + down, left : left + across]
    if window.ndim == 2:
        return np.ascontiguousarray(window)
    return np.asarray(cv2.extractChannel(window, 1), np.uint8)


def _sharpness(plane: Plane) -> float:
    """Return ln(L2 ** 2 / (L4 * s)): L2, L4 the RMS Laplacian at 1/2 and 1/4 size, s the spread.

    Against the coarser scale and the contrast, so that neither a dense smear nor a strong stain
    counts as sharp. What white noise as strong as the Laplacian at full size would leave is taken
    off: halving divides its power by four, and the grain of a camera is not focus.
    """
    import cv2

    half = _halved(plane)
    noise, fine, coarse = _power(plane), _power(half), _power(_halved(half))
    fine, coarse = fine - noise / 4, coarse - noise / 16
    spread = float(cv2.meanStdDev(plane)[1][0, 0]) + 1
    return _log_root(fine) * 2 - _log_root(coarse) - math.log(spread)


def _halved(plane: Plane) -> Plane:
    import cv2

    size = max(1, plane.shape[1] // 2), max(1, plane.shape[0] // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _power(plane: Plane) -> float:
    """Return the mean square of the Laplacian."""
    import cv2

    laplacian = cv2.Laplacian(plane, cv2.CV_16S, ksize=1)
    return float(cv2.norm(laplacian, cv2.NORM_L2SQR)) / plane.size


def _log_root(power: float) -> float:
    return 0.5 * math.log(max(power, 0.0) + _QUANTISED**2)


def _blockiness(plane: Plane) -> float:
    """Return the geometric mean over both axes; one axis alone may show a stripe."""
    return math.sqrt(_block_steps(plane, 1) * _block_steps(plane, 0))


def _block_steps(plane: Plane, axis: int) -> float:
    """Return the mean step where blocks meet over the median of the other places.

    All eight places of the grid are tried, since a crop need not begin where a block does.
    """
    import cv2

    if axis == 1:
        steps = cv2.absdiff(plane[:, 1:], plane[:, :-1])
    else:
        steps = cv2.absdiff(plane[1:], plane[:-1])
    if steps is None or steps.shape[axis] < 2 * _BLOCK_PX:
        return 1.0
    line = cv2.reduce(steps, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    whole = len(line) // _BLOCK_PX * _BLOCK_PX
    by_place = line[:whole].reshape(-1, _BLOCK_PX).mean(axis=0) / steps.shape[1 - axis]
    ordered = np.sort(by_place)
    return float((ordered[-1] + _QUANTISED) / (ordered[(_BLOCK_PX - 1) // 2] + _QUANTISED))
