"""Numbers as text: fixed decimals by metric, a true minus, shares in percent."""

from __future__ import annotations

import math
import re

from synth.measure.measurement import Measurement

from .report_metrics import Metric, metric_of

NONE = "–"
NBSP = "\u00a0"
_FEW_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_PLAIN = Metric("", "")


def format_number(value: float, metric: Metric | None = None) -> str:
    """Return a metric's value as it is printed: fixed decimals, a true minus, shares in percent.

    A share that is not zero is not printed as zero: zero is what it should be (a share of copies).
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    metric = metric or _PLAIN
    shown = value * 100 if metric.percent else value
    if metric.decimals is None:
        text = _three_digits(shown)
    else:
        text = f"{shown:,.{metric.decimals}f}"
        if metric.percent and shown != 0 and float(text.replace(",", "")) == 0:
            text = f"{shown:.1g}" if abs(shown) >= 1e-4 else f"{shown:.0e}"
        elif metric.percent and shown in (0, 100):
            text = f"{shown:.0f}"
    if re.fullmatch(r"-0(\.0*)?", text):
        text = text[1:]
    return text.replace("-", "−") + (f"{NBSP}%" if metric.percent else "")


def number_of(m: Measurement, value: float | None) -> str:
    """Return a value in a measurement's unit, a dash where there is none."""
    return NONE if value is None else format_number(value, metric_of(m))


def axis_number(metric: Metric | None, value: float) -> str:
    """Return a value beside an axis: as few digits as it needs."""
    percent = metric is not None and metric.percent
    text = f"{value * 100 if percent else value:.6g}".replace("-", "−")
    return f"{text}{NBSP}%" if percent else text


def range_text(m: Measurement, low: float | None, high: float | None) -> str:
    """Return 'a to b', 'at least a', 'at most b' or a dash."""
    if low is not None and high is not None:
        return f"{number_of(m, low)} to {number_of(m, high)}"
    if low is not None:
        return f"at least {number_of(m, low)}"
    return NONE if high is None else f"at most {number_of(m, high)}"


def goal_text(m: Measurement) -> str:
    """Return which values a measurement should have, a dash where no goal was set."""
    if m.goal_low is not None and m.goal_low == m.goal_high:
        return number_of(m, m.goal_low)
    return range_text(m, m.goal_low, m.goal_high)


def with_interval(m: Measurement) -> str:
    """Return a value and, in brackets, its interval."""
    interval = range_text(m, m.low, m.high)
    value = number_of(m, m.value)
    return value if interval == NONE else f"{value} (95{NBSP}% interval {interval})"


def count(number: int, noun: str) -> str:
    """Return 'one class', 'two classes', '13 cells'."""
    word = _FEW_WORDS[number] if number < len(_FEW_WORDS) else f"{number:,}"
    return f"{word} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


def slug(name: str) -> str:
    """Return a name as an element's id or a file's stem."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "unnamed"


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    return f"{value:.2e}"
