"""Search of an image for barcodes of every kind that zxing-cpp knows."""

from __future__ import annotations

import numpy as np

from ...pixels import Pixels
from .hit import TextHit, upright_box

MIN_STEPS = 285
"""Steep steps between pixels two apart, on every second line, from which on a crop is searched.

Of 16,902 real crops of 128 to 363 px one has more (289), and the next 279; of 1,022 printed codes
of 2 and 3 px a module, on such crops saved as JPEG, none has fewer than 292.
"""
_STEEP = 110  # grey levels: print goes from paper to ink, cells do not
_READ = 1.0
_DAMAGED = 0.5


def find_barcodes(pixels: Pixels) -> tuple[TextHit, ...]:
    """Find barcodes in an image (h, w, 3) or (h, w) uint8, in any direction.

    A barcode that is found but cannot be read counts, with a score of 0.5: another reader might
    read it, or a person what is printed below it.
    """
    import zxingcpp

    height, width = pixels.shape[:2]
    hits = []
    for code in zxingcpp.read_barcodes(_grey(pixels), return_errors=True):
        at = code.position
        corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        points = np.array([(corner.x, corner.y) for corner in corners], np.float32)
        score = _READ if code.valid else _DAMAGED
        hits.append(TextHit(upright_box(points, width, height), "barcode", score, code.text))
    return tuple(hits)


def may_hold_barcode(pixels: Pixels) -> bool:
    """Whether a crop (h, w, 3) or (h, w) uint8 has as many steep steps as a printed code."""
    return _steep_steps(pixels) >= MIN_STEPS


def _steep_steps(pixels: Pixels) -> int:
    """Count the steep steps across and down, on every other row."""
    import cv2

    # Red: stained cells are light in it, ink is dark.
    rows = np.ascontiguousarray(pixels[::2] if pixels.ndim == 2 else pixels[::2, :, 0])
    steps = cv2.absdiff(rows[:, 2:], rows[:, :-2]), cv2.absdiff(rows[1:], rows[:-1])
    return sum(
        int(cv2.countNonZero(cv2.threshold(step, _STEEP, 255, cv2.THRESH_BINARY)[1]))
        for step in steps
    )


def _grey(pixels: Pixels) -> Pixels:
    import cv2

    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
