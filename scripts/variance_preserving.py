"""diffusers' own DDPM, DDIM and DPM-Solver++ over the network of a generator of ours.

Those pipelines want a network that predicts the noise of a variance-preserving diffusion at one of
1,000 steps. Ours was trained after EDM; but it is the same denoiser in other units: with
x = x_vp / alpha and sigma = sqrt(1 - alpha^2) / alpha, its denoised D gives eps = (x - D) / sigma.
So all samplers share their weights, and the sampler is all that differs.
Source: Karras et al., EDM (arXiv 2206.00364), appendix C.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from synth.pipeline import CellDiffusionPipeline

STEPS = 1_000
Sampler = Callable[[Sequence[str], Sequence[int]], NDArray[np.uint8]]
"""Labels and seeds -> images (n, side, side, 3) uint8."""


class NoisePrediction(nn.Module):
    """A generator's network as diffusers' unconditional pipelines call theirs.

    `labels` and `seeds` are those of the images drawn next, in their order.
    """

    def __init__(self, pipeline: CellDiffusionPipeline, alphas_cumprod: Tensor) -> None:
        super().__init__()
        self.pipeline, self.unet = pipeline, pipeline.unet
        self.config = SimpleNamespace(sample_size=int(pipeline.config.side), in_channels=3)
        self.dtype, self.device = torch.float32, pipeline.device
        self.alphas = alphas_cumprod.double().sqrt()
        self.told = torch.empty(0)

    def tell(self, labels: Sequence[str], seeds: Sequence[int]) -> None:
        """Say what is drawn next, as `CellDiffusionPipeline.draw` does without guidance."""
        pipeline = self.pipeline
        self.told = pipeline._told(labels, pipeline.acquisitions_of(labels, seeds, None))

    def forward(self, image_BCHW: Tensor, timestep: Tensor) -> Any:
        """Return the noise in variance-preserving images (b, 3, s, s), under `.sample`."""
        alpha = float(self.alphas[int(timestep)])
        sigma = (1 - alpha**2) ** 0.5 / alpha
        scheduler = self.pipeline.scheduler
        x = pixel_unshuffle(image_BCHW / alpha, self.pipeline.config.patch)
        x = x.contiguous(memory_format=torch.channels_last)
        level = torch.tensor(sigma, dtype=torch.float32)
        scaled = scheduler.precondition_inputs(x, level)
        output = self.pipeline._network(scaled, scheduler.precondition_noise(level), self.told)
        denoised = scheduler.precondition_outputs(x, output, level)
        noise = pixel_shuffle((x - denoised) / level, self.pipeline.config.patch)
        return SimpleNamespace(sample=noise)


def diffusers_samplers(pipeline: CellDiffusionPipeline) -> dict[str, tuple[int, Sampler]]:
    """Return name -> (network passes an image, sampler) of diffusers' own pipelines."""
    return {
        "DDPM": (STEPS, _sampler(pipeline, DDPMPipeline, DDPMScheduler(), STEPS)),
        "DDIM": (50, _sampler(pipeline, DDIMPipeline, DDIMScheduler(), 50)),
        "DPM-Solver++": (
            20,
            _sampler(pipeline, DDPMPipeline, DPMSolverMultistepScheduler(), 20),
        ),
    }


def _sampler(pipeline: CellDiffusionPipeline, kind: Any, scheduler: Any, steps: int) -> Sampler:
    network = NoisePrediction(pipeline, scheduler.alphas_cumprod)
    # diffusers reads the class of every module; where it is loaded from does not matter here.
    drawing = kind(network, scheduler)
    drawing.set_progress_bar_config(disable=True)

    def draw(labels: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        network.tell(labels, seeds)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with warnings.catch_warnings():
            # diffusers makes an array of a tensor in a way that numpy 2 no longer likes.
            warnings.simplefilter("ignore", DeprecationWarning)
            images = drawing(
                batch_size=len(labels), generator=generators, num_inference_steps=steps,
                output_type="np",
            ).images  # fmt: skip
        return np.asarray((images * 255).round(), dtype=np.uint8)

    return draw
