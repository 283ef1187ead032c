from __future__ import annotations

from typing import Any

import pytest

from synth.measure.measurement import Measurement


def found(value: float, low: float | None, high: float | None, **said: Any) -> Measurement:
    return Measurement(
        name="kid", label="all", value=value, low=low, high=high, n_real=20, n_synthetic=20,
        direction="lower", extractor="none", pipeline="none", reference="none", **said,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.5, 0.4, 0.6, "met"),
        (0.9, 0.8, 1.2, "met"),
        (1.1, 0.8, 1.4, "open"),
        (1.3, 1.1, 1.5, "missed"),
        (1.1, None, None, "missed"),
        (0.5, None, None, "met"),
    ],
)
def test_a_goal_from_above(
    value: float, low: float | None, high: float | None, verdict: str
) -> None:
    assert found(value, low, high, goal_high=1.0).verdict == verdict
    assert found(value, low, high, goal_high=1.0, reliable=False).verdict == "no goal"
    assert found(value, low, high).verdict == "no goal"


@pytest.mark.parametrize(("low", "verdict"), [(0.01, "met"), (-0.01, "open")])
def test_a_gain_is_claimed_only_where_its_interval_is(low: float, verdict: str) -> None:
    assert found(0.05, low, 0.1, family="usefulness", goal_low=0.0).verdict == verdict
    assert found(0.05, low, 0.1, goal_low=0.0).verdict == "met", "a floor is no claim"
