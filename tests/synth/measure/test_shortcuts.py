from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.errors import MeasurementError
from scripts.altered_cells import jpeg
from synth.measure import pixel_scores as module
from synth.measure.measurement import Measurement
from synth.measure.shortcuts import TOGETHER, measure_shortcuts, tell_apart
from synth.measure.sides import Context, Found
from synth.measure.trivial_features import TRIVIAL
from synth.measure.two_sample import linear_scores
from tests.synth.measure.made_blots import cells, made_context, made_sides, with_drawn


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEPS", 40)


def _of(found: Found, arm: str, name: str = "shortcut_auc") -> Measurement:
    (one,) = [m for m in found.measurements if (m.name, m.arm) == (name, arm)]
    return one


def test_what_is_measured_and_real_cells_pass_for_real() -> None:
    found = measure_shortcuts(made_sides(side=32), made_context())
    assert [(m.name, m.arm) for m in found.measurements] == [
        *(("shortcut_auc", family) for family in (*TRIVIAL, TOGETHER)),
        ("c2st_auc", "features"), ("c2st_auc", "pixels"),
    ]  # fmt: skip
    for one in found.measurements:
        assert (one.family, one.label) == ("shortcuts", "all")
        assert (one.n_real, one.n_synthetic) == (60, 60)
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high
        assert one.floor_low is not None
        assert one.floor is not None
        assert one.verdict != "missed", one
        assert "tell the sides apart already" not in (one.note or "")


def test_another_codec_is_caught_by_trivial_features_before_any_deep_test() -> None:
    sides = made_sides(side=32)
    coded = with_drawn(sides, np.stack([jpeg(image, 60) for image in sides.drawn.images]))
    found = measure_shortcuts(coded, made_context())
    grid = _of(found, "jpeg_grid")
    assert grid.value > 0.9
    assert grid.verdict == "missed"
    assert found.measurements.index(grid) == 0
    for arm in ("features", "pixels"):
        note = _of(found, arm, "c2st_auc").note or ""
        assert "trivial features tell the sides apart already" in note
    # What two real sides make of each other does not change with what was drawn.
    assert grid.floor is not None
    assert grid.floor < 0.7


def test_few_cells_say_so() -> None:
    few = measure_shortcuts(made_sides(side=32, size=4), made_context())
    assert few.skipped == {"shortcuts": "8 cells a side; 20 are needed"}
    assert not few.measurements
    some = measure_shortcuts(made_sides(side=32, size=11), made_context())
    wide = [m for m in some.measurements if not m.reliable]
    assert wide
    assert all("22 cells a side are too few" in (m.note or "") for m in wide)
    assert all(m.verdict == "no goal" for m in wide)


def test_small_images_are_skipped() -> None:
    found = measure_shortcuts(made_sides(side=8), made_context())
    assert found.skipped == {"shortcuts": "images of 8 px show no grid; 16 px are needed"}


def test_features_that_are_not_finite_are_refused() -> None:
    context: Context = made_context()
    broken = replace(context, features=lambda some: np.full((len(some), 4), np.nan, np.float32))
    with pytest.raises(MeasurementError, match="not finite"):
        measure_shortcuts(made_sides(side=32), broken)


def test_the_floor_is_of_the_real_sides_alone() -> None:
    rng = np.random.default_rng(0)
    labels, sizes = ["a"] * 30 + ["b"] * 30, [30, 30]
    held, train, drawn = rng.normal(0, 1, (60, 3)), rng.normal(0, 1, (60, 3)), np.zeros((60, 3))
    found = tell_apart(held, train, drawn, labels, sizes, linear_scores, splits=6, seed=0)
    assert found.floor is not None
    assert found.floor.splits == 6
    assert found.floor.low < 0.5 < found.floor.high
    other = tell_apart(held, train, drawn + 9, labels, sizes, linear_scores, splits=6, seed=0)
    assert other.floor == found.floor
    assert other.area.value == 1
    apart = tell_apart(held, train + 3, drawn, labels, sizes, linear_scores, splits=6, seed=0)
    assert apart.floor is not None
    assert apart.floor.as_they_are == 1, "real sides that differ, as they are"
    assert apart.floor.median < 0.7, "mixed, they do not"
    plain = tell_apart(held, train, drawn, labels, sizes, linear_scores, splits=0, seed=0)
    assert plain.floor is None
    assert plain.floor_interval[0] < 0.5 < plain.floor_interval[1]


def test_equal_images_are_told_at_once() -> None:
    sides = made_sides(side=32)
    even = cells(np.full_like(sides.drawn.images, 217), "drawn")
    found = measure_shortcuts(replace(sides, drawn=even), made_context())
    assert _of(found, TOGETHER).value == 1
