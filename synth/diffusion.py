"""The diffusion: noise levels in training, preconditioning, and the loss.

Source: Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (EDM),
NeurIPS 2022 (arXiv 2206.00364), table 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .config import TrainConfig


def sample_sigmas(count: int, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Return noise levels as training draws them, (count,) float32, log-normal."""
    normal = torch.randn(count, generator=generator, device=generator.device)
    sigmas = (normal * config.p_std + config.p_mean).exp()
    if config.latent is not None and config.latent.sigma_range is not None:
        sigmas = sigmas.clamp(*config.latent.sigma_range)
    return sigmas


def network_input(noisy_BCHW: Tensor, sigmas_B: Tensor, sigma_data: float) -> Tensor:
    """Return c_in * x: the noisy images scaled to unit variance."""
    return noisy_BCHW / (sigmas_B**2 + sigma_data**2).sqrt().view(-1, 1, 1, 1)


def network_noise(sigmas_B: Tensor) -> Tensor:
    """Return c_noise = log(sigma) / 4: what the network is told about the noise level."""
    return sigmas_B.log() / 4


def network_target(
    clean_BCHW: Tensor, noisy_BCHW: Tensor, sigmas_B: Tensor, sigma_data: float
) -> Tensor:
    """Return the network's training target (y - c_skip * x) / c_out.

    Against this target EDM's loss weight times c_out squared is 1, so the loss is a plain mean
    square and every noise level weighs the same.
    """
    sigma = sigmas_B.view(-1, 1, 1, 1)
    total = sigma**2 + sigma_data**2
    c_skip = sigma_data**2 / total
    c_out = sigma * sigma_data / total.sqrt()
    return (clean_BCHW - c_skip * noisy_BCHW) / c_out
