"""A place in an image where text or a barcode stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in px of the image; right and bottom are one past the last pixel."""
Kind = Literal["text", "barcode"]


@dataclass(frozen=True, slots=True)
class TextHit:
    """Text or a barcode in an image: where, how sure in [0, 1], and, in private, what it says.

    `text` identifies people: it goes to the vault and the quarantine, and is kept out of `repr`.
    """

    box: Box
    kind: Kind
    score: float
    text: str = field(repr=False)
    unread: bool = False
    """The crop as a whole looks like text, but where it stands and what it says is not known."""


def upright_box(points: NDArray[np.floating], width: int, height: int) -> Box:
    """Return the smallest upright box around points (n, 2) in px, clipped to the image."""
    left, top = np.floor(points.min(axis=0)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).astype(int)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return (
        int(left),
        int(top),
        int(min(max(right, left + 1), width)),
        int(min(max(bottom, top + 1), height)),
    )


def moved(hit: TextHit, right: int, down: int) -> TextHit:
    """Return a hit in an image of which its own is a part, moved by so many px."""
    left, top, end, bottom = hit.box
    return replace(hit, box=(left + right, top + down, end + right, bottom + down))


def widened(box: Box, margin: int, width: int, height: int) -> Box:
    """Return the box grown by a margin in px on every side, clipped to the image."""
    left, top, right, bottom = box
    return (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, width),
        min(bottom + margin, height),
    )


def overlap(first: Box, second: Box) -> bool:
    """Say whether two boxes share a pixel."""
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def thickness(box: Box) -> int:
    """Return the shorter side of a box in px: for a line of text, its height."""
    return min(box[2] - box[0], box[3] - box[1])
