"""Reports of several generators side by side, and which of their differences are within noise.

A difference has an interval of its own, recovered from the two intervals; it is noise where that
holds zero. The measurements are taken to be independent. They share the real cells, which moves
both the same way: the interval is then too wide rather than too narrow, so that what is called a
difference is one.

Source: Zou and Donner, Construction of confidence limits about effect measures: a general
approach, Statistics in Medicine 27:1693 (2008), equation 3 (MOVER).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

from pydantic import Field

from curation.errors import MeasurementError
from curation.manifest import Frozen, parse_model
from synth.measure.config import FAMILIES
from synth.measure.measurement import (
    MEASUREMENTS_NAME,
    Family,
    Measurement,
    Measurements,
    Verdict,
    read_measurements,
)

from .report_rows import is_reliable, summary_order, verdict_of

COMPARISON_FORMAT = 1
COMPARISON_NAME = "compare.json"
_UNBIASED = ("kid",)
"""Distances that do not grow as sets shrink: they are ranked at different n, too."""
Standing = Literal["best", "within noise of the best", "worse", "not ranked"]


class Compared(Frozen):
    """One of the reports."""

    name: str
    generator: str
    synthetic: str


class Entry(Frozen):
    """What one report says, and where it stands among the others."""

    report: str
    value: float
    low: float | None
    high: float | None
    n_real: int
    n_synthetic: int
    verdict: Verdict
    standing: Standing


class Difference(Frozen):
    """The first report's value minus the second's, with its 95 % interval."""

    first: str
    second: str
    value: float
    low: float
    high: float
    within_noise: bool


class Comparison(Frozen):
    """One metric of one class and arm over all reports."""

    family: Family
    name: str
    arm: str | None
    label: str
    direction: Literal["lower", "higher", "zero"]
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    note: str | None = Field(default=None, description="why it is not ranked, or not wholly")


class Comparisons(Frozen):
    """`compare.json`: several reports side by side."""

    format_version: int
    real: str = Field(description="fingerprint of the real corpus, one for all")
    reports: tuple[Compared, ...]
    comparisons: tuple[Comparison, ...]
    only_in_some: tuple[str, ...] = Field(description="what some of the reports did not measure")


Key = tuple[str, str, str | None, str]


def read_reports(paths: Sequence[Path]) -> dict[str, Measurements]:
    """Return short name -> measurements; a path is a report folder or a measurements file.

    Raises: MeasurementError, CorpusError where one cannot be read.
    """
    names = _short_names(paths)
    return {name: _read(path) for name, path in zip(names, paths, strict=True)}


def compare(reports: Mapping[str, Measurements]) -> Comparisons:
    """Put reports side by side.

    Raises: MeasurementError where they did not measure against the same real cells in one way.
    """
    check_comparable(reports)
    found = {name: _by_key(report) for name, report in reports.items()}
    keys = list(dict.fromkeys(key for one in found.values() for key in one))
    shared = [key for key in keys if sum(key in one for one in found.values()) > 1]
    comparisons = [_comparison(found, key) for key in sorted(shared, key=_place(found))]
    lacking = [key for key in keys if not all(key in one for one in found.values())]
    return Comparisons(
        format_version=COMPARISON_FORMAT,
        real=next(iter(reports.values())).real,
        reports=tuple(
            Compared(name=name, generator=one.generator, synthetic=one.synthetic)
            for name, one in reports.items()
        ),
        comparisons=tuple(comparisons),
        only_in_some=tuple(" ".join(part for part in key if part) for key in lacking),
    )


def check_comparable(reports: Mapping[str, Measurements]) -> None:
    """Refuse reports whose numbers cannot stand beside each other.

    Raises: MeasurementError naming the two reports and what differs.
    """
    if len(reports) < 2:
        raise MeasurementError(
            f"{len(reports)} report; two or more are needed to compare. "
            "Next: give every report after --compare"
        )
    (first, ours), *others = reports.items()
    for name, theirs in others:
        for what, mine, yours in (
            ("real corpus", ours.real, theirs.real),
            ("held-out splits", ours.held_out, theirs.held_out),
            ("view", _view(ours), _view(theirs)),
        ):
            if mine != yours:
                raise _differ(what, first, mine, name, yours)
    for (one, a), (other, b) in combinations(reports.items(), 2):
        if a.synthetic == b.synthetic:
            raise MeasurementError(
                f"{one} and {other} measured one synthetic corpus, {a.synthetic}: there is "
                "nothing to compare. Next: give a report of another corpus"
            )
        _check_ways(one, _by_key(a), other, _by_key(b))


def difference(a: Measurement, b: Measurement) -> tuple[float, float, float] | None:
    """Return a's value minus b's with its 95 % interval; None where an interval is missing.

    Where one value is right (zero copies, an AUC of 0.5), the distances from it are compared.
    """
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    one, other = _sized(a, a.low, a.high), _sized(b, b.low, b.high)
    if not all(map(math.isfinite, (*one, *other))):
        return None
    value = one[0] - other[0]
    low = value - math.hypot(one[0] - one[1], other[2] - other[0])
    high = value + math.hypot(one[2] - one[0], other[0] - other[1])
    return value, low, high


def _sized(m: Measurement, low: float, high: float) -> tuple[float, float, float]:
    """Return value, low, high; where one value is right, how far each is from it."""
    right = _right(m)
    if right is None:
        return m.value, low, high
    value, low, high = m.value - right, low - right, high - right
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return abs(value), nearest, max(abs(low), abs(high))


def _right(m: Measurement) -> float | None:
    """Return the one value that is right: the middle of a goal with both ends, or zero."""
    if m.goal_low is not None and m.goal_high is not None:
        return (m.goal_low + m.goal_high) / 2
    return 0.0 if m.direction == "zero" else None


def _read(path: Path) -> Measurements:
    if path.is_file():
        return parse_model(Measurements, path)
    return read_measurements(path)


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of the paths that tell them apart."""
    parts = [
        path.resolve().with_suffix("").parts if path.is_file() else path.resolve().parts
        for path in paths
    ]
    stem = Path(MEASUREMENTS_NAME).stem
    parts = [part[:-1] if part[-1] == stem else part for part in parts]
    if len(set(parts)) < len(parts):
        raise MeasurementError("one report is given twice; give each once")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("distinct paths have distinct names")


def _view(report: Measurements) -> str:
    return f"{report.view.crop:.6g} at {report.view.side} px"


def _by_key(report: Measurements) -> dict[Key, Measurement]:
    return {(m.family, m.name, m.arm, m.label): m for m in report.measurements}


def _check_ways(
    one: str, a: Mapping[Key, Measurement], other: str, b: Mapping[Key, Measurement]
) -> None:
    for key in a.keys() & b.keys():
        for what, ours, theirs in (
            ("extractor", a[key].extractor, b[key].extractor),
            ("image pipeline", a[key].pipeline, b[key].pipeline),
            ("reference cells", a[key].reference, b[key].reference),
            ("direction", a[key].direction, b[key].direction),
            ("right value", _right(a[key]), _right(b[key])),
        ):
            if ours != theirs:
                raise _differ(f"{what} of {key[1]}", one, ours, other, theirs)


def _differ(what: str, one: str, a: object, other: str, b: object) -> MeasurementError:
    return MeasurementError(
        f"{one} and {other} cannot be compared: the {what} is {a} in the one and {b} in the other. "
        "Next: run `smearkit evaluate` for each on the same real corpus, in the same way"
    )


def _place(found: Mapping[str, Mapping[Key, Measurement]]) -> Callable[[Key], tuple[object, ...]]:
    def place(key: Key) -> tuple[object, ...]:
        m = next(one[key] for one in found.values() if key in one)
        pooled_first = (key[3] != "all", key[3])
        return (FAMILIES.index(m.family), *summary_order(m)[1:], *pooled_first)

    return place


def _comparison(found: Mapping[str, Mapping[Key, Measurement]], key: Key) -> Comparison:
    here = {name: one[key] for name, one in found.items() if key in one}
    first = next(iter(here.values()))
    note = _why_not_ranked(here)
    differences = () if note else _differences(here)
    standings = _standings(here, differences)
    if note is None and not differences:
        note = "not ranked: without intervals, noise cannot be told from a difference"
    return Comparison(
        family=first.family, name=first.name, arm=first.arm, label=first.label,
        direction=first.direction, differences=differences, note=note,
        entries=tuple(
            Entry(
                report=name, value=m.value, low=m.low, high=m.high, n_real=m.n_real,
                n_synthetic=m.n_synthetic, verdict=verdict_of(m), standing=standings[name],
            )
            for name, m in here.items()
        ),
    )  # fmt: skip


def _why_not_ranked(here: Mapping[str, Measurement]) -> str | None:
    grey = [name for name, m in here.items() if not is_reliable(m)]
    if grey:
        return f"not ranked: not reliable in {', '.join(grey)}"
    odd = [name for name, m in here.items() if not math.isfinite(m.value)]
    if odd:
        return f"not ranked: not a number in {', '.join(odd)}"
    if len({_cells_that_matter(one) for one in here.values()}) > 1:
        counts = ", ".join(f"{n.n_real}/{n.n_synthetic} in {name}" for name, n in here.items())
        return (
            f"not ranked: the number of cells differs ({counts}, real/synthetic), and the value "
            "depends on it"
        )
    return None


def _cells_that_matter(m: Measurement) -> tuple[int, ...]:
    """Return the numbers of cells that a value depends on, apart from its noise."""
    if m.family in ("distance", "coverage") and m.name not in _UNBIASED:
        return m.n_real, m.n_synthetic
    # The nearest of more training cells is nearer.
    return (m.n_real,) if m.family == "copying" else ()


def _differences(here: Mapping[str, Measurement]) -> tuple[Difference, ...]:
    found = []
    for (one, a), (other, b) in combinations(here.items(), 2):
        apart = difference(a, b)
        if apart is not None:
            value, low, high = apart
            found.append(
                Difference(
                    first=one, second=other, value=value, low=low, high=high,
                    within_noise=low <= 0 <= high,
                )
            )  # fmt: skip
    return tuple(found)


def _standings(
    here: Mapping[str, Measurement], differences: Sequence[Difference]
) -> dict[str, Standing]:
    """Return how each stands against the best value: noise is told from the best one alone."""
    standings: dict[str, Standing] = dict.fromkeys(here, "not ranked")
    ranked = [name for name in here if any(name in (d.first, d.second) for d in differences)]
    if not ranked:
        return standings
    best = min(ranked, key=lambda name: _cost(here[name]))
    for name in ranked:
        apart = [d for d in differences if {d.first, d.second} == {name, best}]
        if name == best:
            standings[name] = "best"
        elif apart:
            standings[name] = "within noise of the best" if apart[0].within_noise else "worse"
    return standings


def _cost(m: Measurement) -> float:
    right = _right(m)
    if right is not None:
        return abs(m.value - right)
    return -m.value if m.direction == "higher" else m.value
