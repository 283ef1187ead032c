"""Where the cell of a tile lies: its nucleus, a platelet, or a red cell where nothing else is."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .stain import Stain

Mask = NDArray[np.uint8]

_STEP = 40.0
"""Levels per unit of stain when a threshold is looked for."""

_LEAST_STAIN = 0.12
"""What noise of the background stays below."""

_OF_CORE = 0.5
"""Of the stain in the middle: beside a small platelet, red cells would be told from the ground."""

_LEAST_AREA = 1 / 1500
"""Share of the picture: a smaller spot is no cell. A platelet in a wide field has 1/300."""

_RIM_PX = 4
"""Of a tile: what is thinner is no cell."""

_LOBE_GAP = 0.2
"""Lobes of one nucleus are closer than this, times the root of the stained area."""


_CORE_FROM = 0.3
"""The middle runs from this share of each side to as much before its end."""


class FoundCell(NamedTuple):
    """The main stained body of a tile, and how all that is stained lies in it.

    `diameter` is a share of the side; `x`, `y` run over the picture from -1 to 1; `contact` is the
    length of the picture's border that the body covers over its diameter; `spread` twice the
    standard deviation of all that is stained along its longer axis, as a share of the side; `core`
    the 95th percentile of the stain in the middle. All but `core` are 0 where nothing is stained.
    """

    diameter: float = 0.0
    x: float = 0.0
    y: float = 0.0
    contact: float = 0.0
    spread: float = 0.0
    core: float = 0.0


def find_cell(stain: Stain) -> FoundCell:
    """Return the main stained body of a picture (h, w)."""
    import cv2

    smooth = np.maximum(np.asarray(cv2.blur(stain, (3, 3)), np.float32), 0)
    core = _core(smooth)
    mask = _stained(smooth, _OF_CORE * core)
    area = np.count_nonzero(mask)
    if area < _LEAST_AREA * mask.size:
        return FoundCell(core=core)
    gap = min(15, max(3, round(_LOBE_GAP * math.sqrt(area)))) | 1
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _square(gap))
    _, bodies, boxes, centres = cv2.connectedComponentsWithStats(
        joined, connectivity=8, ltype=cv2.CV_16U
    )
    areas = boxes[1:, cv2.CC_STAT_AREA].astype(np.float64)
    places = _relative(centres[1:].astype(np.float64), mask.shape)
    main = int(np.argmax(areas * _nearness(places)))
    body = np.asarray(bodies) == main + 1
    diameter = math.sqrt(4 * float(areas[main]) / math.pi)
    return FoundCell(
        diameter=diameter / max(mask.shape),
        x=float(places[main, 0]),
        y=float(places[main, 1]),
        contact=_border(body) / diameter,
        spread=_spread(mask),
        core=core,
    )


def _stained(smooth: Stain, least: float) -> Mask:
    """Return what is stained more than the rest, and at least so much, 1 or 0."""
    import cv2

    levels = np.minimum(smooth * _STEP, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    least_level = math.floor(max(threshold, _STEP * max(_LEAST_STAIN, least)))
    dark = (levels > least_level).view(np.uint8)
    # Rims of red cells, bright and dark by diffraction, are thin.
    return np.asarray(cv2.morphologyEx(dark, cv2.MORPH_OPEN, _square(_RIM_PX)), np.uint8)


def _core(stain: Stain) -> float:
    height, width = stain.shape
    down, across = round(height * _CORE_FROM), round(width * _CORE_FROM)
    middle = stain[down : height - down, across : width - across].ravel()
    place = int(0.95 * (len(middle) - 1))
    return float(np.partition(middle, place)[place])


def _spread(mask: Mask) -> float:
    """Return twice the standard deviation along the longer axis, as a share of the side."""
    import cv2

    # A mask is of 0 and 1: to ask for a binary image would have it looked through once more.
    found = cv2.moments(mask)
    xx, yy, xy = (float(found[name] / found["m00"]) for name in ("mu20", "mu02", "mu11"))
    largest = (xx + yy) / 2 + math.hypot((xx - yy) / 2, xy)
    return float(2 * math.sqrt(max(0.0, largest)) / max(mask.shape))


def _relative(centres: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    size = np.array([shape[1], shape[0]], np.float64)
    return (2 * centres + 1) / size - 1


def _nearness(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much a body counts by its place: a small one in the middle beats a cut one."""
    return np.asarray(np.exp(-2.0 * (places**2).sum(axis=1)))


def _border(body: NDArray[np.bool_]) -> int:
    """Return how many pixels of the picture's border a body covers."""
    rim = (body[0], body[-1], body[1:-1, 0], body[1:-1, -1])
    return sum(int(np.count_nonzero(line)) for line in rim)


@cache
def _square(side: int) -> Mask:
    return np.ones((side, side), np.uint8)
