"""A small convolutional classifier of cells, to find out what a training set teaches.

It is of another kind than the label audit's model, which selects drawn cells: a classifier of that
kind would find again in them what it had let through. Every run takes the same number of steps at
the same rates; nothing is stopped or chosen by cells that are tested on.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from curation.errors import MeasurementError
from curation.manifest import Frozen

from ..augment_jitter import draw_jitter, jittered
from ..denoiser import autocast_dtype

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]
Probabilities = NDArray[np.float32]

_CPU = torch.device("cpu")
_ORIENTATIONS = 8
_AT_ONCE = 256


class ClassifierConfig(Frozen):
    """Everything that decides what a classifier learns, beside its cells and its seed."""

    channels: tuple[int, ...] = Field(
        default=(24, 48, 96),
        min_length=1,
        description="of each stage; every one halves the side",
    )
    steps: int = Field(default=800, gt=0)
    batch: int = Field(default=64, ge=8)
    learning_rate: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    jitter: float = Field(
        default=0.5, ge=0, le=1, description="chance of each jitter of scale and colour"
    )


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a classifier learns from: images (n, s, s, 3) uint8 with class codes (n,) int64.

    `balanced` draws the classes equally often, however many cells each has; `augmented` shows
    cells in all 8 orientations, their scale and colours jittered.
    """

    images: Images
    codes: Ints
    classes: int
    balanced: bool
    augmented: bool

    def weights(self) -> NDArray[np.float64]:
        """Return the chance of each cell in every step, (n,), that add up to 1."""
        counts = np.bincount(self.codes, minlength=self.classes)
        weights = 1 / counts[self.codes] if self.balanced else np.ones(len(self.codes))
        return np.asarray(weights / weights.sum(), np.float64)


class CellClassifier:
    """A trained classifier."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    @torch.inference_mode()
    def probabilities(self, images_NHWC: Images) -> Probabilities:
        """Return the probability of each class, (n, classes) float32; rows add up to 1."""
        parts = [
            self._network(_scaled(images_NHWC[start : start + _AT_ONCE])).softmax(1).numpy()
            for start in range(0, len(images_NHWC), _AT_ONCE)
        ]
        return np.concatenate(parts)


def train_classifier(lesson: Lesson, seed: int, config: ClassifierConfig) -> CellClassifier:
    """Train a classifier on the CPU; the same lesson and seed give the same one.

    Raises: MeasurementError where there is nothing to tell apart, or the loss is not finite.
    """
    _check(lesson)
    rng = np.random.default_rng(seed)
    # The state that others draw from stays as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(lesson.classes, config)
        _learn(network, lesson, rng, config)
    return CellClassifier(network)


def _check(lesson: Lesson) -> None:
    present = len(np.unique(lesson.codes))
    if present < 2:
        raise MeasurementError(
            f"a classifier tells classes apart; its cells are of {present}. "
            "Next: give cells of two classes or more"
        )
    if len(lesson.images) != len(lesson.codes):
        raise MeasurementError(f"{len(lesson.images)} images come with {len(lesson.codes)} labels")


def _learn(
    network: nn.Module, lesson: Lesson, rng: np.random.Generator, config: ClassifierConfig
) -> None:
    codes = torch.from_numpy(lesson.codes)
    weights = lesson.weights()
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config.steps))
    dtype = autocast_dtype(_CPU)
    faster: Any = torch.autocast("cpu", dtype) if dtype else nullcontext()
    network.train()
    for step in range(config.steps):
        rows = rng.choice(len(weights), config.batch, p=weights)
        x_BCHW = _scaled(lesson.images[rows])
        if lesson.augmented:
            x_BCHW = _augmented(x_BCHW, rng, config.jitter)
        with faster:
            logits_BK = network(x_BCHW)
        loss = cross_entropy(logits_BK.float(), codes[rows])
        if not bool(torch.isfinite(loss)):
            raise MeasurementError(f"the classifier's loss is not finite at step {step}")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: up in the first 15 %, then a cosine down."""
    done, warm = (step + 1) / (steps + 1), 0.15
    if done < warm:
        return done / warm
    return 0.5 + 0.5 * math.cos(math.pi * (done - warm) / (1 - warm))


def _network(classes: int, config: ClassifierConfig) -> nn.Module:
    first, *others = config.channels
    layers: list[nn.Module] = [
        nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
    ]  # fmt: skip
    layers += [_Residual(before, width) for before, width in pairwise((first, *others))]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(config.dropout)]
    layers.append(nn.Linear(config.channels[-1], classes))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut, (b, c, s, s) -> (b, width, s/2, s/2)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.both = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width),
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip
        self.short = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels, width, 1, bias=False)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        summed: Tensor = self.both(x_BCHW) + self.short(x_BCHW)
        return summed.relu()


def _scaled(images_NHWC: Images) -> Tensor:
    """Return (n, 3, s, s) float32 in [-1, 1], in channels last."""
    x_NHWC = torch.from_numpy(np.ascontiguousarray(images_NHWC)).float() / 127.5 - 1
    return x_NHWC.permute(0, 3, 1, 2)


def _augmented(x_BCHW: Tensor, rng: np.random.Generator, jitter: float) -> Tensor:
    """Return a batch with as many images in each of the 8 orientations, and jittered.

    Images come in random order, so that which orientation each gets is random too.
    """
    turned = [_turned(part, way) for way, part in enumerate(x_BCHW.tensor_split(_ORIENTATIONS))]
    x = jittered(torch.cat(turned), torch.from_numpy(draw_jitter(len(x_BCHW), jitter, rng)))
    return x.contiguous(memory_format=torch.channels_last)


def _turned(x_BCHW: Tensor, way: int) -> Tensor:
    mirrored = x_BCHW.flip(3) if way >= 4 else x_BCHW
    return torch.rot90(mirrored, way % 4, (2, 3))
