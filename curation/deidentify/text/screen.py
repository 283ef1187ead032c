"""A cheap screen: could there be text in this cell crop, and is it worth the cost of reading?

Text is a dense row of strokes that are one to three pixels thin and stand out from what is around
them; a cell has edges, and granules, but no such rows. A morphological closing minus the image
shows what is thin and dark, the image minus an opening what is thin and bright. How dense these
are in the densest window, against how much fine detail the whole crop has, is weighed by a
logistic regression. scripts/fit_text_screen.py fits the weights; docs/deidentification.md says
what the screen lets through.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ...pixels import Pixels

Plane = NDArray[np.uint8]
_Pairwise = Callable[[Plane, Plane], Plane]

MIN_SIDE_PX = 24
"""Crops with a shorter side than this are too small to be judged."""
_WINDOWS = (8, 1), (2, 4)
"""In tiles of 4x8 px (wide, high): a row or a column of 32x8 px, as small text fills it."""
_FAINT = 24  # grey levels by which a thin structure stands out
_WHITE, _THIN = 248, 8  # grey level of nearly saturated white, and by how much it stands out


class Cues(NamedTuple):
    """What the screen looks at: densities and brightness, each in [0, 255]."""

    strong_strokes: float
    """Thin structure of high contrast in the densest window."""
    white_strokes: float
    """Thin structure that is nearly saturated, in the densest window."""
    faint_strokes: float
    """Thin structure, however faint, in the densest window."""
    dark_detail: float
    """Thin dark structure of some contrast, in the whole crop."""
    bright_detail: float
    """Thin bright structure, in the whole crop: sharp pictures of cells have more."""
    glitter: float
    """Thin bright structure of some contrast, in the whole crop."""
    ground: float
    """The median grey level: of a dim picture, every contrast is less."""


# Of the logarithm of each cue plus OFFSET; a weighted sum above 0 is worth the cost of reading.
_WEIGHTS = Cues(
    strong_strokes=1.44, white_strokes=3.47, faint_strokes=2.45, dark_detail=4.48,
    bright_detail=-3.01, glitter=-3.44, ground=-10.13,
)  # fmt: skip
_INTERCEPT = 47.29
OFFSET = 0.3


def text_likeness(pixels: Pixels) -> float:
    """Return how much a crop (h, w, 3) or (h, w) uint8 looks as if text stood in it, in [0, 1].

    0.5 is where reading begins to be worth its cost; crops too small to be judged are given 1.
    """
    if min(pixels.shape[:2]) < MIN_SIDE_PX:
        return 1.0
    terms = zip(_WEIGHTS, cues(pixels), strict=True)
    total = _INTERCEPT + sum(weight * math.log(OFFSET + cue) for weight, cue in terms)
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))


def densest_place(pixels: Pixels) -> tuple[int, int]:
    """Return (x, y) in px of the middle of the densest strokes of a crop (h, w, 3) or (h, w)."""
    import cv2

    _, closed, opened = _planes(pixels)
    tiles = _tile_means(_above(closed - opened, _FAINT))
    found = [cv2.minMaxLoc(cv2.blur(tiles, window)) for window in _WINDOWS]
    _, _, _, (column, row) = max(found, key=lambda each: each[1])
    return 4 * column + 4, 8 * row + 6  # of the tile, behind a rim of 2 px


def cues(pixels: Pixels) -> Cues:
    """Measure the cues of one crop (h, w, 3) or (h, w) uint8; each side at least MIN_SIDE_PX."""
    import cv2

    plane, closed, opened = _planes(pixels)
    # Nothing is below 0: closing never darkens, opening never brightens.
    thin, dark, bright = (
        np.asarray(cv2.subtract(high, low), np.uint8)
        for high, low in ((closed, opened), (closed, plane), (plane, opened))
    )
    white = _above(plane, _WHITE) & _above(thin, _THIN)
    whole = 255 / plane.size
    return Cues(
        strong_strokes=_densest(_above(thin, 100)),
        white_strokes=_densest(white),
        faint_strokes=_densest(_above(thin, _FAINT)),
        dark_detail=cv2.countNonZero(_above(dark, 50)) * whole,
        bright_detail=cv2.countNonZero(_above(bright, 16)) * whole,
        glitter=cv2.countNonZero(_above(bright, 50)) * whole,
        ground=_median(plane[::8, ::16]),
    )


def _planes(pixels: Pixels) -> tuple[Plane, Plane, Plane]:
    """Return grey, closed and opened planes: every other row, without a rim of 2 px."""
    import cv2

    plane = grey(pixels)
    closed = _squared(plane, cast(_Pairwise, cv2.max), cast(_Pairwise, cv2.min))
    opened = _squared(plane, cast(_Pairwise, cv2.min), cast(_Pairwise, cv2.max))
    return plane[2:-2:2, 2:-2], closed, opened


def grey(pixels: Pixels) -> Plane:
    """Return the grey plane (h, w) of a crop; one that is grey already as it is."""
    import cv2

    return pixels if pixels.ndim == 2 else cast(Plane, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _squared(plane: Plane, first: _Pairwise, then: _Pairwise) -> Plane:
    """Close (max, then min) or open (min, then max) with a 3x3 square, for every other row.

    By shifted planes, which costs half of what OpenCV's general morphology does.
    """
    x = first(plane[:, :-1], plane[:, 1:])
    x = first(x[:, :-1], x[:, 1:])
    x = first(x[:-1], x[1:])
    x = first(x[:-1], x[1:])
    x = then(x[:-1], x[1:])
    x = then(x[:-1:2], x[1::2])
    x = then(x[:, :-1], x[:, 1:])
    return then(x[:, :-1], x[:, 1:])


def _above(plane: Plane, level: int) -> Plane:
    import cv2

    return cast(Plane, cv2.threshold(plane, level, 255, cv2.THRESH_BINARY)[1])


def _median(plane: Plane) -> float:
    # Half the time of np.median, which matters in a screen of a quarter of a millisecond.
    middle = plane.size // 2
    return float(np.partition(plane, middle, axis=None)[middle])


def _densest(mask: Plane) -> float:
    """Return the mean of a 0/255 mask in the densest window of 32x8 or 8x32 px of the crop."""
    import cv2

    if not cv2.hasNonZero(mask):
        return 0.0  # 99 of 100 crops have no stroke of high contrast, nor a white one
    tiles = _tile_means(mask)
    return max(cv2.minMaxLoc(cv2.blur(tiles, window))[1] for window in _WINDOWS)


def _tile_means(mask: Plane) -> Plane:
    """Return means over tiles of 4x8 px (wide, high), of which the mask holds every other row."""
    rows, columns = mask.shape[0] // 4 * 4, mask.shape[1] // 4 * 4
    # Twice by 2, which OpenCV does by SIMD; once by 4 takes several times as long.
    return _halved(_halved(mask[:rows, :columns]))


def _halved(plane: Plane) -> Plane:
    import cv2

    size = plane.shape[1] // 2, plane.shape[0] // 2
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
