"""What the solver is worth: the same network and first noise, drawn with and without new noise.

    python -m scripts.measure_solvers out/generator out/pbc --inception ../shared/weights -n 192

KID and FID are to held-out test cells, without guidance. What was drawn and measured is kept below
--out, so the same command goes on. Prints the table of docs/generator.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.chunks import chunks
from curation.corpus import load_corpus
from scripts.generator_tables import kid_text
from scripts.held_out import cells_in_turn, check_corpus, like
from scripts.kept_work import CHUNK, KeptWork
from scripts.variance_preserving import diffusers_samplers
from synth.config import SampleConfig
from synth.generator import Generator, load_generator
from synth.measure.frechet import frechet_distance
from synth.measure.inception import find_inception
from synth.measure.kernel import kernel_distance
from synth.pipeline import CellDiffusionPipeline
from synth.plan import PlannedCell


@dataclass(frozen=True, slots=True)
class Solver:
    """How a schedule is walked down."""

    noisy: bool
    steps: int
    ends_at: float

    @property
    def name(self) -> str:
        """How the table calls it."""
        return "stochastic DPM-Solver++" if self.noisy else "DPM-Solver++"

    def change(self) -> dict[str, Any]:
        """Return what it changes of the scheduler's configuration."""
        kind = "sde-dpmsolver++" if self.noisy else "dpmsolver++"
        return {"algorithm_type": kind, "sigma_min": self.ends_at}


SOLVERS = (
    Solver(False, 10, 0.04), Solver(False, 18, 0.04), Solver(True, 8, 0.04),
    Solver(True, 10, 0.04), Solver(True, 18, 0.04), Solver(True, 30, 0.04), Solver(True, 18, 0.01),
)  # fmt: skip


def main() -> None:
    """Draw, measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("generator", type=Path)
    parser.add_argument("real", type=Path, help="the corpus it was trained on")
    parser.add_argument("--inception", type=Path, help="folder of the Inception network")
    parser.add_argument("-n", type=int, default=192, help="cells a row")
    parser.add_argument("--out", type=Path, default=Path("out/measured-solvers"))
    asked = parser.parse_args()
    generator, corpus = load_generator(asked.generator), load_corpus(asked.real)
    check_corpus(generator, corpus)
    kept = KeptWork(asked.out, find_inception(asked.inception))
    held = cells_in_turn(corpus, "test", generator, asked.n)
    cells, real = like(held, seed=7), kept.features(held.images)
    print("| solver | steps | ends at | KID, 95 % interval | FID |\n|---|---:|---:|---|---:|")
    for solver in SOLVERS:
        with solved_by(generator.pipeline, solver):
            images = kept.images(generator, cells, SampleConfig(steps=solver.steps, guidance=1.0))
        print(row(solver.name, solver.steps, f"{solver.ends_at:g}", real, kept.features(images)))
        sys.stdout.flush()
    print(row("DDIM (diffusers)", 50, "–", real, kept.features(by_ddim(generator, cells))))


@contextmanager
def solved_by(pipeline: CellDiffusionPipeline, solver: Solver) -> Iterator[None]:
    """Let a pipeline draw with another solver."""
    own = pipeline.scheduler
    pipeline.scheduler = type(own).from_config(own.config, **solver.change())
    try:
        yield
    finally:
        pipeline.scheduler = own


def by_ddim(generator: Generator, cells: Sequence[PlannedCell]) -> NDArray[np.uint8]:
    """Return the same cells drawn by diffusers' DDIM with 50 steps, (n, s, s, 3) uint8."""
    _, draw = diffusers_samplers(generator.pipeline)["DDIM"]
    return np.concatenate(
        [draw([c.label for c in group], [c.seed for c in group]) for group in chunks(cells, CHUNK)]
    )


def row(
    name: str, steps: int, ends_at: str, real: NDArray[np.float32], drawn: NDArray[np.float32]
) -> str:
    """Return one line of the table."""
    kid = kernel_distance(real, drawn)
    text = kid_text({"kid": kid.value, "low": kid.low, "high": kid.high})
    return f"| {name} | {steps} | {ends_at} | {text} | {frechet_distance(real, drawn):.1f} |"


if __name__ == "__main__":
    main()
