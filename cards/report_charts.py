"""The charts of a report: which there are, their rows, and their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from synth.measure.measurement import ALL_CLASSES, Family, Measurement, Measurements

from .charts import Bar, Mark, chart, wide_drawing
from .charts_png import png
from .report_metrics import Metric, metric_of, readable_arm, short_of
from .report_numbers import axis_number, slug
from .report_rows import bar_of, is_reliable, summary_order, worst_first


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows of one metric: its classes, or its arms over all classes."""

    key: str
    title: str
    description: str
    bars: tuple[Bar, ...]
    metric: Metric | None
    mark: Mark

    def svg(self) -> Markup:
        """Return the chart for a page; nothing where no row has a finite value."""
        return chart(
            self.bars, key=f"chart-{self.key}", title=self.title, description=self.description,
            number=lambda value: axis_number(self.metric, value), mark=self.mark,
        )  # fmt: skip

    def image(self) -> Image.Image | None:
        """Return the chart as a picture for a card."""
        drawing = wide_drawing(
            self.bars, number=lambda value: axis_number(self.metric, value), mark=self.mark
        )
        return None if drawing is None else png(drawing, self.title)


def class_chart(found: Sequence[Measurement]) -> Chart:
    """Return the bars of one metric's classes, the worst first."""
    ranked = worst_first(found)
    short = short_of(ranked[0])
    first, last = bar_of(ranked[0]), bar_of(ranked[-1])
    return Chart(
        key=slug(f"{ranked[0].family} {ranked[0].name} {ranked[0].arm or ''}"),
        title=f"{short} of each class, the worst first",
        description=(
            f"Horizontal bars of {len(ranked)} classes, from {first.label} ({first.text}) to "
            f"{last.label} ({last.text}), with 95 % intervals, goals, and the floor as a tick "
            "where there is one. The table below holds the same numbers."
        ),
        bars=tuple(bar_of(m) for m in ranked),
        metric=metric_of(ranked[0]),
        mark="bar",
    )


def arm_chart(found: Sequence[Measurement]) -> Chart:
    """Return the dots of one metric's arms, in the order given."""
    first = found[0].model_copy(update={"arm": None})
    bars = tuple(bar_of(m, readable_arm(m.arm or "all together")) for m in found)
    ends = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    return Chart(
        key=slug(f"{first.family} {first.name} arms"),
        title=f"{short_of(first)}, over all classes",
        description=f"Dots with 95 % intervals: {ends}. The table holds the same numbers.",
        bars=bars,
        metric=metric_of(first),
        mark="dot",
    )


def by_class(
    measurements: Measurements, family: Family
) -> list[tuple[tuple[str, str | None], list[Measurement]]]:
    """Return a family's measurements of classes by (name, arm), those to rely on first."""
    return grouped(
        m for m in measurements.measurements if m.family == family and m.label != ALL_CLASSES
    )


def by_arm(measurements: Measurements, family: Family) -> list[tuple[str, list[Measurement]]]:
    """Return a family's pooled measurements by name, each in the order of the measurements."""
    found: dict[str, list[Measurement]] = {}
    for m in measurements.measurements:
        if m.family == family and m.label == ALL_CLASSES:
            found.setdefault(m.name, []).append(m)
    return sorted(found.items(), key=lambda item: min(summary_order(m)[:3] for m in item[1]))


def grouped(
    found: Iterable[Measurement],
) -> list[tuple[tuple[str, str | None], list[Measurement]]]:
    """Return measurements by (name, arm), each the worst first, those to rely on first."""
    groups: dict[tuple[str, str | None], list[Measurement]] = {}
    for m in found:
        groups.setdefault((m.name, m.arm), []).append(m)
    ordered = sorted(groups.items(), key=lambda item: min(summary_order(m) for m in item[1]))
    return [(key, worst_first(group)) for key, group in ordered]


def all_charts(measurements: Measurements) -> list[Chart]:
    """Return the charts that a report shows."""
    charts = []
    families: tuple[Family, ...] = ("distance", "coverage")
    for family in families:
        for _, found in by_class(measurements, family):
            if any(is_reliable(m) for m in found):
                charts.append(class_chart(found))
    families = ("shortcuts", "usefulness", "subjects")
    for family in families:
        for _, found in by_arm(measurements, family):
            if len(found) > 1:
                charts.append(arm_chart(found))
    return charts


def chart_images(measurements: Measurements) -> list[tuple[str, Image.Image]]:
    """Return (file stem, picture) of every chart of a report."""
    images = [(f"chart-{each.key}", each.image()) for each in all_charts(measurements)]
    return [(name, image) for name, image in images if image is not None]
