"""From a box to the part of its field that is cut out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..errors import SourceError
from ..pixels import Pixels
from .boxes import Box

OUTSIDE = "box_outside"
TINY = "box_tiny"
AT_EDGE = "box_at_edge"

OVERHANG_PX = 2
"""How far a box may reach out of its field: rounding, and programs that count from 1."""

EDGE_PX = 1
"""A box that comes this near to the edge of its field touches it."""

WHOLE_SHARE = 0.8
"""A box that touches one edge holds a whole cell where its depth is this share of its length.

Measured on the boxes of real cells: docs/checks.md.
"""

Edge = Literal["drop", "clip", "pad"]
_EDGES: tuple[Edge, ...] = get_args(Edge)


@dataclass(frozen=True, slots=True)
class CropRules:
    """How cells are cut out: `margin` is the share of the longer side that is added on each side.

    `square` widens the shorter side; `min_box_px` bounds the shorter side of a box. `edge` says
    what becomes of cells at the edge of the field: with `drop` those go that it seems to cut off,
    with `clip` they stay as far as they are seen. A crop ends where the field does, a square moves
    inwards; with `pad` it keeps its size around its cell, and repeats the last pixels outside.
    """

    margin: float = 0.0
    square: bool = False
    min_box_px: int = 16
    edge: Edge = "drop"

    def __post_init__(self) -> None:
        """Refuse numbers that make no crop."""
        if not 0 <= self.margin <= 2 or self.min_box_px < 1 or self.edge not in _EDGES:
            raise SourceError(
                f"margin {self.margin}, min_box_px {self.min_box_px} or edge {self.edge!r} cannot "
                "be used; expected a margin of 0 to 2, min_box_px from 1, edge drop, clip or pad"
            )


def place_problem(box: Box, width: int, height: int, rules: CropRules) -> str | None:
    """Return why a box cannot be cut out of a field of `width` x `height` px, or None."""
    left, top, right, bottom = box
    overhang = max(-left, -top, right - width, bottom - height)
    if overhang > OVERHANG_PX:
        return OUTSIDE
    seen = clipped(box, width, height)
    if min(seen[2] - seen[0], seen[3] - seen[1]) < rules.min_box_px:
        return TINY
    if rules.edge == "drop" and seems_cut(box, width, height):
        return AT_EDGE
    return None


def seems_cut(box: Box, width: int, height: int) -> bool:
    """Return whether the edge of a field of `width` x `height` px seems to cut a cell off.

    A cell is about round: one that an edge cuts is less deep than long. In a corner nothing tells.
    """
    left, top, right, bottom = box
    sideways = (left <= EDGE_PX) + (width - right <= EDGE_PX)
    upright = (top <= EDGE_PX) + (height - bottom <= EDGE_PX)
    if sideways + upright != 1:
        return sideways + upright > 1
    seen = clipped(box, width, height)
    across, down = seen[2] - seen[0], seen[3] - seen[1]
    depth, length = (across, down) if sideways else (down, across)
    return depth < WHOLE_SHARE * length


def crop_window(box: Box, width: int, height: int, rules: CropRules) -> Box:
    """Return what is cut out for a box: with margin, square if wanted.

    It lies inside the field, a square that does not fit is moved inwards; but with `pad` it may
    reach out.
    """
    longer = max(box[2] - box[0], box[3] - box[1])
    added = round(rules.margin * longer)
    least = longer if rules.square else 0
    left, right = _side(box[0], box[2], added, least)
    top, bottom = _side(box[1], box[3], added, least)
    if rules.edge == "pad":
        return left, top, right, bottom
    if rules.square:
        left, right = _inwards(left, right, width)
        top, bottom = _inwards(top, bottom, height)
    return clipped((left, top, right, bottom), width, height)


def cut_out(pixels: Pixels, window: Box) -> Pixels:
    """Return the pixels of a window; where it reaches out, the last pixels are repeated."""
    left, top, right, bottom = window
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = clipped(window, width, height)
    inside = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    outside = ((y0 - top, bottom - y1), (x0 - left, right - x1), (0, 0))[: pixels.ndim]
    return np.pad(inside, outside, mode="edge") if window != (x0, y0, x1, y1) else inside


def _side(near: int, far: int, added: int, least: int) -> tuple[int, int]:
    lacking = max(0, least - (far - near))
    return near - lacking // 2 - added, far + math.ceil(lacking / 2) + added


def _inwards(near: int, far: int, limit: int) -> tuple[int, int]:
    by = max(0, -near) - max(0, far - limit)
    return near + by, far + by


def clipped(box: Box, width: int, height: int) -> Box:
    """Return the part of a box that lies in a field of `width` x `height` px."""
    return max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
