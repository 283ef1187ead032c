"""The six questions: how each is answered, and which goals stand in the table."""

from __future__ import annotations

import math

import pytest

from cards.report_verdict import Tile, goal_groups, other_groups, tally, tiles
from synth.measure.config import FAMILIES
from synth.measure.measurement import Measurement
from tests.cards.made_report import SHORTCUTS, evaluation, full, measured


def asked(found: list[Measurement], **changes: object) -> dict[str, Tile]:
    return {tile.family: tile for tile in tiles(evaluation(found, **changes))}


def kid(value: float, low: float, high: float, **changes: object) -> Measurement:
    return measured("kid", "all", value, low=low, high=high, goal_high=0.01, **changes)


def test_every_family_is_asked_in_order() -> None:
    found = tiles(full())
    assert [tile.family for tile in found] == list(FAMILIES)
    assert [tile.answer for tile in found] == ["No", "No", "Yes", "No", "Yes", "Yes"]
    assert tally(tile.verdict for tile in found) == [("met", 3), ("missed", 3)]


@pytest.mark.parametrize(
    ("value", "low", "high", "answer"),
    [(0.005, 0.001, 0.02, "Yes"), (0.02, 0.009, 0.03, "Not certain yet"),
     (0.02, 0.015, 0.03, "No")],
)  # fmt: skip
def test_an_answer_is_the_verdict_of_the_goal(
    value: float, low: float, high: float, answer: str
) -> None:
    assert asked([kid(value, low, high)])["distance"].answer == answer


def test_the_worst_goal_answers() -> None:
    good = measured("cmmd", "all", 0.0, goal_high=1.0)
    tile = asked([good, kid(0.02, 0.015, 0.03)])["distance"]
    assert tile.answer == "No"
    assert (
        tile.detail.replace("\u00a0", " ") == "KID 0.0200 (0.0150 to 0.0300); goal at most 0.0100"
    )
    assert tile.more == "1 of 2 goals met"


def test_of_many_arms_the_worst_answers() -> None:
    tile = {tile.family: tile for tile in tiles(full())}["shortcuts"]
    assert "everything at once, with a long name 0.921" in tile.detail
    assert tile.more == "3 of 8 goals met"


def test_classes_that_miss_are_told_where_all_together_meet() -> None:
    found = [kid(0.005, 0.001, 0.02)] + [
        measured("kid", label, value, low=value, high=value, goal_high=0.01)
        for label, value in (("basophil", 0.5), ("monocyte", 0.0))
    ]
    tile = asked(found)["distance"]
    assert (tile.answer, tile.more) == ("Yes", "missed in 1 of two classes")


def test_classes_answer_where_nothing_was_measured_over_all() -> None:
    tile = asked([measured("kid", "basophil", 0.5, goal_high=0.01)])["distance"]
    assert (tile.answer, tile.more) == ("No", "")


@pytest.mark.parametrize(
    "odd",
    [
        measured("kid", "all", 0.5, goal_high=0.01, reliable=False),
        measured("fid", "all", 0.5, goal_high=1.0, n_real=2_047),
        measured("kid", "all", math.nan, goal_high=0.01),
        measured("kid", "all", math.inf, goal_high=0.01),
        measured("kid", "all", 0.5),
    ],
    ids=["not reliable", "fid of few", "nan", "infinite", "without a goal"],
)
def test_a_number_that_cannot_judge_answers_nothing(odd: Measurement) -> None:
    made = evaluation([odd])
    assert asked([odd])["distance"].answer == "No goal to answer by"
    assert goal_groups(made) == []
    assert len(other_groups(made)) == 1


def test_a_family_without_numbers_says_why() -> None:
    tile = asked([], skipped={"subjects": "patients are not known"})["subjects"]
    assert (tile.answer, tile.detail) == ("Not measured", "patients are not known")


def test_of_many_arms_the_table_shows_the_worst_and_says_so() -> None:
    groups = {group.title: group.rows for group in goal_groups(full())}
    trivia, deep = groups["Shortcuts"]
    assert "everything at once" in trivia.title
    (note,) = trivia.notes
    assert note.startswith(f"The worst of {len(SHORTCUTS)}; the others stand under Shortcuts. ")
    assert deep.title == "Telling synthetic from real at all (AUC): features"
    assert [row.verdict for row in groups["Coverage"]] == ["open", "missed", "missed", "missed"]
