"""Several reports side by side as one HTML page, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synth.measure.config import FAMILIES
from synth.measure.measurement import ALL_CLASSES

from .charts import Bar, chart
from .compare import Comparison, Comparisons, Entry, Standing
from .report import page_templates
from .report_metrics import Metric, metric_named, readable_label, with_arm
from .report_numbers import NONE, axis_number, format_number, slug
from .report_verdict import FAMILY_WORDS

COMPARISON_PAGE_NAME = "compare.html"
_MARKS: dict[Standing, str] = {
    "best": "best", "within noise of the best": "within noise", "worse": "worse",
    "not ranked": "not ranked",
}  # fmt: skip
_BETTER = {
    "lower": "lower is better", "higher": "higher is better", "zero": "zero is best",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """What one report says of one metric."""

    value: str
    raw: str
    interval: str
    cells: str
    standing: str
    kind: str


@dataclass(frozen=True, slots=True)
class Line:
    """One metric over all reports; a report that did not measure it has no cell."""

    title: str
    better: str
    cells: tuple[Cell | None, ...]
    finding: str
    note: str | None
    chart: Markup


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one family: over all classes, and class by class."""

    key: str
    title: str
    lines: tuple[Line, ...]
    by_class: tuple[Line, ...]


def render_comparison(found: Comparisons) -> str:
    """Return the page of a comparison; the same comparison gives the same page."""
    return (
        page_templates()
        .get_template("compare.html.j2")
        .render(
            names=[report.name for report in found.reports],
            reports=found.reports,
            real=found.real,
            headline=headline(found),
            scores=scores(found),
            sections=_sections(found),
            pairs=_pairs(found),
            n_differences=sum(len(each.differences) for each in found.comparisons),
            lacking=found.only_in_some,
            dash=NONE,
        )
    )


def headline(found: Comparisons) -> str:
    """Return what the first ranked metric over all classes says."""
    pooled = [one for one in found.comparisons if one.label == ALL_CLASSES and one.differences]
    if not pooled:
        return "No metric over all classes could be ranked."
    first = pooled[0]
    return f"By {_short(first)} over all classes: {finding(first)}."


def finding(one: Comparison) -> str:
    """Return who is best, who is within noise of it, and who is worse."""
    by: dict[Standing, list[str]] = {}
    for entry in one.entries:
        by.setdefault(entry.standing, []).append(entry.report)
    if "best" not in by:
        return "not ranked"
    best, near, worse = by["best"][0], by.get("within noise of the best"), by.get("worse")
    if near and not worse:
        return "all within noise" if len(near) + 1 == len(one.entries) else \
            f"{_listed([best, *near])} within noise of each other"  # fmt: skip
    parts = [f"{best} is best"]
    if near:
        parts.append(f"{_listed(near)} within noise of it")
    if worse:
        parts.append(f"{_listed(worse)} worse")
    return ", ".join(parts)


def scores(found: Comparisons) -> list[tuple[str, int, int, int]]:
    """Return (report, best or within noise, worse, ranked) over the metrics of all classes."""
    pooled = [one for one in found.comparisons if one.label == ALL_CLASSES]
    rows = []
    for report in found.reports:
        mine = [e.standing for one in pooled for e in one.entries if e.report == report.name]
        worse = mine.count("worse")
        ranked = len(mine) - mine.count("not ranked")
        rows.append((report.name, ranked - worse, worse, ranked))
    return rows


def comparison_rows(found: Comparisons) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table for a terminal: metrics over all classes."""
    names = [report.name for report in found.reports]
    rows = []
    for one in found.comparisons:
        if one.label == ALL_CLASSES:
            cells = _cells(one, names)
            shown = [f"{c.value} ({c.interval})" if c and c.interval != NONE else
                     (c.value if c else NONE) for c in cells]  # fmt: skip
            rows.append([_short(one), *shown, one.note or finding(one)])
    return ["measure", *names, "difference"], rows


def _sections(found: Comparisons) -> list[Section]:
    sections = []
    names = [report.name for report in found.reports]
    for family in FAMILIES:
        mine = [one for one in found.comparisons if one.family == family]
        if mine:
            pooled = [_line(one, names) for one in mine if one.label == ALL_CLASSES]
            classes = [_line(one, names) for one in mine if one.label != ALL_CLASSES]
            title = FAMILY_WORDS[family].title
            sections.append(Section(family, title, tuple(pooled), tuple(classes)))
    return sections


def _line(one: Comparison, names: Sequence[str]) -> Line:
    metric = _metric(one)
    whole = with_arm(metric.title if metric else one.name, one.arm)
    label = "" if one.label == ALL_CLASSES else f", {readable_label(one.label)}"
    return Line(
        title=whole + label,
        better=(metric and metric.better) or _BETTER[one.direction],
        cells=tuple(_cells(one, names)),
        finding=finding(one),
        note=one.note,
        chart=_chart(one) if one.label == ALL_CLASSES else Markup(""),
    )


def _cells(one: Comparison, names: Sequence[str]) -> list[Cell | None]:
    by_name = {entry.report: entry for entry in one.entries}
    return [_cell(one, by_name[name]) if name in by_name else None for name in names]


def _cell(one: Comparison, entry: Entry) -> Cell:
    metric = _metric(one)
    interval = NONE
    if entry.low is not None and entry.high is not None:
        interval = f"{format_number(entry.low, metric)} to {format_number(entry.high, metric)}"
    standing = entry.standing
    # The best value of several that are all within noise is no winner.
    if standing == "best" and not any(each.standing == "worse" for each in one.entries):
        standing = "within noise of the best"
    return Cell(
        value=format_number(entry.value, metric),
        raw=repr(entry.value),
        interval=interval,
        cells=f"{entry.n_real:,} / {entry.n_synthetic:,}",
        standing=_MARKS[standing],
        kind={"best": "met", "worse": "missed"}.get(standing, "no-goal"),
    )


def _chart(one: Comparison) -> Markup:
    metric = _metric(one)
    bars = [
        Bar(e.report, e.value, format_number(e.value, metric), e.low, e.high) for e in one.entries
    ]
    return chart(
        bars, key=f"chart-{slug(f'{one.family} {one.name} {one.arm or str()}')}",
        title=f"{_short(one)} of each report",
        description="Dots with 95 % intervals; the table holds the same numbers.",
        number=lambda value: axis_number(metric, value), mark="dot",
    )  # fmt: skip


def _pairs(found: Comparisons) -> list[tuple[str, str, str, str, str]]:
    """Return (metric, pair, difference, interval, whether it is noise) over all classes."""
    rows = []
    for one in found.comparisons:
        if one.label != ALL_CLASSES:
            continue
        metric = _metric(one)
        for each in one.differences:
            interval = f"{format_number(each.low, metric)} to {format_number(each.high, metric)}"
            rows.append(
                (
                    _short(one),
                    f"{each.first} − {each.second}",
                    format_number(each.value, metric),
                    interval,
                    "within noise" if each.within_noise else "a difference",
                )
            )
    return rows


def _metric(one: Comparison) -> Metric | None:
    return metric_named(one.family, one.name)


def _short(one: Comparison) -> str:
    metric = _metric(one)
    return with_arm(metric.short if metric else one.name, one.arm)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
