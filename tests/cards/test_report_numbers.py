"""Numbers and labels as text."""

from __future__ import annotations

import math

import pytest

from cards.report_metrics import METRICS, readable_label
from cards.report_numbers import axis_number, duration, format_number, goal_text
from tests.cards.made_report import measured


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (0.02134, "kid", "0.0213"),
        (-0.00213, "kid", "−0.0021"),
        (-0.00001, "kid", "0.0000"),
        (158.04, "fid", "158.0"),
        (1234.5, "fid", "1,234.5"),
        (0.7123, "nearest_train", "0.712"),
        (0.0, "copied_share", "0\u00a0%"),
        (1.0, "copied_share", "100\u00a0%"),
        (0.0125, "copied_share", "1.2\u00a0%"),
        (0.00002, "copied_share", "0.002\u00a0%"),
        (0.0, "other", "0"),
        (0.93421, "other", "0.934"),
        (1234.5, "other", "1,234"),
        (-1.5e-9, "other", "−1.50e−09"),
        (math.nan, "kid", "not a number"),
        (-math.inf, "kid", "−∞"),
    ],
)
def test_a_number_in_its_metric(value: float, name: str, text: str) -> None:
    assert format_number(value, METRICS.get(name)) == text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("neutrophil_segmented", "neutrophil, segmented"),
        ("lymphocyte_large_granular", "lymphocyte, large granular"),
        ("immature_granulocyte_unspecified", "immature granulocyte, unspecified"),
        ("plasma_cell", "plasma cell"),
        ("all", "all classes"),
    ],
)
def test_a_readable_label(label: str, text: str) -> None:
    assert readable_label(label) == text


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        ({"goal_low": 0.1}, "at least 0.1000"),
        ({"goal_high": 0.1}, "at most 0.1000"),
        ({"goal_low": 0.1, "goal_high": 0.2}, "0.1000 to 0.2000"),
        ({"goal_low": 0.0, "goal_high": 0.0}, "0.0000"),
        ({}, "–"),
    ],
)
def test_a_goal(goal: dict[str, object], text: str) -> None:
    assert goal_text(measured("kid", "all", 0.5, **goal)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3_725.0, "1 h 2 min"), (125.2, "2 min 5 s"), (1.234, "1.23 s")]
)
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_axis_has_no_more_digits_than_it_needs() -> None:
    assert axis_number(METRICS["kid"], -0.02) == "−0.02"
    assert axis_number(METRICS["copied_share"], 0.15) == "15\u00a0%"
