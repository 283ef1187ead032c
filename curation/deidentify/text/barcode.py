"""Search of an image for barcodes of every kind that zxing-cpp knows."""

from __future__ import annotations

import numpy as np

from ...pixels import Pixels
from .hit import TextHit, upright_box
from .screen import grey

MIN_STEPS = 275
"""Steep steps between pixels two apart, on every second line, from which on a crop is searched.

Of 9,604 real crops of 128 to 363 px none has more than 246; of 600 of the smallest printed codes,
10x10 modules of 2 px on such crops saved as JPEG, none has fewer than 303.
"""
_STEEP = 120  # grey levels: print goes from paper to ink, cells do not
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
    for code in zxingcpp.read_barcodes(np.ascontiguousarray(grey(pixels)), return_errors=True):
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

    rows = grey(pixels)[::2]
    steps = cv2.absdiff(rows[:, 2:], rows[:, :-2]), cv2.absdiff(rows[1:], rows[:-1])
    return sum(
        int(cv2.countNonZero(cv2.threshold(step, _STEEP, 255, cv2.THRESH_BINARY)[1]))
        for step in steps
    )
