"""Full search of an image for text: which parts at which scale, and which readings are text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from ...pixels import Pixels
from .engine import Reading, engine
from .hit import Box, TextHit, overlap, thickness, upright_box, widened

_SCALE = 1.5  # text of 5 to 8 px is found better than at 1 or 2
_LARGE_PX = 1_000_000  # larger images are searched as they are: their text is larger as well
_TILE_PX = 960
_OVERLAP_PX = 128
_LEAST_PX = 64  # below, the detector's grid of 32 px leaves too little
_LETTERS = 3
"""Fewer letters or digits identify nobody, and red cells are read as single letters."""
_SURE = 0.65
_SURE_OF_CELLS = 0.85
"""Where a reading could well be a row of cells; real text was read with 0.92 and more."""
_RINGS = frozenset("0OoQDC8B369")
"""What a row of red cells is read as."""
_TALL = 0.25
"""Of the shorter side of the image: rows of cells are as high, and text so high is read surely."""


def find_text_lines(pixels: Pixels, threads: int | None = None) -> tuple[TextHit, ...]:
    """Find text in an image (h, w, 3) or (h, w) uint8, in any of the four directions.

    Raises: TextModelsError where the models are missing.
    """
    height, width = pixels.shape[:2]
    readings = list(_readings(_rgb(pixels), threads))
    boxes = [upright_box(reading.corners, width, height) for reading in readings]
    text = [is_text(reading, min(width, height)) for reading in readings]
    sure = [box for box, is_sure in zip(boxes, text, strict=True) if is_sure]
    hits = (
        TextHit(box, "text", min(reading.confidence, 1.0), reading.text)
        for box, reading, is_sure in zip(boxes, readings, text, strict=True)
        if is_sure or any(_beside(box, other) for other in sure)
    )
    return tuple(dict.fromkeys(hits))


def may_hold_lines(pixels: Pixels, threads: int | None = None) -> bool:
    """Say whether the detector takes any place of an image for text, read or not.

    Raises: TextModelsError where the models are missing.
    """
    return any(True for _ in _readings(_rgb(pixels), threads))


def is_text(reading: Reading, shorter_side_px: int) -> bool:
    """Say whether a reading is text rather than a row of cells, in an image of that size."""
    letters = [char for char in reading.text if char.isalnum()]
    if len(letters) < _LETTERS:
        return False
    like_cells = _RINGS.issuperset(letters) or _height_px(reading) > _TALL * shorter_side_px
    return reading.confidence >= (_SURE_OF_CELLS if like_cells else _SURE)


def _height_px(reading: Reading) -> float:
    corners = reading.corners
    sides = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])
    return float(min(sides))


def _beside(box: Box, sure: Box) -> bool:
    """Say whether a box may be a piece of the text in another: an initial, a dot, a short word."""
    reach = 2 * thickness(sure)
    # Thicker than the text is no piece of it: a row of cells that lies beside it.
    return thickness(box) <= 2 * thickness(sure) and overlap(
        box, widened(sure, reach, 1 << 30, 1 << 30)
    )


def _rgb(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _readings(pixels: Pixels, threads: int | None) -> Iterator[Reading]:
    reader = engine(threads)
    for (left, top), scale, part in _views(pixels):
        offset = np.array([left, top], np.float32)
        for reading in reader.read(part):
            corners = reading.corners / scale + offset
            yield Reading(corners, reading.text, reading.confidence)


def _views(pixels: Pixels) -> Iterator[tuple[tuple[int, int], float, Pixels]]:
    """Yield (left and top in px, scale, pixels) of what the detector gets to see.

    One view of a small image; tiles of a large one, and once the whole of it for large letters.
    """
    height, width = pixels.shape[:2]
    if height * width <= _LARGE_PX and max(height, width) <= 2 * _TILE_PX:
        yield (0, 0), _SCALE, _resized(_padded(pixels), _SCALE)
        return
    for top in _starts(height):
        for left in _starts(width):
            tile = pixels[top : top + _TILE_PX, left : left + _TILE_PX]
            yield (left, top), 1.0, _padded(tile)
    whole = _TILE_PX / max(height, width)
    yield (0, 0), whole, _padded(_resized(pixels, whole))


def _starts(length: int) -> range:
    return range(0, max(length - _OVERLAP_PX, 1), _TILE_PX - _OVERLAP_PX)


def _resized(pixels: Pixels, scale: float) -> Pixels:
    import cv2

    size = max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1)
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cast(Pixels, cv2.resize(pixels, size, interpolation=how))


def _padded(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    below, right = max(_LEAST_PX - height, 0), max(_LEAST_PX - width, 0)
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
