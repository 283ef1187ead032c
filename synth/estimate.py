"""How long drawing a plan takes and how large it becomes, measured before it begins."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np

from .config import SampleConfig
from .generator import Generator
from .plan import Plan, planned_cells
from .sample import draw_cells
from .synthetic_row import synthetic_row

_PROBE_STEPS = 2
_WHOLE_CELLS = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What drawing a plan is expected to take: wall time in seconds, images in bytes."""

    seconds: float
    bytes: int
    batch: int
    """Cells that were drawn for two steps, to see the time."""
    cells: int
    """Cells that were drawn whole, to see the size."""


def estimate(
    generator: Generator,
    plan: Plan,
    config: SampleConfig,
    *,
    guide: Generator | None = None,
    processes: int = 1,
) -> Estimate:
    """Measure two steps of one batch, and the size of a few whole cells of all classes.

    The time is that of the network alone: encoding adds little, and selecting is not in it.
    """
    cells = planned_cells(plan, config.seed)
    batch = cells[: config.batch]
    probe = config.model_copy(update={"steps": _PROBE_STEPS, "guidance_interval": None})
    # The first draw is slow: it takes memory and chooses kernels.
    list(draw_cells(generator, batch, probe, guide))
    started = time.perf_counter()
    list(draw_cells(generator, batch, probe, guide))
    of_a_step = (time.perf_counter() - started) / _PROBE_STEPS / len(batch)
    chosen = [
        cells[i] for i in np.linspace(0, len(cells) - 1, min(_WHOLE_CELLS, len(cells)), dtype=int)
    ]
    sizes = [
        len(synthetic_row(generator, cell, pixels, config, guide)["image"]["bytes"])
        for cell, pixels in draw_cells(generator, chosen, config, guide)
    ]
    steps = config.steps * step_cost(generator, config)
    return Estimate(
        seconds=of_a_step * steps * len(cells) / processes,
        bytes=int(np.mean(sizes) * len(cells)),
        batch=len(batch),
        cells=len(sizes),
    )


def step_cost(generator: Generator, config: SampleConfig) -> float:
    """Return the mean cost of a step in (0, 1], where one that is guided costs 1 and another half.

    Outside the interval of guidance the network is asked once, inside twice.
    """
    if config.guidance == 1 or config.guidance_interval is None:
        return 1.0
    scheduler = copy.deepcopy(generator.pipeline.scheduler)
    scheduler.set_timesteps(config.steps)
    low, high = config.guidance_interval
    levels = np.asarray(scheduler.sigmas[: config.steps], dtype=np.float64)
    guided = float(np.mean((levels >= low) & (levels <= high)))
    return (1 + guided) / 2
