"""A look at what a network draws while it trains: is it still learning, or learning by heart?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from curation.progress import Progress, silent
from curation.vocabulary import LABELS

from .checkpoint import Progressed
from .config import TrainConfig
from .contact_sheet import contact_sheet, jpeg_bytes, readable
from .denoiser import Denoiser, build_denoiser, placed
from .diffusion import network_input, network_noise, network_target
from .generator import build_pipeline
from .measure.memorisation import nearest_correlation, prepare
from .training_pixels import TrainingPixels

_STEPS, _GUIDANCE = 12, 1.0
_SIGMAS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
HELD_OUT_CELLS = 512
_GAIN = 0.001
_LEARNT_QUANTILE = 0.9
_BLOCK = 64
_TRAINING_BLOCK = 16_384


class Look(TypedDict):
    """What one look found; correlations are in [-1, 1], higher is nearer."""

    held_out_loss: float
    nearest_train: float
    nearest_train_held_out: float
    verdict: str


class Looker:
    """Draws the same cells at every look, and measures the same held-out cells.

    Learning by heart shows when drawn cells lie nearer to training cells than nine in ten
    held-out ones do; learning has ended when the held-out loss has not fallen for some looks.
    """

    def __init__(
        self, train: TrainingPixels, held_out: TrainingPixels, config: TrainConfig, folder: Path
    ) -> None:
        self.config, self.folder = config, folder
        self.train, self.held_out = train, held_out
        names = sorted(train.counts(), key=LABELS.index)
        self.labels = [names[i % len(names)] for i in range(config.look_cells)]

    @cached_property
    def baseline(self) -> NDArray[np.float32]:
        """How near held-out cells come to training cells, (n,)."""
        return self._nearest(self.held_out.images[:HELD_OUT_CELLS])

    def look(
        self, average: Mapping[str, Tensor], done: Progressed, progress: Progress
    ) -> tuple[Look, Progressed]:
        """Draw cells with the average of the weights; returns what was found, and what comes of it.

        `done` itself is not touched: an interrupted look is looked again.
        """
        averaged = build_denoiser(self.config, self.train.acquisitions, self.train.space)
        averaged.load_state_dict(average)
        averaged = placed(averaged.eval(), next(iter(average.values())).device)
        loss = held_out_loss(averaged, self.held_out, self.config)
        images = self._draw(averaged, progress)
        nearest = self._nearest(images)
        self._show(images, done.images)
        copied = float(np.median(nearest)) > float(np.quantile(self.baseline, _LEARNT_QUANTILE))
        verdict, looked = _verdict(loss, copied, done, self.config.patience)
        look = Look(
            held_out_loss=round(loss, 5),
            nearest_train=round(float(np.median(nearest)), 4),
            nearest_train_held_out=round(float(np.median(self.baseline)), 4),
            verdict=verdict,
        )
        return look, looked

    def _nearest(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how near images come to training cells, (n,); few of these are held at once."""
        best = np.full(len(images), -1, np.float32)
        rows = prepare(images)
        for start in range(0, len(self.train.images), _TRAINING_BLOCK):
            block = prepare(np.asarray(self.train.images[start : start + _TRAINING_BLOCK]))
            np.maximum(best, nearest_correlation(rows, block)[0], out=best)
        return best

    def _draw(self, network: Denoiser, progress: Progress) -> NDArray[np.uint8]:
        return drawn_by(network, self.labels, self.train, self.config, _STEPS, progress)

    def _show(self, images: NDArray[np.uint8], seen: int) -> None:
        self.folder.mkdir(exist_ok=True)
        names = list(dict.fromkeys(self.labels))
        rows = [
            (readable(name), [i for i, label in zip(images, self.labels, strict=True)
                              if label == name])
            for name in names
        ]  # fmt: skip
        (self.folder / f"{seen:09d}.jpg").write_bytes(jpeg_bytes(contact_sheet(rows)))


def drawn_by(
    network: Denoiser,
    labels: Sequence[str],
    train: TrainingPixels,
    config: TrainConfig,
    steps: int,
    progress: Progress = silent,
) -> NDArray[np.uint8]:
    """Return cells that a network in training draws, unguided, with the seeds 0, 1, 2, …"""
    pipeline = build_pipeline(network, config, train.acquisition_shares())
    drawn: list[NDArray[np.uint8]] = []
    for start in range(0, len(labels), _BLOCK):
        some = labels[start : start + _BLOCK]
        seeds = range(start, start + len(some))
        drawn.append(pipeline.draw(some, seeds, steps, _GUIDANCE))
        progress("look", start + len(some), len(labels))
    return np.concatenate(drawn)


def _verdict(loss: float, copied: bool, done: Progressed, patience: int) -> tuple[str, Progressed]:
    looked = replace(done, looked_at=done.images)
    if copied:
        return "learnt_by_heart", replace(looked, stopped="learnt_by_heart")
    looked = replace(looked, last_good_step=done.step)
    if loss < done.best_held_out * (1 - _GAIN):
        return "gaining", replace(looked, best_held_out=loss, looks_without_gain=0)
    without = done.looks_without_gain + 1
    if without >= patience:
        return "no_gain", replace(looked, looks_without_gain=without, stopped="no_gain")
    return "no_gain_yet", replace(looked, looks_without_gain=without)


@torch.no_grad()
def held_out_loss(network: Denoiser, cells: TrainingPixels, config: TrainConfig) -> float:
    """Return EDM's loss on held-out cells at fixed noise levels and fixed noise."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    losses = []
    for start in range(0, min(len(cells.images), HELD_OUT_CELLS), _BLOCK):
        rows = slice(start, min(start + _BLOCK, HELD_OUT_CELLS))
        clean = pixel_unshuffle(_clean(cells, rows), config.patch)
        noise = torch.randn(clean.shape, generator=generator)
        clean, noise = clean.to(device), noise.to(device)
        labels = torch.from_numpy(cells.class_ids[rows]).to(device)
        # A held-out cell's acquisition is not looked up: it is not told, as in some of training.
        untold = torch.full_like(labels, network.conditioner.no_acquisition)
        for level in _SIGMAS:
            sigma = torch.full((len(clean),), level, device=device)
            noisy = clean + noise * level
            scaled = network_input(noisy, sigma, config.sigma_data)
            output = network(scaled, network_noise(sigma), labels, untold)
            target = network_target(clean, noisy, sigma, config.sigma_data)
            losses.append(float((output.float() - target).square().mean()) * len(clean))
    return sum(losses) / (min(len(cells.images), HELD_OUT_CELLS) * len(_SIGMAS))


def _clean(cells: TrainingPixels, rows: slice) -> Tensor:
    """Return what is to be denoised, (b, c, h, w) float32: pixels in [-1, 1], or latents."""
    if cells.latents is not None:
        return cells.latents.means(rows)
    pixels = torch.from_numpy(np.array(cells.images[rows])).permute(0, 3, 1, 2)
    return pixels.float() / 127.5 - 1
