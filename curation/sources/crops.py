"""From a box to the part of its field that is cut out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import SourceError
from .boxes import Box

OUTSIDE = "box_outside"
TINY = "box_tiny"
AT_EDGE = "box_at_edge"

OVERHANG_PX = 2
"""How far a box may reach out of its field: rounding, and programs that count from 1."""

EDGE_PX = 1
"""A box that comes this near to the edge of its field is taken as cut off by it."""


@dataclass(frozen=True, slots=True)
class CropRules:
    """How cells are cut out: `margin` is the share of the longer side that is added on each side.

    `square` widens the shorter side; `min_box_px` bounds the shorter side of a box; `edge` says
    what becomes of cells that the edge of the field cuts off.
    """

    margin: float = 0.0
    square: bool = False
    min_box_px: int = 16
    edge: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        """Refuse numbers that make no crop."""
        if not 0 <= self.margin <= 2 or self.min_box_px < 1 or self.edge not in ("drop", "keep"):
            raise SourceError(
                f"margin {self.margin}, min_box_px {self.min_box_px} or edge {self.edge!r} cannot "
                "be used; expected a margin of 0 to 2, min_box_px from 1, edge drop or keep"
            )


def place_problem(box: Box, width: int, height: int, rules: CropRules) -> str | None:
    """Return why a box cannot be cut out of a field of `width` x `height` px, or None."""
    left, top, right, bottom = box
    overhang = max(-left, -top, right - width, bottom - height)
    if overhang > OVERHANG_PX:
        return OUTSIDE
    seen = _clipped(box, width, height)
    if min(seen[2] - seen[0], seen[3] - seen[1]) < rules.min_box_px:
        return TINY
    if rules.edge == "drop" and touches_edge(box, width, height):
        return AT_EDGE
    return None


def touches_edge(box: Box, width: int, height: int) -> bool:
    """Return whether the edge of a field of `width` x `height` px seems to cut a cell off."""
    left, top, right, bottom = box
    return min(left, top, width - right, height - bottom) <= EDGE_PX


def crop_window(box: Box, width: int, height: int, rules: CropRules) -> Box:
    """Return what is cut out for a box: with margin, square if wanted, inside the field.

    A square that does not fit at the edge is moved inwards, not cut.
    """
    longer = max(box[2] - box[0], box[3] - box[1])
    added = round(rules.margin * longer)
    left, right = _side(box[0], box[2], width, added, longer if rules.square else 0)
    top, bottom = _side(box[1], box[3], height, added, longer if rules.square else 0)
    return left, top, right, bottom


def _side(near: int, far: int, limit: int, added: int, least: int) -> tuple[int, int]:
    lacking = max(0, least - (far - near))
    near, far = near - lacking // 2 - added, far + math.ceil(lacking / 2) + added
    if least:
        inwards = max(0, -near) - max(0, far - limit)
        near, far = near + inwards, far + inwards
    return max(0, near), min(limit, far)


def _clipped(box: Box, width: int, height: int) -> Box:
    return max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
