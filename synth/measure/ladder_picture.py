"""The ladder and its calibration as pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from .calibration_curve import CalibrationCurve
from .seed_interval import Interval

# Blue and vermilion of Okabe and Ito, told apart by every eye, and by filling as well.
_REAL, _SYNTHETIC = (0, 114, 178), (213, 94, 0)
_INK, _PAPER, _RULE = (31, 32, 41), (255, 255, 255), (214, 214, 222)
_SCALE = 2  # px of the picture for each one below, so that it stays sharp
_WIDTH, _LEFT, _RIGHT, _ROW, _AXIS = 720, 206, 150, 40, 34
_COLUMNS, _PANEL, _HEAD, _GAP, _FOOT = 3, 216, 30, 28, 22
_FONT_PX, _SMALL_PX = 15, 12
_FEWEST = 20
"""Answers in a bin under which it is not drawn: its dot would be noise."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rung: its score, and whether it saw synthetic cells."""

    name: str
    interval: Interval
    synthetic: bool


def ladder_picture(rows: Sequence[Row], axis: str) -> Image.Image:
    """Return a row for each rung: a dot in its interval, filled where synthetic cells were seen."""
    pen = _Pen(_WIDTH, _ROW * len(rows) + _AXIS)
    low, high, step = _extent(rows)
    room = _WIDTH - _LEFT - _RIGHT

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * room

    bottom = _ROW * len(rows)
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        pen.line((across(value), 4, across(value), bottom), _RULE, 1)
        pen.text((across(value), bottom + 10), f"{value:.2f}", "mm", _SMALL_PX)
    pen.text((_WIDTH - 8, bottom + 10), axis, "rm", _SMALL_PX)
    for place, row in enumerate(rows):
        _row(pen, row, across, _ROW * place + _ROW / 2)
    return pen.image


def calibration_picture(curves: Mapping[str, CalibrationCurve], synthetic: Set[str]) -> Image.Image:
    """Return a panel for each rung: the share right against the confidence, bin by bin.

    `synthetic` names those that saw synthetic cells.
    """
    columns = min(_COLUMNS, len(curves))
    down = -(-len(curves) // columns)
    height = _HEAD + _PANEL + _FOOT
    pen = _Pen(columns * (_PANEL + _GAP) + _GAP, down * height + _GAP // 2)
    for place, (name, curve) in enumerate(curves.items()):
        left = _GAP + place % columns * (_PANEL + _GAP)
        top = place // columns * height + _HEAD
        _panel(pen, left, top, name, curve, synthetic=name in synthetic)
    return pen.image


class _Pen:
    """Draws on a white picture in lengths that its size does not depend on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * _SCALE, height * _SCALE), _PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def line(self, ends: Sequence[float], colour: tuple[int, int, int], width: float) -> None:
        self._draw.line([end * _SCALE for end in ends], colour, round(width * _SCALE))

    def box(self, ends: Sequence[float], colour: tuple[int, int, int]) -> None:
        self._draw.rectangle([end * _SCALE for end in ends], outline=colour, width=_SCALE)

    def dot(self, x: float, y: float, radius: float, colour: tuple[int, int, int], *,
            filled: bool) -> None:  # fmt: skip
        self._draw.circle(
            (x * _SCALE, y * _SCALE), radius * _SCALE, fill=colour if filled else _PAPER,
            outline=colour, width=2 * _SCALE,
        )  # fmt: skip

    def text(self, place: tuple[float, float], text: str, anchor: str, size: int) -> None:
        font = ImageFont.load_default(size=size * _SCALE)
        where = place[0] * _SCALE, place[1] * _SCALE
        self._draw.text(where, text, _INK, font, anchor=anchor)


def _extent(rows: Sequence[Row]) -> tuple[float, float, float]:
    """Return where the axis begins and ends, and its step."""
    least = max(0.0, min(row.interval.low for row in rows))
    most = min(1.0, max(row.interval.high for row in rows))
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if (most - least) / step <= 7)
    low = math.floor(least / step + 1e-9) * step
    return low, max(math.ceil(most / step - 1e-9) * step, low + step), step


def _row(pen: _Pen, row: Row, across: Callable[[float], float], middle: float) -> None:
    colour = _SYNTHETIC if row.synthetic else _REAL
    interval = row.interval
    pen.text((_LEFT - 12, middle), row.name, "rm", _FONT_PX)
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    start, end = across(low), across(high)
    pen.line((start, middle, end, middle), colour, 2)
    for x in (start, end):
        pen.line((x, middle - 6, x, middle + 6), colour, 2)
    pen.dot(across(interval.value), middle, 6, colour, filled=row.synthetic)
    text = f"{interval.value:.3f} ({low:.3f} to {high:.3f})"
    pen.text((_WIDTH - 8, middle), text, "rm", _SMALL_PX)


def _panel(
    pen: _Pen, left: float, top: float, name: str, curve: CalibrationCurve, *, synthetic: bool
) -> None:
    pen.text((left, top - 8), f"{name}: {curve.error:.3f}", "ls", _SMALL_PX)
    pen.box((left, top, left + _PANEL, top + _PANEL), _RULE)
    pen.line((left, top + _PANEL, left + _PANEL, top), _RULE, 1)
    colour = _SYNTHETIC if synthetic else _REAL
    shown = [
        (left + x * _PANEL, top + (1 - y) * _PANEL, share)
        for n, share, x, y in zip(
            curve.cells, curve.share, curve.confidence, curve.right, strict=True
        )
        if n >= _FEWEST
    ]
    for (x, y, _), (x2, y2, _) in pairwise(shown):
        pen.line((x, y, x2, y2), colour, 1.5)
    for x, y, share in shown:
        pen.dot(x, y, 3 + 9 * math.sqrt(share), colour, filled=synthetic)
    for value in (0.0, 0.5, 1.0):
        pen.text((left + value * _PANEL, top + _PANEL + 10), f"{value:g}", "mm", _SMALL_PX)
