"""The verdict: one question a family, answered by its goals, and the table of all goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from synth.measure.config import FAMILIES
from synth.measure.measurement import ALL_CLASSES, Family, Measurement, Measurements, Verdict

from .report_metrics import short_of
from .report_numbers import NONE, count, goal_text, number_of, range_text
from .report_rows import Row, badness, is_reliable, row_of, summary_order, verdict_of

Answer = Verdict | Literal["not measured"]
_WORST_FIRST: tuple[Verdict, ...] = ("missed", "open", "met", "no goal")
_MOST_ARMS = 3
"""So many arms of one metric stand in the table; of more, the worst, and all in their section."""

ANSWERS: dict[Answer, str] = {
    "met": "Yes", "missed": "No", "open": "Not certain yet", "no goal": "No goal to answer by",
    "not measured": "Not measured",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FamilyWords:
    """How a family is spoken of: a question that 'yes' answers well, and its section."""

    title: str
    question: str
    anchor: str


FAMILY_WORDS: dict[Family, FamilyWords] = {
    "distance": FamilyWords("Distance", "Do they look like real cells?", "classes"),
    "coverage": FamilyWords("Coverage", "Are they as varied as real cells?", "classes"),
    "copying": FamilyWords("Copying", "Are they new cells, not copies?", "copying"),
    "shortcuts": FamilyWords("Shortcuts", "Are they free of give-away marks?", "shortcuts"),
    "usefulness": FamilyWords("Usefulness", "Do they help a classifier?", "usefulness"),
    "subjects": FamilyWords("Patients", "Are all patients treated alike?", "subjects"),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One question with its answer, and the number that decides it."""

    family: Family
    title: str
    question: str
    answer: str
    verdict: Answer
    detail: str
    more: str


@dataclass(frozen=True, slots=True)
class Group:
    """The pooled measurements of one family as lines of the verdict table."""

    title: str
    rows: tuple[Row, ...]


def tiles(measurements: Measurements) -> list[Tile]:
    """Return the six questions in their order, each with its answer."""
    return [_tile(family, measurements) for family in FAMILIES]


def tally(answers: Iterable[Answer]) -> list[tuple[Answer, int]]:
    """Return how many questions have which answer, those there are."""
    found = list(answers)
    order: tuple[Answer, ...] = ("met", "missed", "open", "no goal", "not measured")
    return [(answer, found.count(answer)) for answer in order if answer in found]


def goal_groups(measurements: Measurements) -> list[Group]:
    """Return the pooled measurements that have a verdict, family by family, the worst first."""
    return _groups(measurements, lambda m: verdict_of(m) != "no goal", shorten=True)


def other_groups(measurements: Measurements) -> list[Group]:
    """Return the pooled measurements that have no verdict, family by family."""
    return _groups(measurements, lambda m: verdict_of(m) == "no goal", shorten=False)


def family_of(measurements: Measurements, family: Family) -> list[Measurement]:
    """Return the measurements of a family."""
    return [m for m in measurements.measurements if m.family == family]


def _tile(family: Family, measurements: Measurements) -> Tile:
    words = FAMILY_WORDS[family]
    every = family_of(measurements, family)
    pooled = [m for m in every if m.label == ALL_CLASSES]
    judged = sorted((m for m in pooled or every if verdict_of(m) != "no goal"), key=_by_verdict)
    if not every:
        why = measurements.skipped.get(family, "")
        return _made(family, words, "not measured", why, "")
    if not judged:
        shown = sorted((m for m in pooled if is_reliable(m)), key=summary_order)[:1]
        detail = "".join(f"{short_of(m)} {number_of(m, m.value)}" for m in shown)
        return _made(family, words, "no goal", detail, "")
    return _made(family, words, verdict_of(judged[0]), _deciding(judged[0]), _more(judged, every))


def _made(family: Family, words: FamilyWords, verdict: Answer, detail: str, more: str) -> Tile:
    return Tile(family, words.title, words.question, ANSWERS[verdict], verdict, detail, more)


def _deciding(m: Measurement) -> str:
    interval = range_text(m, m.low, m.high)
    shown = number_of(m, m.value) + ("" if interval == NONE else f" ({interval})")
    return f"{short_of(m)} {shown}; goal {goal_text(m)}"


def _more(judged: Sequence[Measurement], every: Sequence[Measurement]) -> str:
    """Return what the deciding number does not say: other goals, and classes that miss theirs."""
    parts = []
    met = sum(verdict_of(m) == "met" for m in judged)
    if len(judged) > 1:
        parts.append(f"{met} of {len(judged)} goals met")
    by_class = [m for m in every if m.label != ALL_CLASSES]
    missed = {m.label for m in by_class if verdict_of(m) == "missed"}
    if missed and judged[0].label == ALL_CLASSES:
        labels = {m.label for m in by_class if verdict_of(m) != "no goal"}
        parts.append(f"missed in {len(missed)} of {count(len(labels), 'class')}")
    return "; ".join(parts)


def _by_verdict(m: Measurement) -> tuple[int, tuple[bool, int, str], float]:
    return _WORST_FIRST.index(verdict_of(m)), summary_order(m)[:3], -badness(m)


def _groups(
    measurements: Measurements, wanted: Callable[[Measurement], bool], *, shorten: bool
) -> list[Group]:
    groups = []
    for family in FAMILIES:
        found = [m for m in family_of(measurements, family) if m.label == ALL_CLASSES and wanted(m)]
        rows = _shortened(found) if shorten else [row_of(m) for m in _sorted(found)]
        if rows:
            groups.append(Group(FAMILY_WORDS[family].title, tuple(rows)))
    return groups


def _sorted(found: Sequence[Measurement]) -> list[Measurement]:
    return sorted(found, key=summary_order)


def _shortened(found: Sequence[Measurement]) -> list[Row]:
    """Return the lines of one family; of a metric with many arms only the worst."""
    rows = []
    for name in dict.fromkeys(m.name for m in _sorted(found)):
        arms = sorted((m for m in found if m.name == name), key=_by_worst)
        if len(arms) <= _MOST_ARMS:
            rows += [row_of(m) for m in _sorted(arms)]
        else:
            section = FAMILY_WORDS[arms[0].family].title
            note = f"The worst of {len(arms)}; the others stand under {section}."
            rows.append(_noted(arms[0], note))
    return rows


def _by_worst(m: Measurement) -> tuple[int, float]:
    return _WORST_FIRST.index(verdict_of(m)), -badness(m)


def _noted(m: Measurement, note: str) -> Row:
    text = note if m.note is None else f"{note} {m.note}"
    return row_of(m.model_copy(update={"note": text}))
