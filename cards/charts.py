"""Charts: one row a value with its interval, its floor and its goal.

Each chart is drawn twice, once for a wide page and once for a phone, and the style sheet shows one
of the two: text then keeps its size on both, which one scaled drawing cannot do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from .charts_shapes import Box, Dot, Drawing, Line, Shape, Words
from .charts_svg import mute_svg, svg

Mark = Literal["bar", "dot"]
"""A bar stands on zero; a dot stands where its value is, on an axis that need not hold zero."""
Number = Callable[[float], str]
_LABEL_CHARS = 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart: a value with its interval, its goal, and the floor it is judged by."""

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    floor_low: float | None = None
    floor_high: float | None = None
    reliable: bool = True
    goal_low: float | None = None
    goal_high: float | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Lengths in CSS pixels; `above` puts a row's label over its mark instead of beside it."""

    name: str
    width: int
    left: int
    right: int
    row: int
    ticks: int
    above: bool


_WIDE = _Layout("wide", width=800, left=236, right=82, row=30, ticks=6, above=False)
_NARROW = _Layout("narrow", width=320, left=4, right=20, row=46, ticks=4, above=True)
_AXIS = 30
_STRIP_WIDTH, _STRIP_HEIGHT = 168, 24


def axis_ticks(low: float, high: float, at_most: int) -> tuple[float, ...]:
    """Return at most so many (two or more) evenly spaced round numbers within [low, high]."""
    power = 10.0 ** math.floor(math.log10((high - low) / at_most))
    for factor in (1, 2, 5, 10, 20):
        step = power * factor
        # A hair of tolerance, so that 0.3 / 0.1 does not lose its last step.
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < at_most:
            return tuple(step * index for index in range(first, last + 1))
    raise AssertionError(f"no step fits {at_most} ticks into {low} to {high}")


def chart(
    bars: Sequence[Bar],
    *,
    key: str,
    title: str,
    description: str,
    number: Number,
    mark: Mark = "bar",
) -> Markup:
    """Return rows with interval whiskers, floor ticks and goals, in the order given, as SVG.

    `key` makes the element ids unique in the page; `number` writes the axis. Rows without a
    finite value are left out. Returns nothing where no row is left.
    """
    drawn = _finite_rows(bars)
    if not drawn:
        return Markup("")
    return Markup("\n").join(
        svg(_draw(drawn, layout, number, mark), f"{key}-{layout.name}", title, description)
        for layout in (_WIDE, _NARROW)
    )


def wide_drawing(bars: Sequence[Bar], *, number: Number, mark: Mark = "bar") -> Drawing | None:
    """Return the chart's wide drawing, None where no row has a finite value."""
    drawn = _finite_rows(bars)
    return _draw(drawn, _WIDE, number, mark) if drawn else None


def strip(bar: Bar) -> Markup:
    """Return one row without words, to stand beside its numbers.

    Nothing without a value, or without a goal or floor to see it against.
    """
    if not math.isfinite(bar.value) or not _finite(bar.goal_low, bar.goal_high, bar.floor):
        return Markup("")
    low, high = _extent([bar], "dot")
    across = _scale(low, high, 4, _STRIP_WIDTH - 4)
    middle = _STRIP_HEIGHT / 2
    base = Line("grid", 0, middle, _STRIP_WIDTH, middle)
    shapes = (*_goal(bar, across, (low, high), 0, _STRIP_HEIGHT), base)
    shapes += _marks(bar, across, middle, "dot")
    kind = "row" if bar.reliable else "row unreliable"
    return mute_svg(Drawing("strip", _STRIP_WIDTH, _STRIP_HEIGHT, ((kind, shapes),)))


def _finite_rows(bars: Sequence[Bar]) -> list[Bar]:
    return [bar for bar in bars if math.isfinite(bar.value)]


def _finite(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _extent(bars: Sequence[Bar], mark: Mark) -> tuple[float, float]:
    values = [0.0] if mark == "bar" else []
    for bar in bars:
        values += _finite(
            bar.value, bar.low, bar.high, bar.floor, bar.floor_low, bar.floor_high,
            bar.goal_low, bar.goal_high,
        )  # fmt: skip
    low, high = min(values), max(values)
    if low == high:
        low, high = (low, low + 1.0) if mark == "bar" else (low - abs(low) - 0.5, low + 1.0)
    # Dots at the rim would hang over it.
    room = 0.0 if mark == "bar" else 0.06 * (high - low)
    return low - room, high + room


def _scale(low: float, high: float, left: float, right: float) -> Callable[[float], float]:
    return lambda value: left + (value - low) / (high - low) * (right - left)


def _draw(bars: Sequence[Bar], layout: _Layout, number: Number, mark: Mark) -> Drawing:
    extent = _extent(bars, mark)
    across = _scale(*extent, layout.left, layout.width - layout.right)
    bottom = layout.row * len(bars)
    goals: list[Shape] = []
    rows: list[tuple[str, tuple[Shape, ...]]] = []
    for place, bar in enumerate(bars):
        top = layout.row * place
        start = top + 20 if layout.above else top
        goals += _goal(bar, across, extent, start, top + layout.row - start)
        kind = "row" if bar.reliable else "row unreliable"
        rows.append((kind, _row(bar, layout, across, top, mark)))
    axis = _axis(axis_ticks(*extent, layout.ticks), across, bottom, number)
    groups = (("goals", tuple(goals)), ("axis", axis), *rows)
    return Drawing(layout.name, layout.width, bottom + _AXIS, groups)


def _axis(
    ticks: Sequence[float], across: Callable[[float], float], bottom: int, number: Number
) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    for tick in ticks:
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        x = across(tick)
        shapes.append(Line(kind, x, 0, x, bottom + 5))
        shapes.append(Words("tick", x, bottom + 21, "middle", number(tick)))
    return tuple(shapes)


def _goal(
    bar: Bar,
    across: Callable[[float], float],
    extent: tuple[float, float],
    top: float,
    height: float,
) -> tuple[Shape, ...]:
    """Return where the goal lies, to the end of the axis where it has one end only."""
    if not _finite(bar.goal_low, bar.goal_high):
        return ()
    low, high = (*_finite(bar.goal_low), extent[0])[0], (*_finite(bar.goal_high), extent[1])[0]
    left, right = across(low), across(high)
    # A goal of one value is still seen.
    thin = max(0.0, 3.0 - (right - left)) / 2
    return (Box("goal", left - thin, top, right - left + 2 * thin, height),)


def _row(
    bar: Bar, layout: _Layout, across: Callable[[float], float], top: float, mark: Mark
) -> tuple[Shape, ...]:
    middle = top + (32 if layout.above else layout.row / 2)
    label_y = top + 15 if layout.above else middle + 4.5
    label_x = layout.left if layout.above else layout.left - 12
    anchor: Literal["start", "end"] = "start" if layout.above else "end"
    words = (
        Words("label", label_x, label_y, anchor, _short(bar.label)),
        Words("value", layout.width, label_y, "end", bar.text),
    )
    return (*words, *_marks(bar, across, middle, mark))


def _marks(
    bar: Bar, across: Callable[[float], float], middle: float, mark: Mark
) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    band = _finite(bar.floor_low, bar.floor_high)
    if len(band) == 2:
        left, right = across(band[0]), across(band[1])
        shapes.append(Box("floor-band", left, middle - 9, max(right - left, 0.0), 18))
    if mark == "bar":
        start, end = sorted((across(0.0), across(bar.value)))
        shapes.append(Box("bar", start, middle - 5, end - start, 10))
    for floor in _finite(bar.floor):
        shapes.append(Line("floor", across(floor), middle - 9, across(floor), middle + 9))
    whisker = _finite(bar.low, bar.high)
    if len(whisker) == 2:
        start, end = across(whisker[0]), across(whisker[1])
        shapes.append(Line("whisker", start, middle, end, middle))
        shapes += [Line("whisker", x, middle - 4, x, middle + 4) for x in (start, end)]
    if mark == "dot":
        shapes.append(Dot("dot", across(bar.value), middle, 5))
    return tuple(shapes)


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1].rstrip(" ,") + "…"
