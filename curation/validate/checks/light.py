"""Exposure, colour and grain of a tile, and what a truncated file leaves of one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...tiles import Tile
from .stain import Ground

Channel = NDArray[np.uint8]
"""(h, w) uint8."""

_WHITE, _BLACK = 252, 3
_FILL = (128, 0)
"""Grey levels that decoders write where the data of a file ends."""

_FILL_TOLERANCE = 4
_DARKER_THAN_GROUND = 0.93


class Light(NamedTuple):
    """How light and colour lie over a tile.

    `clipped` is the share of pixels in which no channel holds detail, white or black, in [0, 1];
    `colour` is the mean distance between a pixel's largest and least channel in [0, 1]; `chord`
    the mean width of what is darker than the background, as a share of the side; `filled` the
    share of pixels at the end that a decoder filled for want of data.
    """

    clipped: float
    colour: float
    chord: float
    filled: float


def see_light(tile: Tile, ground: Ground) -> Light:
    """Measure a picture (h, w, 3) uint8."""
    import cv2

    red, green, blue = (np.asarray(cv2.extractChannel(tile, place), np.uint8) for place in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    white = np.count_nonzero(least >= _WHITE)
    black = np.count_nonzero(most <= _BLACK)
    levels_most, levels_least = cv2.sumElems(most)[0], cv2.sumElems(least)[0]
    return Light(
        clipped=(white + black) / least.size,
        colour=(levels_most / most.size - levels_least / least.size) / 255,
        chord=_chord(green, ground),
        filled=_filled_end(most, least),
    )


def _chord(green: Channel, ground: Ground) -> float:
    """Return the mean chord through what is darker than the background, over both axes."""
    # Whole numbers: numpy would turn every pixel into a float64.
    dark = green < math.ceil(ground.green * _DARKER_THAN_GROUND)
    across = np.count_nonzero(dark[:, 1:] != dark[:, :-1])
    down = np.count_nonzero(dark[1:] != dark[:-1])
    # Two borders a chord, and two axes: four times the area over all borders.
    area, borders = int(np.count_nonzero(dark)), int(across + down)
    return float(4 * area / max(1, borders) / max(dark.shape))


def _filled_end(most: Channel, least: Channel) -> float:
    """Return the share of pixels at the end of the picture that hold one fill level.

    Row by row from below, and in each row from the right: so far as a decoder had no data.
    """
    longest = 0
    for fill in _FILL:
        if most[-1, -1] > fill + _FILL_TOLERANCE or least[-1, -1] < fill - _FILL_TOLERANCE:
            continue
        detail = (most > fill + _FILL_TOLERANCE) | (least < fill - _FILL_TOLERANCE)
        # From the right, how far the fill goes in each row, the lowest first.
        runs = np.where(detail.any(axis=1), detail[:, ::-1].argmax(axis=1), detail.shape[1])[::-1]
        whole = np.flatnonzero(runs == 0)
        longest = max(longest, int(runs[: whole[0]].sum() if len(whole) else runs.sum()))
    return longest / most.size
