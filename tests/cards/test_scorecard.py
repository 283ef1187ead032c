"""The seven Cs: their names, what speaks to each, and that what is missing is said."""

from __future__ import annotations

from cards.scorecard import SOURCE, Criterion, scorecard
from synth.measure.measurement import Measurements
from tests.cards.made_report import evaluation, full, measured


def by_name(measurements: Measurements) -> dict[str, Criterion]:
    return {each.name: each for each in scorecard(measurements)}


def test_the_names_are_those_of_the_paper() -> None:
    assert list(by_name(full())) == [
        "Congruence", "Coverage", "Constraint", "Completeness", "Compliance", "Comprehension",
        "Consistency",
    ]  # fmt: skip
    assert "4:130 (2025)" in SOURCE


def test_what_speaks_to_each() -> None:
    found = by_name(full())
    starts = {
        name: [each.text.split(" ")[0].rstrip(":") for each in criterion.evidence]
        for name, criterion in found.items()
    }
    assert starts["Congruence"] == ["KID", "Shortcut", "Classifier"]
    assert starts["Coverage"] == ["Precision", "Recall", "Density", "Coverage", "Vendi"]
    assert starts["Constraint"] == ["Balanced", "Macro-F1"]
    assert all("synthetic only" in each.text for each in found["Constraint"].evidence)
    assert starts["Compliance"] == ["Copies", "Synthetic", "Held-out", "Imbalance"]
    assert "KID of 13 classes runs from 0.0031 (platelet) to 0.0833 (promyelocyte)" in [
        each.text for each in found["Consistency"].evidence
    ]
    assert found["Congruence"].evidence[0].verdict == "missed"
    assert "(the worst of 7)" in found["Congruence"].evidence[1].text


def test_what_was_not_measured_has_no_evidence() -> None:
    found = by_name(evaluation([]))
    for name in ("Congruence", "Coverage", "Constraint", "Compliance", "Consistency"):
        assert found[name].evidence == (), name
    assert all(each.missing for each in found.values())


def test_grey_numbers_speak_to_nothing() -> None:
    grey = measured("fid", "all", 3.0, n_real=100, reliable=False)
    assert by_name(evaluation([grey]))["Congruence"].evidence == ()
