"""Tiny pretrained weights, made at random: an autoencoder, and a Stable Diffusion of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIDE = 16


def autoencoder(seed: int = 0) -> Any:
    """Return an untrained AutoencoderKL: one latent of 4 channels for 2 x 2 px."""
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
        sample_size=SIDE,
    ).eval()  # fmt: skip


def write_stable_diffusion(folder: Path, **changed: Any) -> Path:
    """Write the parts of a Stable Diffusion 1.x that are used; `changed` is of the U-Net."""
    from diffusers import PNDMScheduler, UNet2DConditionModel

    torch.manual_seed(1)
    options: dict[str, Any] = {
        "block_out_channels": (16, 32), "cross_attention_dim": 8, "attention_head_dim": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "norm_num_groups": 8,
        "layers_per_block": 1, "sample_size": SIDE // 2,
    }  # fmt: skip
    UNet2DConditionModel(**{**options, **changed}).save_pretrained(folder / "unet")
    autoencoder().save_pretrained(folder / "vae")
    PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).save_pretrained(folder / "scheduler")
    return folder
