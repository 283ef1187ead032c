"""One measurement as a line of text, with what a reader has to be told about it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from synth.measure.measurement import FID_NEEDS, Measurement, Verdict

from .charts import Bar, strip
from .report_metrics import METRICS, better_of, metric_of, readable_label, title_of
from .report_numbers import NONE, goal_text, number_of, range_text

_NAMES = list(METRICS)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement as text; `raw` keeps the value's full precision, `strip` is its picture."""

    title: str
    known: bool
    label: str
    value: str
    raw: str
    interval: str
    goal: str
    verdict: Verdict
    floor: str
    floor_interval: str
    n_real: str
    n_synthetic: str
    better: str
    against: str
    reliable: bool
    notes: tuple[str, ...]
    strip: Markup


def row_of(m: Measurement, *, title: str | None = None, hidden: tuple[str, ...] = ()) -> Row:
    """Return a measurement as a line; `hidden` notes stand elsewhere, above the table."""
    return Row(
        title=title or title_of(m),
        known=metric_of(m) is not None,
        label=readable_label(m.label),
        value=number_of(m, m.value),
        raw=repr(m.value),
        interval=range_text(m, m.low, m.high),
        goal=goal_text(m),
        verdict=verdict_of(m),
        floor=number_of(m, m.floor),
        floor_interval=range_text(m, m.floor_low, m.floor_high),
        n_real=f"{m.n_real:,}",
        n_synthetic=f"{m.n_synthetic:,}",
        better=better_of(m),
        against=against_floor(m) or NONE,
        reliable=is_reliable(m),
        notes=tuple(note for note in notes_of(m) if note not in hidden),
        strip=strip(bar_of(m)),
    )


def bar_of(m: Measurement, label: str | None = None) -> Bar:
    """Return a measurement as one row of a chart, called after its class unless said otherwise."""
    return Bar(
        label or readable_label(m.label), m.value, number_of(m, m.value), m.low, m.high,
        m.floor, m.floor_low, m.floor_high, is_reliable(m), m.goal_low, m.goal_high,
    )  # fmt: skip


def verdict_of(m: Measurement) -> Verdict:
    """Return a measurement's verdict; a number that is greyed, or is none, has no verdict."""
    return m.verdict if is_reliable(m) and math.isfinite(m.value) else "no goal"


def against_floor(m: Measurement) -> str | None:
    """Return above, below or overlaps: where the interval lies against the floor's."""
    if m.floor is None or m.low is None or m.high is None:
        return None
    if m.low > (m.floor if m.floor_high is None else m.floor_high):
        return "above"
    if m.high < (m.floor if m.floor_low is None else m.floor_low):
        return "below"
    return "overlaps"


def fid_lacks_images(m: Measurement) -> bool:
    """Return whether it is a plain FID of too few images."""
    return m.name == "fid" and min(m.n_real, m.n_synthetic) < FID_NEEDS


def is_reliable(m: Measurement) -> bool:
    """Return whether a number is shown as one to rely on."""
    return m.reliable and not fid_lacks_images(m)


def notes_of(m: Measurement) -> tuple[str, ...]:
    """Return what stands under a measurement: why it is greyed, and its own note."""
    notes = []
    if fid_lacks_images(m):
        notes.append(
            f"Greyed: FID needs at least {FID_NEEDS:,} images on each side. With fewer it grows "
            "with the shortage itself, so it says little here; read KID instead."
        )
    elif not m.reliable and m.note is None:
        notes.append("Greyed: the evaluation marked this number as not reliable.")
    if m.note is not None:
        notes.append(m.note)
    return tuple(notes)


# --- order ------------------------------------------------------------------------------------


def summary_order(m: Measurement) -> tuple[bool, int, str, str]:
    """Order of metrics: those to rely on first, then as they are known."""
    place = _NAMES.index(m.name) if m.name in _NAMES else len(_NAMES)
    return (not is_reliable(m), place, m.name, m.arm or "")


def badness(m: Measurement) -> float:
    """Return a number that is higher for worse values of one metric.

    Where a goal has both ends (an AUC at 0.5), what lies further from it is worse.
    """
    if math.isnan(m.value):
        return math.inf
    if m.goal_low is not None and m.goal_high is not None:
        return max(m.goal_low - m.value, m.value - m.goal_high)
    return {"lower": m.value, "higher": -m.value, "zero": abs(m.value)}[m.direction]


def worst_first(found: Iterable[Measurement]) -> list[Measurement]:
    """Return measurements of one metric, the worst value first."""
    return sorted(found, key=lambda m: (-badness(m), m.label, m.arm or ""))
