from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from curation.errors import MeasurementError
from curation.progress import silent
from synth import choose_average as module
from synth.averages import Averages
from synth.chosen_average import ChosenAverage
from synth.config import preset
from synth.denoiser import Denoiser, build_denoiser
from synth.measure.inception import InceptionWeights
from synth.training_pixels import TrainingPixels
from tests.made import LABELS, disc, fake_features

SIDE = 8
CONFIG = preset("smoke").model_copy(
    update={"side": SIDE, "channels": (16, 32), "choose_cells": 20, "ema_tried": (0.02, 0.1, 0.2)}
)
IDS = (4, 6)


def cells(count: int, seed: int) -> TrainingPixels:
    images = [np.asarray(disc(LABELS[i % 2], seed + i, SIDE)) for i in range(count)]
    ids = np.array([IDS[i % 2] for i in range(count)], np.int64)
    return TrainingPixels(np.stack(images), ids, np.zeros(count, np.int64))


TRAIN, HELD_OUT = cells(8, 0), cells(24, 100)
NOBODY = TrainingPixels(HELD_OUT.images[:0], HELD_OUT.class_ids[:0], HELD_OUT.acquisition_ids[:0])


@pytest.fixture
def averages(tmp_path: Path) -> Averages:
    made = Averages(build_denoiser(CONFIG), CONFIG.ema_tracked, tmp_path / "averages")
    made.snapshot(1)
    return made


class Tagged(nn.Module):
    """Stands for the network with an average of one width."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let the middle width draw best, the narrow one worst; returns what was asked of each."""
    asked: list[Any] = []

    def draw(network: Tagged, labels: Any, *_: Any) -> NDArray[np.uint8]:
        asked.append((network.width, list(labels)))
        wrong = {0.02: 90, 0.1: 0, 0.2: 40}[network.width]
        return (cells(len(labels), 500).images.astype(int) - wrong).clip(0, 255).astype(np.uint8)

    monkeypatch.setattr(module, "_network", lambda averages, width, *_: Tagged(width))
    monkeypatch.setattr(module, "drawn_by", draw)
    monkeypatch.setattr(module, "inception_features", fake_features)
    weights = InceptionWeights(Path("none"), "f" * 64, "a test")
    monkeypatch.setattr(module, "find_inception", lambda *args, **kwargs: weights)
    return asked


def choose(
    averages: Averages, held_out: TrainingPixels = HELD_OUT, **changes: Any
) -> tuple[Denoiser, ChosenAverage]:
    config = CONFIG.model_copy(update=changes)
    return module.choose_average(averages, TRAIN, held_out, config, progress=silent)


def test_the_average_that_draws_best_is_chosen(averages: Averages, planted: list[Any]) -> None:
    network, chosen = choose(averages)
    assert isinstance(network, Tagged)
    assert network.width == chosen.width == 0.1
    assert (chosen.by, chosen.cells) == ("KID to validation cells", 20)
    values = {one.width: one.value for one in chosen.tried}
    assert values[0.1] < values[0.2] < values[0.02]
    assert all(one.low is not None and one.low <= one.value for one in chosen.tried)
    # Of each class as many as were held out, and the same for every width.
    assert [labels.count("basophil") for _, labels in planted] == [10, 10, 10]


def test_classes_that_were_never_trained_are_left_out(
    averages: Averages, planted: list[Any]
) -> None:
    strangers = HELD_OUT.class_ids.copy()
    strangers[::3] = 9
    held_out = TrainingPixels(HELD_OUT.images, strangers, HELD_OUT.acquisition_ids)
    _, chosen = choose(averages, held_out)
    assert chosen.cells == 16
    assert all(len(labels) == 16 for _, labels in planted)
    assert {label for _, labels in planted for label in labels} == {"basophil", "monocyte"}


def lose(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {0.02: 0.3, 0.1: 0.2, 0.2: 0.1}
    monkeypatch.setattr(module, "held_out_loss", lambda network, *_: losses[network.width])


def test_without_inception_the_loss_decides(
    averages: Averages, planted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*args: Any, **options: Any) -> InceptionWeights:
        raise MeasurementError("the Inception network is not here")

    monkeypatch.setattr(module, "find_inception", absent)
    lose(monkeypatch)
    _, chosen = choose(averages)
    assert (chosen.width, chosen.cells) == (0.2, 24)
    assert chosen.by == "loss on validation cells (the Inception network was not found)"
    assert not planted
    # A folder that was given and does not hold it is no reason to choose by something else.
    with pytest.raises(MeasurementError, match="not here"):
        module.choose_average(
            averages, TRAIN, HELD_OUT, CONFIG, inception=Path("given"), progress=silent
        )


def test_too_few_cells_for_a_kernel_distance(
    averages: Averages, planted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(monkeypatch)
    few = TrainingPixels(HELD_OUT.images[:3], HELD_OUT.class_ids[:3], HELD_OUT.acquisition_ids[:3])
    _, chosen = choose(averages, few)
    assert (chosen.width, chosen.cells) == (0.2, 3)
    assert chosen.by == "loss on validation cells (too few for KID)"


def test_without_validation_cells_the_width_is_the_usual_one(
    averages: Averages, planted: list[Any]
) -> None:
    _, chosen = choose(averages, NOBODY)
    assert chosen.by == "no validation cells: nearest 0.1"
    assert (chosen.width, chosen.cells, chosen.tried) == (0.1, 0, ())


def test_one_width_is_not_tried(averages: Averages, monkeypatch: pytest.MonkeyPatch) -> None:
    def wanted(*args: Any, **options: Any) -> InceptionWeights:
        raise AssertionError("nobody needs the Inception network")

    monkeypatch.setattr(module, "find_inception", wanted)
    network, chosen = choose(averages, ema_tried=(0.2,))
    assert (chosen.width, chosen.by) == (0.2, "only one was tried")
    assert not network.training
    expected = averages.synthesize(0.2)
    for name, value in network.state_dict().items():
        assert value.equal(expected[name])
