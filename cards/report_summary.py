"""The finding in a few sentences: how far from real, the worst class, whether any is a copy."""

from __future__ import annotations

import math

from curation.vocabulary import LABELS
from synth.measure.measurement import ALL_CLASSES, Measurement, Measurements

from .report_metrics import readable_label
from .report_numbers import NBSP, count, number_of, with_interval
from .report_rows import against_floor, is_reliable, worst_first

_REALISM = {
    "above": "The synthetic cells still differ measurably from real ones",
    "overlaps": "The synthetic cells cannot be told from real ones by this measurement",
    "below": "The synthetic cells lie closer to real ones than real sets lie to each other",
    None: "How far the synthetic cells are from real ones was measured without a floor",
}
_COPIES = {
    False: "none was found to copy a training cell.",
    True: "some copy training cells.",
    None: "whether they copy training cells was not measured.",
}


def pooled(measurements: Measurements, name: str) -> Measurement | None:
    """Return the measurement of a name over all classes, without an arm."""
    found = (
        m
        for m in measurements.measurements
        if m.name == name and m.label == ALL_CLASSES and m.arm is None
    )
    return next(found, None)


def headline(measurements: Measurements) -> str:
    """Return the finding in one sentence."""
    kid = pooled(measurements, "kid")
    realism = _REALISM[against_floor(kid) if kid else None]
    if kid is None:
        realism = "How far the synthetic cells are from real ones was not measured overall"
    return f"{realism}; {_COPIES[_found_copies(measurements)]}"


def summary(measurements: Measurements) -> str:
    """Return the finding with its numbers."""
    sentences = (
        _realism_sentence(pooled(measurements, "kid")),
        _class_sentence(measurements),
        _copies_sentence(measurements),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def copying_sentence(measurements: Measurements) -> str:
    """Return how near synthetic cells come to training cells, against unseen real cells."""
    synthetic = pooled(measurements, "nearest_train")
    held_out = pooled(measurements, "nearest_train_held_out")
    if synthetic is None or held_out is None:
        return ""
    text = (
        f"The nearest training cell of a typical synthetic cell correlates with it by "
        f"{with_interval(synthetic)}, that of a typical held-out real cell by "
        f"{with_interval(held_out)}: "
    )
    lowest = synthetic.value if synthetic.low is None else synthetic.low
    highest = held_out.value if held_out.high is None else held_out.high
    if lowest > highest:
        return text + "the synthetic cells lie closer to the training cells than unseen cells do."
    return text + "the synthetic cells lie no closer to the training cells than unseen cells do."


def _found_copies(measurements: Measurements) -> bool | None:
    shares = [
        m.value
        for m in measurements.measurements
        if m.name == "copied_share" and math.isfinite(m.value)
    ]
    return any(share != 0 for share in shares) if shares else None


def _realism_sentence(kid: Measurement | None) -> str:
    if kid is None:
        return ""
    text = (
        f"Over all classes, {kid.n_synthetic:,} synthetic cells lie at a KID of "
        f"{with_interval(kid)} from {kid.n_real:,} held-out real cells"
    )
    if kid.floor is None:
        return f"{text}; no floor was measured to compare that with."
    floor = number_of(kid, kid.floor)
    return f"{text}, where two sets of real cells of that size lie {floor} apart (the floor)."


def _class_sentence(measurements: Measurements) -> str:
    found = [m for m in measurements.measurements if m.name == "kid" and m.label != ALL_CLASSES]
    ranked = worst_first([m for m in found if is_reliable(m)] or found)
    left_out = sum(what in LABELS for what in measurements.skipped)
    missing = f", and {count(left_out, 'class')} could not be measured" if left_out else ""
    if not ranked:
        return f"No class was measured on its own{missing}."
    worst, best = ranked[0], ranked[-1]
    if worst is best:
        value = number_of(worst, worst.value)
        return f"The one class measured is {readable_label(worst.label)} (KID {value}){missing}."
    far, near = readable_label(worst.label), readable_label(best.label)
    return (
        f"Of {count(len(ranked), 'class')}, {far} is the furthest from real "
        f"(KID {number_of(worst, worst.value)}) and {near} the nearest "
        f"({number_of(best, best.value)}){missing}."
    )


def _copies_sentence(measurements: Measurements) -> str:
    copied = pooled(measurements, "copied_share")
    holding = worst_first(
        m
        for m in measurements.measurements
        if m.name == "copied_share" and m.label != ALL_CLASSES and _holds_copies(m)
    )
    where = f", most of all {readable_label(holding[0].label)}" if holding else ""
    if copied is not None and _holds_copies(copied):
        return (
            f"Of {copied.n_synthetic:,} synthetic cells, {with_interval(copied)} are copies of "
            f"training cells{where}: look at the closest pairs before using them."
        )
    if holding:
        return f"Copies of training cells were found in {count(len(holding), 'class')}{where}."
    if copied is None or copied.value != 0:
        return ""
    high = number_of(copied, copied.high) if copied.high else None
    up_to = f" (95{NBSP}% interval up to {high})" if high else ""
    return f"Among {copied.n_synthetic:,} synthetic cells no copy was found{up_to}."


def _holds_copies(m: Measurement) -> bool:
    return math.isfinite(m.value) and m.value != 0
