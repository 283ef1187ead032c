"""The command line as a launcher starts it: in float32, and one process may fail on the way.

python -m torch.distributed.run --nproc_per_node 2 -m tests.synth.launched_train [FAULT] ARGUMENTS
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

from smearkit.cli import main
from synth import training_run
from synth.training_run import TrainingRun


def fail(rank: int, step: int) -> None:
    """Let one process run out of memory at a step."""
    if int(os.environ["RANK"]) != rank:
        return
    plain = training_run.training_loss

    def loss(*args: Any, **options: Any) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == step:
            raise torch.OutOfMemoryError("planted")
        return plain(*args, **options)

    calls = [0]
    training_run.training_loss = loss


def die(rank: int, step: int) -> None:
    """Let one process vanish at a step, as one that is killed."""
    plain = TrainingRun.step

    def stepping(self: TrainingRun) -> None:
        if int(os.environ["RANK"]) == rank and self.done.step == step:
            os._exit(9)
        plain(self)

    TrainingRun.step = stepping  # type: ignore[method-assign]


if __name__ == "__main__":
    # How a batch is split changes the rounding, which bfloat16 shows and float32 hardly.
    training_run.autocast_dtype = lambda device: None  # type: ignore[attr-defined]
    fault, *rest = sys.argv[1].split("=")
    if fault in ("--fail", "--die"):
        {"--fail": fail, "--die": die}[fault](*map(int, rest[0].split(",")))
        del sys.argv[1]
    main()
