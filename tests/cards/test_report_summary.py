"""The finding in words: what it says of realism, of classes, and of copies."""

from __future__ import annotations

import math

import pytest

from cards.report_summary import copying_sentence, headline, summary
from synth.measure.measurement import Measurement
from tests.cards.made_report import by_class, evaluation, measured, pooled


def said(found: list[Measurement], **changes: object) -> str:
    made = evaluation(found, **changes)
    return f"{headline(made)} {summary(made)}".replace("\u00a0", " ")


def test_the_finding_in_words() -> None:
    assert said(pooled() + by_class()) == (
        "The synthetic cells still differ measurably from real ones; none was found to copy a "
        "training cell. "
        "Over all classes, 13,000 synthetic cells lie at a KID of 0.0213 (95 % interval 0.0186 to "
        "0.0243) from 2,440 held-out real cells, where two sets of real cells of that size lie "
        "0.0001 apart (the floor). "
        "Of 13 classes, promyelocyte is the furthest from real (KID 0.0833) and platelet the "
        "nearest (0.0031), and one class could not be measured. "
        "Among 13,000 synthetic cells no copy was found (95 % interval up to 0.03 %)."
    )


def test_copies_are_named() -> None:
    found = [
        measured("copied_share", "all", 0.0125, low=0.01, high=0.016),
        measured("copied_share", "monocyte", 0.2),
        measured("copied_share", "basophil", 0.0),
    ]
    text = said(found)
    assert "some copy training cells" in text
    assert "1.2 % (95 % interval 1.0 % to 1.6 %) are copies of training cells" in text
    assert "most of all monocyte" in text


def test_a_copy_in_one_class_is_enough() -> None:
    text = said([measured("copied_share", "monocyte", 0.001)])
    assert "Copies of training cells were found in one class" in text


def test_cells_at_the_floor() -> None:
    kid = measured("kid", "all", 0.0004, low=-0.001, high=0.002, floor=0.0001, floor_high=0.0006)
    text = said([kid], skipped={})
    assert "cannot be told from real ones by this measurement" in text
    assert "whether they copy training cells was not measured" in text
    assert "No class was measured on its own." in text


def test_without_any_measurement() -> None:
    text = said([], skipped={"feature map": "too few cells"})
    assert "was not measured overall" in text
    assert "No class was measured on its own." in text, "a map is no class"


def test_one_class_is_neither_furthest_nor_nearest() -> None:
    text = said([measured("kid", "basophil", 0.07)], skipped={})
    assert "The one class measured is basophil (KID 0.0700)." in text


def test_a_share_that_is_no_number_says_nothing_of_copies() -> None:
    text = said([measured("copied_share", "platelet", math.nan)])
    assert "whether they copy training cells was not measured" in text


@pytest.mark.parametrize(("value", "words"), [(0.70, "no closer"), (0.80, "lie closer")])
def test_copying_is_judged_against_held_out_cells(value: float, words: str) -> None:
    found = [
        measured("nearest_train", "all", value, low=value - 0.01, high=value + 0.01),
        measured("nearest_train_held_out", "all", 0.72, low=0.71, high=0.73),
    ]
    assert words in copying_sentence(evaluation(found))
