from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from synth import estimate as module
from synth.config import SampleConfig
from synth.estimate import estimate, step_cost
from synth.generator import Generator
from synth.plan import PlannedCell, planned_cells
from synth.sample import draw_cells
from synth.synthetic_row import synthetic_row
from tests.made import FAST, Made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which everything between two looks takes 6 seconds."""
    ticks: Iterator[float] = iter(range(0, 600, 6))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))


@pytest.mark.usefixtures("clock")
def test_the_time_of_two_steps_is_that_of_all(made: Made) -> None:
    config = FAST.model_copy(update={"batch": 4, "steps": 10})
    plan = {"basophil": 12, "monocyte": 8}
    found = estimate(made.generator, plan, config)
    # 6 s are two steps of 4 cells: 20 cells of 10 steps are 25 times as much.
    assert found.seconds == pytest.approx(150)
    assert (found.batch, found.cells) == (4, 8)


@pytest.mark.usefixtures("clock")
def test_several_processes_share_the_time(made: Made) -> None:
    config = FAST.model_copy(update={"batch": 4, "steps": 10})
    found = estimate(made.generator, {"basophil": 20}, config, processes=3)
    assert found.seconds == pytest.approx(50)


def test_the_size_is_that_of_the_cells_drawn(made: Made) -> None:
    found = estimate(made.generator, {"basophil": 1, "monocyte": 1}, FAST)
    cells = planned_cells({"basophil": 1, "monocyte": 1}, FAST.seed)
    sizes = [
        len(synthetic_row(made.generator, cell, pixels, FAST)["image"]["bytes"])
        for cell, pixels in draw_cells(made.generator, cells, FAST)
    ]
    assert found.cells == 2
    assert found.bytes == pytest.approx(sum(sizes), abs=2)


def test_the_whole_classes_are_looked_at(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def noted(generator: Generator, cell: PlannedCell, *rest: Any) -> dict[str, Any]:
        drawn.append(cell.label)
        return synthetic_row(generator, cell, *rest)

    monkeypatch.setattr(module, "synthetic_row", noted)
    estimate(made.generator, {"basophil": 30, "lymphocyte": 30, "monocyte": 30}, FAST)
    assert set(drawn) == {"basophil", "lymphocyte", "monocyte"}


def test_steps_without_guidance_cost_half(made: Made) -> None:
    def cost(**changes: object) -> float:
        return step_cost(made.generator, SampleConfig.model_validate({"steps": 18, **changes}))

    assert cost() == cost(guidance=1.0) == 1.0
    assert cost(guidance_interval=(0.0, 100.0)) == 1.0
    assert cost(guidance_interval=(200.0, 300.0)) == 0.5
    scheduler = made.generator.pipeline.scheduler
    scheduler.set_timesteps(18)
    inside = np.mean([0.3 <= float(level) <= 3 for level in scheduler.sigmas[:18]])
    assert cost(guidance_interval=(0.3, 3.0)) == (1 + inside) / 2
