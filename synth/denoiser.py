"""The network: diffusers' U-Net over images whose pixels are folded into channels."""

from __future__ import annotations

from typing import Any

import torch

from curation.vocabulary import LABELS

from .config import TrainConfig

NULL_LABEL = len(LABELS)
"""The class id that means "no label": what guidance is measured against."""


def build_denoiser(config: TrainConfig) -> Any:
    """Return an untrained `UNet2DModel` for class ids 0..len(LABELS), the last being "no label"."""
    from diffusers import UNet2DModel

    depth = len(config.channels)
    down = ["DownBlock2D"] * depth
    up = ["UpBlock2D"] * depth
    if config.attention:
        # Only at the lowest resolution: there it is cheap, and whole cells fit into its view.
        down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
    return UNet2DModel(
        sample_size=config.side // config.patch,
        in_channels=3 * config.patch**2,
        out_channels=3 * config.patch**2,
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        norm_num_groups=16,
        attention_head_dim=32,
        dropout=config.dropout,
        num_class_embeds=NULL_LABEL + 1,
        add_attention=config.attention,
    )


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the device computes it natively, else None (stay in float32)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    # Without these instructions a CPU emulates bf16, which is slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else None


def best_device() -> torch.device:
    """Return the accelerator where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
