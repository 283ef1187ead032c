"""The identity of a picture whichever way it was turned or mirrored, exact to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from ..pixels import Pixels, pixel_id

Orientation = Callable[[Pixels], Pixels]

# The eight symmetries of a square; each keeps every pixel.
ORIENTATIONS: tuple[Orientation, ...] = (
    lambda p: p,
    lambda p: np.rot90(p, 1),
    lambda p: np.rot90(p, 2),
    lambda p: np.rot90(p, 3),
    lambda p: p[:, ::-1],
    lambda p: np.rot90(p[:, ::-1], 1),
    lambda p: np.rot90(p[:, ::-1], 2),
    lambda p: np.rot90(p[:, ::-1], 3),
)


def turned_id(pixels: Pixels, image_id: str | None = None) -> str:
    """Return one identity for the eight orientations of a picture (h, w, 3) or (h, w) uint8.

    It is the `pixel_id` of the orientation whose quarters are ordered by their sums, so that one
    orientation is hashed and not eight; where quarters tie, the least of the eight. `image_id`
    is the picture's own, if it is known.
    """
    corners = _corner_sums(pixels)
    if any(a == b for a, b in pairwise(sorted(corners))):
        return min(pixel_id(turn(pixels)) for turn in ORIENTATIONS)
    which = min(range(len(ORIENTATIONS)), key=lambda i: _turned_corners(corners, i))
    if which == 0 and image_id is not None:
        return image_id
    return pixel_id(ORIENTATIONS[which](pixels))


def _corner_sums(pixels: Pixels) -> tuple[int, int, int, int]:
    """Return the sums of the quarters, rows first; a middle row or column belongs to none."""
    import cv2

    half_h, half_w = pixels.shape[0] // 2, pixels.shape[1] // 2
    top, bottom = pixels[:half_h], pixels[-half_h:]
    quarters = top[:, :half_w], top[:, -half_w:], bottom[:, :half_w], bottom[:, -half_w:]
    a, b, c, d = (int(sum(cv2.sumElems(quarter))) for quarter in quarters)
    return a, b, c, d


def _turned_corners(corners: tuple[int, int, int, int], which: int) -> list[int]:
    square = np.array(corners, dtype=np.int64).reshape(2, 2)
    turned: list[int] = ORIENTATIONS[which](square).ravel().tolist()  # type: ignore[arg-type]
    return turned
