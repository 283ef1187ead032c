"""Charts as inline SVG: plain shapes and text, coloured by the page's own style sheet.

Each chart is drawn twice, once for a wide page and once for a phone, and the style sheet shows one
of the two: text then keeps its size on both, which one scaled drawing cannot do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LABEL_CHARS = 36


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart: a value with its interval, and the floor it is judged against."""

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    floor_low: float | None = None
    floor_high: float | None = None
    reliable: bool = True


@dataclass(frozen=True, slots=True)
class _Layout:
    """Lengths in CSS pixels; `above` puts a row's label over its bar instead of beside it."""

    name: str
    width: int
    left: int
    right: int
    row: int
    ticks: int
    above: bool


_LAYOUTS = (
    _Layout("wide", width=800, left=226, right=78, row=30, ticks=6, above=False),
    _Layout("narrow", width=342, left=4, right=20, row=46, ticks=5, above=True),
)
_AXIS = 30


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


def bar_chart(
    bars: Sequence[Bar], *, key: str, title: str, description: str, number: Callable[[float], str]
) -> Markup:
    """Return horizontal bars with interval whiskers and floor ticks, in the order given.

    `key` makes the element ids unique in the page; `number` writes the axis. Rows without a
    finite value are left out. Returns nothing where no row is left.
    """
    drawn = [bar for bar in bars if math.isfinite(bar.value)]
    if not drawn:
        return Markup("")
    return Markup("\n").join(
        _draw(drawn, layout, f"{key}-{layout.name}", title, description, number)
        for layout in _LAYOUTS
    )


def _finite(*values: float | None) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _extent(bars: Sequence[Bar]) -> tuple[float, float]:
    values = [0.0]
    for bar in bars:
        values += _finite(bar.value, bar.low, bar.high, bar.floor, bar.floor_low, bar.floor_high)
    low, high = min(values), max(values)
    return low, high if high > low else low + 1.0


def _draw(
    bars: Sequence[Bar],
    layout: _Layout,
    key: str,
    title: str,
    description: str,
    number: Callable[[float], str],
) -> Markup:
    low, high = _extent(bars)
    ticks = axis_ticks(low, high, layout.ticks)
    room = layout.width - layout.left - layout.right

    def across(value: float) -> float:
        return layout.left + (value - low) / (high - low) * room

    bottom = layout.row * len(bars)
    parts = [_axis(ticks, across, bottom, number)]
    parts += [_row(bar, layout, across, layout.row * place) for place, bar in enumerate(bars)]
    return Markup(
        '<svg class="chart chart-{}" viewBox="0 0 {} {}" role="img" '
        'aria-labelledby="{}-title {}-desc">\n'
        '<title id="{}-title">{}</title>\n<desc id="{}-desc">{}</desc>\n{}\n</svg>'
    ).format(
        layout.name, layout.width, bottom + _AXIS, key, key, key, title, key, description,
        Markup("\n").join(parts),
    )  # fmt: skip


def _axis(
    ticks: Sequence[float],
    across: Callable[[float], float],
    bottom: int,
    number: Callable[[float], str],
) -> Markup:
    parts = []
    for tick in ticks:
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        x = across(tick)
        parts.append(_line(kind, x, 0, x, bottom + 5))
        parts.append(_text("tick", x, bottom + 21, "middle", number(tick)))
    return Markup("\n").join(parts)


def _row(bar: Bar, layout: _Layout, across: Callable[[float], float], top: float) -> Markup:
    middle = top + (31 if layout.above else layout.row / 2)
    label_y = top + 17 if layout.above else middle + 4.5
    label_x = layout.left if layout.above else layout.left - 12
    ends = sorted((across(0.0), across(bar.value)))
    parts = [
        _text("label", label_x, label_y, "start" if layout.above else "end", _short(bar.label)),
        _text("value", layout.width, label_y, "end", bar.text),
    ]
    band = _finite(bar.floor_low, bar.floor_high)
    if len(band) == 2:
        parts.append(_rect("floor-band", across(band[0]), middle - 9, across(band[1]), 18))
    parts.append(_rect("bar", ends[0], middle - 5, ends[1], 10))
    whisker = _finite(bar.low, bar.high)
    if len(whisker) == 2:
        start, end = across(whisker[0]), across(whisker[1])
        parts.append(_line("whisker", start, middle, end, middle))
        parts += [_line("whisker", x, middle - 4, x, middle + 4) for x in (start, end)]
    for floor in _finite(bar.floor):
        x = across(floor)
        parts.append(_line("floor", x, middle - 9, x, middle + 9))
    kind = "row" if bar.reliable else "row unreliable"
    return Markup('<g class="{}">{}</g>').format(kind, Markup("").join(parts))


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1].rstrip(" ,") + "…"


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup(
        f'<line class="{escape(kind)}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _rect(kind: str, left: float, top: float, right: float, height: float) -> Markup:
    width = max(right - left, 0.0)
    return Markup(
        f'<rect class="{escape(kind)}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
    )


def _text(kind: str, x: float, y: float, anchor: str, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, f"{x:.1f}", f"{y:.1f}", anchor, text
    )
