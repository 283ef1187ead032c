"""The network: diffusers' U-Net over images whose pixels are folded into channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from curation.vocabulary import LABELS

from .augment_jitter import JITTER_COLUMNS
from .conditioner import CellConditioner
from .config import TrainConfig

if TYPE_CHECKING:
    from .latents import LatentSpace

NULL_LABEL = len(LABELS)
"""The class id that means "no label": what guidance is measured against."""
_GROUPS = 16


class Denoiser(nn.Module):
    """The U-Net and what tells it of class, acquisition and jitter, trained as one.

    It denoises pixels, or latents of a space.
    """

    def __init__(
        self, unet: Any, conditioner: CellConditioner, space: LatentSpace | None = None
    ) -> None:
        super().__init__()
        self.unet, self.conditioner, self.space = unet, conditioner, space

    def forward(
        self, scaled_BCHW: Tensor, noise_B: Tensor, labels_B: Tensor, acquisitions_B: Tensor,
        augment_BA: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the network's raw output F, of the input's shape; `noise_B` is c_noise."""
        told = self.conditioner(labels_B, acquisitions_B, augment_BA)
        output: Tensor = self.unet(scaled_BCHW, noise_B, told, return_dict=False)[0]
        return output


def build_denoiser(
    config: TrainConfig, acquisitions: int = 1, space: LatentSpace | None = None
) -> Denoiser:
    """Return an untrained denoiser for the vocabulary's classes and so many acquisitions.

    Where the space comes with a pretrained U-Net, that is what it begins with.
    """
    if space is not None and space.base is not None:
        from .stable_diffusion import build_fine_tuned

        return build_fine_tuned(config, acquisitions, space)
    width = config.channels[0] * 4  # the width of diffusers' time embedding
    conditioner = CellConditioner(
        labels=len(LABELS),
        acquisitions=acquisitions,
        augmentations=len(JITTER_COLUMNS) if config.augment else 0,
        width=width,
    )
    return Denoiser(build_unet(config, space), conditioner, space)


def build_unet(config: TrainConfig, space: LatentSpace | None = None) -> Any:
    """Return an untrained `UNet2DModel` that takes the conditioner's vector as its class label."""
    from diffusers import UNet2DModel

    depth = len(config.channels)
    down = ["DownBlock2D"] * depth
    up = ["UpBlock2D"] * depth
    if config.attention:
        # Only at the lowest resolution: there it is cheap, and whole cells fit into its view.
        down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
    channels = (3 if space is None else len(space.shift)) * config.patch**2
    factor = config.patch * (1 if space is None else space.factor)
    unet = UNet2DModel(
        sample_size=config.side // factor,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=config.channels,
        layers_per_block=config.layers_per_block,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        norm_num_groups=_GROUPS,
        attention_head_dim=32,
        dropout=config.dropout,
        class_embed_type="identity",
        add_attention=config.attention,
    )
    # From nothing: the first prediction is the mean, and no first step is wild.
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def parameters_of(config: TrainConfig) -> int:
    """Return how many parameters a denoiser has, without making them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_denoiser(config).parameters())


def placed(network: Denoiser, device: torch.device) -> Denoiser:
    """Return the network on a device, in channels last.

    That order is a quarter faster on a CPU, and what an accelerator's kernels expect.
    """
    network.to(device)
    network.to(memory_format=torch.channels_last)
    return network


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
