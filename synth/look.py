"""A look at what a network draws while it trains: is it still learning, or learning by heart?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from curation.progress import Progress
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
_HELD_OUT_CELLS = 512
_GAIN = 0.001
_LEARNT_QUANTILE = 0.9
_BLOCK = 64


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
        self.training_rows = prepare(np.asarray(train.images))
        held_rows = prepare(held_out.images[:_HELD_OUT_CELLS])
        self.baseline, _ = nearest_correlation(held_rows, self.training_rows)
        names = sorted(train.counts(), key=LABELS.index)
        self.labels = [names[i % len(names)] for i in range(config.look_cells)]

    def look(
        self,
        network: Denoiser,
        average: Mapping[str, Tensor],
        done: Progressed,
        progress: Progress,
    ) -> Look:
        """Draw cells with the average of the weights, and say in `done` whether to stop."""
        averaged = build_denoiser(self.config, self.train.acquisitions)
        averaged.load_state_dict(average)
        device = next(network.parameters()).device
        averaged = placed(averaged.eval(), device)
        loss = held_out_loss(averaged, self.held_out, self.config)
        images = self._draw(averaged, progress)
        nearest, _ = nearest_correlation(prepare(images), self.training_rows)
        self._show(images, done.images)
        copied = float(np.median(nearest)) > float(np.quantile(self.baseline, _LEARNT_QUANTILE))
        verdict = _verdict(loss, copied, done, self.config.patience)
        return Look(
            held_out_loss=round(loss, 5),
            nearest_train=round(float(np.median(nearest)), 4),
            nearest_train_held_out=round(float(np.median(self.baseline)), 4),
            verdict=verdict,
        )

    def _draw(self, network: Denoiser, progress: Progress) -> NDArray[np.uint8]:
        pipeline = build_pipeline(network, self.config, self.train.acquisition_shares())
        drawn = []
        for start in range(0, len(self.labels), _BLOCK):
            labels = self.labels[start : start + _BLOCK]
            seeds = list(range(start, start + len(labels)))
            drawn.append(pipeline.draw(labels, seeds, _STEPS, _GUIDANCE))
            progress("look", start + len(labels), len(self.labels))
        return np.concatenate(drawn)

    def _show(self, images: NDArray[np.uint8], seen: int) -> None:
        self.folder.mkdir(exist_ok=True)
        names = list(dict.fromkeys(self.labels))
        rows = [
            (readable(name), [i for i, label in zip(images, self.labels, strict=True)
                              if label == name])
            for name in names
        ]  # fmt: skip
        (self.folder / f"{seen:09d}.jpg").write_bytes(jpeg_bytes(contact_sheet(rows)))


def _verdict(loss: float, copied: bool, done: Progressed, patience: int) -> str:
    if copied:
        done.stopped = "learnt_by_heart"
        return done.stopped
    done.last_good_step = done.step
    if loss < done.best_held_out * (1 - _GAIN):
        done.best_held_out, done.looks_without_gain = loss, 0
        return "gaining"
    done.looks_without_gain += 1
    if done.looks_without_gain >= patience:
        done.stopped = "no_gain"
        return done.stopped
    return "no_gain_yet"


@torch.no_grad()
def held_out_loss(network: Denoiser, cells: TrainingPixels, config: TrainConfig) -> float:
    """Return EDM's loss on held-out cells at fixed noise levels and fixed noise."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    losses = []
    for start in range(0, min(len(cells.images), _HELD_OUT_CELLS), _BLOCK):
        rows = slice(start, min(start + _BLOCK, _HELD_OUT_CELLS))
        pixels = torch.from_numpy(np.array(cells.images[rows])).permute(0, 3, 1, 2)
        clean = pixel_unshuffle(pixels.float() / 127.5 - 1, config.patch)
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
    return sum(losses) / (min(len(cells.images), _HELD_OUT_CELLS) * len(_SIGMAS))
