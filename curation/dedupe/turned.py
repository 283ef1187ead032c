"""The identity of a picture whichever way it was turned or mirrored, exact to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xxhash import xxh3_128

from ..pixels import Pixels

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


_CORNER_PX = 64
"""Side of the corners that tell the orientations apart, at most; most pictures need no more."""


def turned_id(pixels: Pixels) -> str:
    """Return one identity for the eight orientations of a picture (h, w, 3) or (h, w) uint8.

    It is the hash of the mode, shape and pixels of one orientation, 32 hex digits: of those that
    are at least as high as wide, the one whose corners are ordered by their sums. Where corners
    tie, its quarters are, and where they do too, it is the least hash of the eight. The hash is no
    cryptographic one: the id compares cells of one corpus, and names none.
    """
    height, width = pixels.shape[:2]
    half_h, half_w = max(1, height // 2), max(1, width // 2)
    small = min(_CORNER_PX, half_h, half_w)
    for down, across in ((small, small), (half_h, half_w)):
        sums = _corner_sums(pixels, down, across)
        if len(set(sums)) == len(sums):
            return _hash(_oriented(pixels, _chosen(sums, height, width)))
    return min(_hash(turn(pixels)) for turn in ORIENTATIONS)


def _hash(pixels: Pixels) -> str:
    digest = xxh3_128(f"{'x'.join(map(str, pixels.shape))}\n".encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1).data)
    return digest.hexdigest()


# Per orientation, which corner of the picture comes to lie at each corner, rows first.
_CORNERS_AFTER: tuple[tuple[int, ...], ...] = tuple(
    tuple(turn(np.arange(4, dtype=np.uint8).reshape(2, 2)).ravel().tolist())
    for turn in ORIENTATIONS
)


def _corner_sums(pixels: Pixels, down: int, across: int) -> tuple[float, ...]:
    """Return the sums of the corners of so many rows and columns, rows first."""
    import cv2

    low, right = pixels.shape[0] - down, pixels.shape[1] - across
    top, bottom = pixels[:down], pixels[low:]
    corners = top[:, :across], top[:, right:], bottom[:, :across], bottom[:, right:]
    return tuple(sum(cv2.sumElems(corner)) for corner in corners)


def _chosen(sums: tuple[float, ...], height: int, width: int) -> int:
    """Return the orientation in which the corners are ordered, if its shape is the one wanted."""
    able = [
        which
        for which, (swaps, _) in enumerate(_STEPS)
        # Where both shapes are one, either will do.
        if height == width or swaps == (width > height)
    ]
    return min(able, key=lambda which: [sums[at] for at in _CORNERS_AFTER[which]])


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
