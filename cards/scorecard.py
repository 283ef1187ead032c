"""The SMD scorecard's seven criteria: which measurements speak to each, and what none speaks to.

Source: Zamzmi et al., Scorecard for synthetic medical data evaluation, Communications Engineering
4:130 (2025), doi 10.1038/s44172-025-00450-1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synth.measure.measurement import ALL_CLASSES, Measurement, Measurements, Verdict

from .report_charts import by_class
from .report_metrics import readable_label, short_of
from .report_numbers import count, number_of, with_interval
from .report_rows import is_reliable, summary_order, verdict_of, worst_first

SOURCE = (
    "Zamzmi et al., Scorecard for synthetic medical data evaluation, Communications Engineering "
    "4:130 (2025), doi 10.1038/s44172-025-00450-1"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks to a criterion; `verdict` is its goal's, where it has one."""

    text: str
    verdict: Verdict = "no goal"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One of the seven, with what speaks to it here and what is not measured."""

    name: str
    asks: str
    evidence: tuple[Evidence, ...]
    missing: str


def scorecard(measurements: Measurements) -> list[Criterion]:
    """Return the seven criteria in the paper's order."""
    return [
        Criterion(
            "Congruence",
            "Is the distribution of the synthetic data that of the real data?",
            _pooled(measurements, lambda m: m.family in ("distance", "shortcuts")),
            "Features of other networks than those named under Provenance.",
        ),
        Criterion(
            "Coverage",
            "Is the variety of the real data there, and is anything new?",
            _pooled(measurements, lambda m: m.family == "coverage"),
            "Kinds of cells that no real cell of the corpus shows: a generator cannot be asked for "
            "what it never saw.",
        ),
        Criterion(
            "Constraint",
            "Does the data obey clinical and anatomical rules?",
            _pooled(measurements, _is_synthetic_only),
            "No haematologist has judged these cells, and no rule of morphology (lobes, "
            "granulation, ratio of nucleus to cytoplasm) was checked. A classifier that learns "
            "from synthetic cells alone and recognises real ones speaks to it from afar.",
        ),
        Criterion(
            "Completeness",
            "Is everything there that a task needs to know?",
            _completeness(measurements),
            "Synthetic cells have no patient, slide, stain, age, sex or diagnosis: none is made "
            "up for them.",
        ),
        Criterion(
            "Compliance",
            "Are privacy, security and standards respected?",
            _pooled(measurements, lambda m: m.family in ("copying", "subjects")),
            "A guarantee against every attack (differential privacy), and a lawyer’s review. How "
            "the real cells were de-identified stands in their curation report.",
        ),
        Criterion(
            "Comprehension",
            "Can it be understood how the data were made?",
            (
                Evidence(
                    "Generator, training corpus, networks, pipelines and versions are named by "
                    "fingerprint under Provenance; every cell can be drawn again from its seed."
                ),
            ),
            "Why a single cell looks as it does: the generator gives no account of it.",
        ),
        Criterion(
            "Consistency",
            "Is the quality even over groups and time?",
            _spread(measurements),
            "Groups of patients (age, sex), laboratories, stains, scanners, and change over time.",
        ),
    ]


def _pooled(
    measurements: Measurements, wanted: Callable[[Measurement], bool]
) -> tuple[Evidence, ...]:
    found = [m for m in measurements.measurements if m.label == ALL_CLASSES and wanted(m)]
    # Grey numbers speak to nothing.
    relied_on = sorted((m for m in found if is_reliable(m)), key=summary_order)
    evidence = []
    for name in dict.fromkeys(m.name for m in relied_on):
        arms = worst_first(m for m in relied_on if m.name == name)
        others = f" (the worst of {len(arms)})" if len(arms) > 1 else ""
        text = f"{short_of(arms[0])} {with_interval(arms[0])}{others}"
        evidence.append(Evidence(text, verdict_of(arms[0])))
    return tuple(evidence)


def _is_synthetic_only(m: Measurement) -> bool:
    arm = (m.arm or "").replace("_", " ").casefold()
    return m.family == "usefulness" and "synthetic" in arm and "only" in arm


def _completeness(measurements: Measurements) -> tuple[Evidence, ...]:
    text = (
        "Every synthetic cell states its class, generator, seed, guidance, steps and training "
        "corpus; a row without one of them is refused."
    )
    classes = {m.label for m in measurements.measurements} - {ALL_CLASSES}
    counted = f"{count(len(classes), 'class')} with numbers of their own."
    return Evidence(text), Evidence(counted[0].upper() + counted[1:])


def _spread(measurements: Measurements) -> tuple[Evidence, ...]:
    evidence = []
    for family in ("distance", "coverage"):
        for _, found in by_class(measurements, family)[:1]:
            ranked = [m for m in found if is_reliable(m)]
            if len(ranked) > 1:
                worst, best = ranked[0], ranked[-1]
                evidence.append(
                    Evidence(
                        f"{short_of(worst)} of {len(ranked)} classes runs from "
                        f"{number_of(best, best.value)} ({readable_label(best.label)}) to "
                        f"{number_of(worst, worst.value)} ({readable_label(worst.label)})",
                        verdict_of(worst),
                    )
                )
    return (*evidence, *_pooled(measurements, lambda m: m.family == "subjects"))
