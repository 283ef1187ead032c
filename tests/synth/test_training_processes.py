from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker

from curation.errors import GeneratorError
from synth.config import preset
from synth.processes import Ranks
from synth.train import train
from synth.training_processes import training_processes
from synth.training_run import own_part
from tests.made import Made

SHORT = preset("smoke").model_copy(
    update={"images": 48, "batch": 2, "side": 8, "channels": (16, 32), "look_images": 20,
            "look_cells": 3}
)  # fmt: skip


class Remembering(GeneralTracker):  # type: ignore[misc]
    """A tracker that keeps what it is given."""

    name = "remembering"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[tuple[int | None, dict[str, Any]]] = []
        self.finished = False

    @property
    def tracker(self) -> Any:
        return self.logged

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        raise AssertionError("nothing of the configuration is sent anywhere")

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


def test_a_tracker_is_told_the_losses_and_the_looks(made: Made, tmp_path: Path) -> None:
    tracker = Remembering()
    train(made.real, tmp_path / "generator", SHORT, trackers=[tracker])
    assert tracker.finished
    assert [(step, set(values)) for step, values in tracker.logged if "loss" in values] == [
        (40, {"loss"}), (48, {"loss"}),
    ]  # fmt: skip
    looks = [values for step, values in tracker.logged if step == 20]
    assert [set(values) for values in looks] == [
        {"held_out_loss", "nearest_train", "nearest_train_held_out"}
    ]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_writes_beside_the_generator(made: Made, tmp_path: Path) -> None:
    train(made.real, tmp_path / "generator", SHORT, trackers=["tensorboard"])
    assert list((tmp_path / "generator" / "logs").rglob("events.out.tfevents.*"))


def test_a_lost_process_has_a_name(tmp_path: Path) -> None:
    told = "another process of this run ended, so this one cannot go on.*same command again"
    with (
        pytest.raises(GeneratorError, match=told),
        training_processes(tmp_path, (), Ranks(0, 2)),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]")
    # Any other error is its own, and so is this one where there is no other process.
    for ranks, text in ((Ranks(0, 2), "shape mismatch"), (Ranks(), "Connection closed by peer")):
        with pytest.raises(RuntimeError, match=text), training_processes(tmp_path, (), ranks):
            raise RuntimeError(text)


def test_a_batch_is_shared_evenly() -> None:
    assert [own_part(6, rank, 3) for rank in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    with pytest.raises(GeneratorError, match="batch of 6 cannot be shared evenly by 4.*--batch 8"):
        own_part(6, 1, 4)
