"""Blanking of text and barcodes, and the check that nothing of them is found any more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...pixels import Pixels
from .find import find_text
from .hit import Box, TextHit, thickness, widened

_MARGIN = 0.25  # of a hit's shorter side, on every side
_MIN_MARGIN_PX = 3
_RING_PX = 4
_ROUNDS = 3


def blank(pixels: Pixels, hits: Sequence[TextHit]) -> Pixels:
    """Fill the box of each hit, and a margin, with the median colour of what is around it.

    Takes and returns an image (h, w, 3) or (h, w) uint8; the one given stays as it is.
    Raises: ImageError with reason text_unread where it is not known what to blank.
    """
    if any(hit.unread for hit in hits):
        raise ImageError("text_unread", "it looks like text that cannot be read, nor so blanked")
    out = pixels.copy()
    height, width = pixels.shape[:2]
    boxes = [widened(hit.box, _margin(hit.box), width, height) for hit in hits]
    covered = np.zeros((height, width), np.bool_)
    for box in boxes:
        covered[_place(box)] = True
    for box in boxes:
        out[_place(box)] = _surroundings(pixels, box, covered)
    return out


def redact(pixels: Pixels, threads: int | None = None) -> tuple[Pixels, tuple[TextHit, ...]]:
    """Blank all text and barcodes in an image; return it with every hit that was blanked.

    Raises: ImageError with reason text_remains where some is still found after three rounds.
    """
    blanked: tuple[TextHit, ...] = ()
    for _ in range(_ROUNDS):
        hits = find_text(pixels, threads)
        if not hits:
            return pixels, blanked
        pixels, blanked = blank(pixels, hits), blanked + hits
    if find_text(pixels, threads):
        raise ImageError("text_remains", f"text is still found after {_ROUNDS} rounds of blanking")
    return pixels, blanked


def _margin(box: Box) -> int:
    return max(round(_MARGIN * thickness(box)), _MIN_MARGIN_PX)


def _place(box: Box) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(top, bottom), slice(left, right)


def _surroundings(pixels: Pixels, box: Box, covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the median colour of a ring around the box, of pixels that no hit covers."""
    height, width = pixels.shape[:2]
    ring = _place(widened(box, _RING_PX, width, height))
    free = pixels[ring][~covered[ring]]
    if not len(free):
        free = pixels[~covered]
    if not len(free):
        # Nothing is left of the image, and one colour says nothing of the text.
        free = pixels.reshape(-1, *pixels.shape[2:])
    return np.asarray(np.median(free, axis=0), dtype=np.uint8)
