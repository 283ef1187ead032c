"""Charts: round axes, whole drawings of any value, goals, and the pictures made of them."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from cards.charts import Bar, Mark, axis_ticks, chart, strip
from cards.report_charts import all_charts, chart_images
from tests.cards.html_page import Page
from tests.cards.made_report import evaluation, full, measured


def drawn(bars: list[Bar], mark: Mark = "bar") -> str:
    return str(chart(bars, key="k", title="t", description="d", number=str, mark=mark))


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.0035, 0.0973), (0.0, 3e-9), (-7.0, 1234.0), (-1.0, 0.0)]
)
def test_axis_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = axis_ticks(low, high, 5)
    assert 2 <= len(ticks) <= 5
    assert all(low - 1e-9 * (high - low) <= tick <= high + 1e-9 * (high - low) for tick in ticks)
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps))
    assert any(abs(tick) < 1e-12 * (high - low) for tick in ticks)


@pytest.mark.parametrize("mark", ["bar", "dot"])
@pytest.mark.parametrize("value", [0.0, 1e-300, -3.0, 1e12, math.nan, math.inf])
def test_a_chart_of_any_value_is_whole(value: float, mark: Mark) -> None:
    bars = [
        Bar("one", value, "x", low=value, high=value, goal_high=value), Bar("two", 0.0, "0"),
    ]  # fmt: skip
    page = Page(drawn(bars, mark) + str(strip(bars[0])))
    keys = ("x", "x1", "width", "cx")
    numbers = [attrs[key] for _, attrs in page.tags for key in keys if key in attrs]
    assert numbers
    assert all(math.isfinite(float(number)) for number in numbers)


def test_a_chart_of_nothing_is_nothing() -> None:
    assert drawn([]) == ""
    assert drawn([Bar("one", math.nan, "x")]) == ""
    assert strip(Bar("one", math.nan, "x", goal_high=1.0)) == ""


def test_a_strip_needs_something_to_see_the_value_against() -> None:
    assert strip(Bar("one", 0.5, "x", low=0.4, high=0.6)) == ""
    assert "goal" in strip(Bar("one", 0.5, "x", goal_low=0.4))


def goal_box(bar: Bar) -> tuple[float, float]:
    """Return the left and right edge of a strip's goal."""
    found = re.search(r'class="goal" x="([-0-9.]+)"[^>]*width="([0-9.]+)"', str(strip(bar)))
    assert found is not None
    return float(found[1]), float(found[1]) + float(found[2])


def dot(bar: Bar) -> float:
    found = re.search(r'class="dot" cx="([-0-9.]+)"', str(strip(bar)))
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    ("goal", "inside"),
    [({"goal_low": 0.4}, True), ({"goal_low": 0.6}, False), ({"goal_high": 0.6}, True),
     ({"goal_high": 0.4}, False), ({"goal_low": 0.45, "goal_high": 0.55}, True)],
)  # fmt: skip
def test_the_dot_lies_in_the_goal_where_the_value_does(
    goal: dict[str, float], inside: bool
) -> None:
    ends = goal.get("goal_low"), goal.get("goal_high")
    bar = Bar("one", 0.5, "x", low=0.3, high=0.8, goal_low=ends[0], goal_high=ends[1])
    left, right = goal_box(bar)
    assert (left <= dot(bar) <= right) == inside


def test_a_goal_of_one_value_is_still_seen() -> None:
    left, right = goal_box(Bar("one", 0.0, "x", low=0.0, high=0.1, goal_low=0.0, goal_high=0.0))
    assert right - left == pytest.approx(3.0)


def test_every_chart_of_the_page_is_also_a_picture() -> None:
    images = chart_images(full())
    charts = all_charts(full())
    assert [name for name, _ in images] == [f"chart-{each.key}" for each in charts]
    families = {each.key.split("-")[0] for each in charts}
    assert families == {"distance", "coverage", "shortcuts", "usefulness"}
    for name, image in images:
        pixels = np.asarray(image)
        assert pixels.shape[1] == 1_648, name
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name


def test_a_picture_shows_where_a_value_lies() -> None:
    def bar_px(value: float) -> int:
        found = [measured("kid", label, v) for label, v in (("basophil", 0.1), ("monocyte", value))]
        ((_, image),) = chart_images(evaluation(found))
        colour = np.array([0xA7, 0x9B, 0xCB])
        return int((np.asarray(image) == colour).all(axis=2).sum())

    whole, half = bar_px(0.1), bar_px(0.05)
    assert half / whole == pytest.approx(0.75, abs=0.02)


def test_grey_numbers_have_no_chart() -> None:
    found = [measured("fid", label, 9.0, reliable=False) for label in ("basophil", "monocyte")]
    assert chart_images(evaluation(found)) == []
