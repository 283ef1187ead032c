"""What a chart is drawn of: a few plain shapes, which become SVG in a page or a PNG for a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two points."""

    kind: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    kind: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text; `y` is its baseline."""

    kind: str
    x: float
    y: float
    anchor: Anchor
    text: str


Shape = Line | Box | Dot | Words


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes in groups, from back to front, in CSS pixels; a group is called by its kind."""

    name: str
    width: int
    height: int
    groups: tuple[tuple[str, tuple[Shape, ...]], ...]
