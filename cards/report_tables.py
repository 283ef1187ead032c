"""The tables of a report: one metric class by class, several beside each other, and arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from synth.measure.measurement import ALL_CLASSES, Family, Measurement, Measurements

from .report_charts import arm_chart, by_arm, by_class, class_chart
from .report_metrics import COPYING, readable_arm, readable_label, short_of, title_of
from .report_numbers import slug
from .report_rows import Row, badness, is_reliable, notes_of, row_of, worst_first

_ALONE = "all together"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one metric; a note that every row shares stands above it.

    `folded` opens on demand; `grey` is nothing to rely on.
    """

    key: str
    title: str
    known: bool
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    chart: Markup
    folded: bool
    grey: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several metrics side by side, one line per class; a class may lack a metric."""

    key: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Row | None, ...]], ...]


def class_tables(measurements: Measurements, family: Family) -> list[Table]:
    """Return a family's metrics class by class, the first one open and the others folded."""
    return [
        _class_table(found, folded=place > 0)
        for place, (_, found) in enumerate(by_class(measurements, family))
    ]


def arm_tables(measurements: Measurements, family: Family, *, rank: bool) -> list[Table]:
    """Return a family's metrics arm by arm over all classes; `rank` puts the worst first."""
    tables = []
    for _, found in by_arm(measurements, family):
        rows = worst_first(found) if rank else found
        shared = _shared_notes(rows)
        plain = rows[0].model_copy(update={"arm": None})
        grey = not any(is_reliable(m) for m in rows)
        tables.append(
            Table(
                key=f"{slug(family)}-{slug(rows[0].name)}-arms",
                title=title_of(plain),
                known=row_of(plain).known,
                rows=tuple(
                    row_of(m, title=readable_arm(m.arm or _ALONE), hidden=shared) for m in rows
                ),
                notes=shared,
                chart=Markup("") if grey or len(rows) < 2 else arm_chart(rows).svg(),
                folded=False,
                grey=grey,
            )
        )
    return tables


def class_matrix(measurements: Measurements, family: Family) -> Matrix | None:
    """Return a family's metrics and arms beside each other, one line per class."""
    every = [m for m in measurements.measurements if m.family == family and m.label != ALL_CLASSES]
    columns = list(dict.fromkeys((m.name, m.arm) for m in every))
    if family == "copying":
        columns.sort(key=lambda key: _place(key[0]))
    return _matrix(every, columns, f"{family}-classes")


def _place(name: str) -> int:
    return COPYING.index(name) if name in COPYING else len(COPYING)


def _matrix(
    found: Sequence[Measurement], columns: Sequence[tuple[str, str | None]], key: str
) -> Matrix | None:
    if not columns:
        return None
    cells = {(m.label, m.name, m.arm): m for m in found}
    titles = {(m.name, m.arm): short_of(m) for m in found}

    def rank(label: str) -> tuple[tuple[float, ...], str]:
        values = (cells.get((label, *column)) for column in columns)
        return tuple(-badness(m) if m else math.inf for m in values), label

    lines = []
    for label in sorted({m.label for m in found}, key=rank):
        row = (cells.get((label, *column)) for column in columns)
        lines.append((readable_label(label), tuple(row_of(m) if m else None for m in row)))
    return Matrix(key, tuple(titles[column] for column in columns), tuple(lines))


def _class_table(found: Sequence[Measurement], *, folded: bool) -> Table:
    shared = _shared_notes(found)
    grey = not any(is_reliable(m) for m in found)
    first = found[0]
    return Table(
        key=slug(f"{first.family} {first.name} {first.arm or ''}"),
        title=title_of(first),
        known=row_of(first).known,
        rows=tuple(row_of(m, hidden=shared) for m in found),
        notes=shared,
        chart=Markup("") if grey else class_chart(found).svg(),
        folded=folded or grey,
        grey=grey,
    )


def _shared_notes(found: Sequence[Measurement]) -> tuple[str, ...]:
    each = [notes_of(m) for m in found]
    return tuple(note for note in each[0] if len(each) > 1 and all(note in n for n in each))
