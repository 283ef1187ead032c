from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from curation.output import partial_path
from curation.progress import silent
from synth import look as module
from synth.averages import Weights
from synth.checkpoint import Progressed
from synth.config import TrainConfig, preset
from synth.denoiser import build_denoiser
from synth.generator import Generator
from synth.look import Looker, held_out_loss
from synth.train import train
from synth.training_pixels import TrainingPixels
from synth.training_run import TrainingRun
from tests.made import LABELS, Made, disc

SIDE = 8
CONFIG = preset("smoke").model_copy(
    update={"images": 48, "batch": 2, "side": SIDE, "channels": (16, 32), "look_images": 10,
            "look_cells": 6}
)  # fmt: skip
IDS = (4, 6)


def cells(count: int, seed: int) -> TrainingPixels:
    """Cells of two classes of the vocabulary, each unlike the others."""
    images = [np.asarray(disc(LABELS[i % 2], seed + i, SIDE)) for i in range(count)]
    ids = np.array([IDS[i % 2] for i in range(count)], np.int64)
    return TrainingPixels(np.stack(images), ids, np.zeros(count, np.int64))


TRAIN, HELD_OUT = cells(30, 0), cells(12, 1_000)
AVERAGE = build_denoiser(CONFIG).state_dict()


def looker(folder: Path, config: TrainConfig = CONFIG) -> Looker:
    return Looker(TRAIN, HELD_OUT, config, folder / "looks")


def draw(monkeypatch: pytest.MonkeyPatch, images: NDArray[np.uint8]) -> None:
    """Let the network draw these."""
    monkeypatch.setattr(Looker, "_draw", lambda *args: images)


def test_drawing_training_cells_is_learning_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However they are turned.
    draw(monkeypatch, np.rot90(TRAIN.images[:6], 1, axes=(1, 2))[:, :, ::-1].copy())
    before = Progressed(step=9, images=20, last_good_step=5)
    found, after = looker(tmp_path).look(AVERAGE, before, silent)
    assert found["verdict"] == "learnt_by_heart"
    assert found["nearest_train"] == pytest.approx(1, abs=1e-3)
    assert found["nearest_train_held_out"] < 0.99
    assert (after.stopped, after.last_good_step, after.looked_at) == ("learnt_by_heart", 5, 20)
    # What is told is what comes of it; nothing has happened yet.
    assert before == Progressed(step=9, images=20, last_good_step=5)


def test_drawing_other_cells_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(monkeypatch, cells(6, 2_000).images)
    found, after = looker(tmp_path).look(AVERAGE, Progressed(step=9, images=20), silent)
    assert found["verdict"] == "gaining"
    assert (after.stopped, after.last_good_step) == ("", 9)
    assert after.best_held_out == pytest.approx(found["held_out_loss"], abs=1e-5)
    assert [path.name for path in (tmp_path / "looks").iterdir()] == ["000000020.jpg"]


def test_few_training_cells_are_compared_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = looker(tmp_path)._nearest(HELD_OUT.images)
    monkeypatch.setattr(module, "_TRAINING_BLOCK", 7)
    np.testing.assert_allclose(looker(tmp_path)._nearest(HELD_OUT.images), whole, atol=1e-6)


def test_it_ends_when_the_held_out_loss_has_not_fallen_for_some_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(monkeypatch, cells(6, 2_000).images)
    losses = iter([1.0, 0.9, 0.8995, 0.95, 0.85, 0.86, 0.8496, 0.9])
    monkeypatch.setattr(module, "held_out_loss", lambda *args: next(losses))
    config = CONFIG.model_copy(update={"patience": 3})
    done, verdicts = Progressed(), []
    looking = looker(tmp_path, config)
    for number in range(8):
        done = replace(done, step=number + 1, images=10 * (number + 1))
        found, done = looking.look(AVERAGE, done, silent)
        verdicts.append(found["verdict"])
    assert verdicts == ["gaining", "gaining", "no_gain_yet", "no_gain_yet", "gaining",
                        "no_gain_yet", "no_gain_yet", "no_gain"]  # fmt: skip
    assert (done.stopped, done.best_held_out, done.last_good_step) == ("no_gain", 0.85, 8)


def test_the_held_out_loss_is_lower_for_the_better_network() -> None:
    torch.manual_seed(0)
    network = build_denoiser(CONFIG).eval()
    zero = held_out_loss(network, HELD_OUT, CONFIG)
    assert held_out_loss(network, HELD_OUT, CONFIG) == zero
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.5)
    assert held_out_loss(network, HELD_OUT, CONFIG) > 1.05 * zero


class Planted(Looker):
    """A looker that finds at its third look that training cells are learnt by heart."""

    seen: list[Weights]

    def look(self, average: Any, done: Progressed, progress: Any) -> Any:
        self.seen = [*getattr(self, "seen", []), {k: v.clone() for k, v in average.items()}]
        found = {"held_out_loss": 1.0, "nearest_train": 0.5, "nearest_train_held_out": 0.5}
        looked = replace(done, looked_at=done.images)
        if len(self.seen) == 3:
            return found | {"verdict": "learnt_by_heart"}, replace(
                looked, stopped="learnt_by_heart"
            )
        return found | {"verdict": "gaining"}, replace(looked, last_good_step=done.step)


def test_the_average_ends_at_the_last_good_look(tmp_path: Path) -> None:
    planted = Planted(TRAIN, HELD_OUT, CONFIG, tmp_path / "looks")
    run = TrainingRun(TRAIN, CONFIG, tmp_path, Accelerator(cpu=True), planted)
    run.go(silent)
    # Looks come every 5 steps of 2 images.
    assert (run.done.stopped, run.done.step, run.done.last_good_step) == ("learnt_by_heart", 15, 10)
    good = run.averages.synthesize(CONFIG.ema_tracked[0], run.done.last_good_step)
    for name, value in planted.seen[1].items():
        torch.testing.assert_close(good[name], value, rtol=2e-3, atol=2e-4)
    end = run.averages.synthesize(CONFIG.ema_tracked[0])
    assert any(not torch.allclose(end[name], good[name], atol=1e-3) for name in end)
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [line["images"] for line in lines if "look" in line] == [10, 20, 30]


def look_lines(generator: Generator) -> list[Any]:
    lines = (generator.path / "training.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "look" in line]


def weights(generator: Generator) -> bytes:
    return b"".join(
        (generator.path / name / "diffusion_pytorch_model.safetensors").read_bytes()
        for name in ("unet", "conditioner")
    )


@pytest.mark.e2e
def test_looks_change_nothing(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Sure not to end the run, whatever is drawn after so few steps.
    monkeypatch.setattr(module, "_LEARNT_QUANTILE", 1.0)
    looking = CONFIG.model_copy(update={"patience": 100})
    unseen = train(made.real, tmp_path / "unseen", looking.model_copy(update={"look_cells": 0}))
    looked = train(made.real, tmp_path / "looked", looking)
    assert weights(looked) == weights(unseen)
    assert [line["images"] for line in look_lines(looked)] == [10, 20, 30, 40]
    assert sorted(path.name for path in (looked.path / "looks").iterdir()) == [
        f"{images:09d}.jpg" for images in (10, 20, 30, 40)
    ]
    # An interrupted look, before and after what it found was noted, is the look it would have been.
    out = tmp_path / "interrupted"
    plain, calls = TrainingRun._look, [0]

    def look(self: TrainingRun, progress: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        plain(self, progress)
        if calls[0] == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingRun, "_look", look)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(made.real, out, looking)
        assert partial_path(out).is_dir()
    again = train(made.real, out, looking)
    assert weights(again) == weights(looked)
    assert look_lines(again) == look_lines(looked)
