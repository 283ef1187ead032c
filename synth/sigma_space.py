"""Stable Diffusion's U-Net, called as EDM's networks are. It travels in generator folders.

That U-Net predicts the noise of a variance-preserving diffusion at one of 1,000 steps. It is a
denoiser in other units: D(x, sigma) = x - sigma * eps(x / sqrt(1 + sigma^2), t(sigma)). With
sigma_data = 1, EDM's c_in is that very 1 / sqrt(1 + sigma^2), and the network output F for which
EDM's c_skip * x + c_out * F is D comes to sigma * c_in * x - sqrt(1 + sigma^2) * eps. So sampler,
guidance, loss and measurements are the same code as for any other network.
Source: Karras et al., EDM (arXiv 2206.00364), table 1 and appendix C.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

STEPS = 1_000
BETA_START, BETA_END = 0.00085, 0.012  # of every Stable Diffusion 1.x, "scaled_linear"


def _log_sigmas() -> Tensor:
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, STEPS, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0)
    return ((1 - alphas) / alphas).sqrt().log().float()


LOG_SIGMAS = _log_sigmas()
"""The logarithm of the noise level of each step, (1000,) float32, rising."""


def step_of(sigmas_B: Tensor) -> Tensor:
    """Return the step of each noise level, float32 in [0, 999], between two steps in part."""
    table = LOG_SIGMAS.to(sigmas_B.device)
    wanted = sigmas_B.float().log().clamp(table[0], table[-1])
    upper = torch.searchsorted(table, wanted).clamp(1, STEPS - 1)
    low, high = table[upper - 1], table[upper]
    return upper - 1 + (wanted - low) / (high - low)


class SigmaSpaceUNet(UNet2DConditionModel):  # type: ignore[misc]
    """The U-Net as EDM's networks are called, for sigma_data = 1; its weights keep their names."""

    def forward(
        self, x_BCHW: Tensor, noise_B: Tensor, told_BW: Tensor, return_dict: bool = False
    ) -> Any:
        """Return F, (b, c, h, w) float32, alone in a tuple.

        `x_BCHW` is c_in * x, `noise_B` is c_noise = log(sigma) / 4, one for each image or one for
        all; `told_BW` holds the tokens of an image, one behind the other.
        """
        sigmas_B = (4 * noise_B.float()).exp().reshape(-1).expand(len(x_BCHW))
        tokens_BTW = told_BW.view(len(x_BCHW), -1, self.config.cross_attention_dim)
        steps_B = step_of(sigmas_B)
        predicted = super().forward(x_BCHW, steps_B, tokens_BTW, return_dict=False)[0].float()
        sigma = sigmas_B.view(-1, 1, 1, 1)
        return (sigma * x_BCHW.float() - (1 + sigma**2).sqrt() * predicted,)
