"""The identity of a picture whichever way it was turned or mirrored, exact to the last bit."""

from __future__ import annotations

from collections.abc import Callable

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
    if len(set(corners)) < len(corners):
        return min(pixel_id(turn(pixels)) for turn in ORIENTATIONS)
    which = min(range(len(ORIENTATIONS)), key=lambda i: [corners[at] for at in _CORNERS_AFTER[i]])
    if which == 0 and image_id is not None:
        return image_id
    return pixel_id(_oriented(pixels, which))


# Per orientation, which corner of the picture comes to lie at each corner, rows first.
_CORNERS_AFTER: tuple[tuple[int, ...], ...] = tuple(
    tuple(turn(np.arange(4, dtype=np.uint8).reshape(2, 2)).ravel().tolist())
    for turn in ORIENTATIONS
)


def _corner_sums(pixels: Pixels) -> tuple[int, int, int, int]:
    """Return the sums of the quarters, rows first; a middle row or column belongs to none."""
    import cv2

    half_h, half_w = pixels.shape[0] // 2, pixels.shape[1] // 2
    top, bottom = pixels[:half_h], pixels[-half_h:]
    quarters = top[:, :half_w], top[:, -half_w:], bottom[:, :half_w], bottom[:, -half_w:]
    a, b, c, d = (int(sum(cv2.sumElems(quarter))) for quarter in quarters)
    return a, b, c, d


def _oriented(pixels: Pixels, which: int) -> Pixels:
    """Return what `ORIENTATIONS` makes of a picture, in a third of numpy's time."""
    import cv2

    # Where rows become columns, plane by plane: OpenCV moves single bytes fastest.
    swaps, flip = _STEPS[which]
    turned = pixels
    if swaps and pixels.ndim == 3:
        turned = np.asarray(cv2.merge([cv2.transpose(p) for p in cv2.split(pixels)]), np.uint8)
    elif swaps:
        turned = np.asarray(cv2.transpose(pixels), np.uint8)
    return turned if flip is None else np.asarray(cv2.flip(turned, flip), np.uint8)


# The same orientations: whether rows become columns, and then what is flipped (0: up and down, 1:
# left and right, -1: both).
_STEPS: tuple[tuple[bool, int | None], ...] = (
    (False, None), (True, 0), (False, -1), (True, 1),
    (False, 1), (True, None), (False, 0), (True, -1),
)  # fmt: skip
