"""Jitter of scale and colour, of which the network is told: so it cannot leak into samples.

Source: Karras et al., Training Generative Adversarial Networks with Limited Data (NeurIPS 2020),
and EDM (arXiv 2206.00364), appendix F.2: augmentation as a condition that is zero when sampling.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

JITTER_COLUMNS = ("zoom", "brightness", "contrast", "saturation")
"""What the network is told, each about in [-2, 2] and 0 where nothing was done."""

_ZOOM, _BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.1, 0.2, 0.4
_GREY = (0.299, 0.587, 0.114)


def draw_jitter(count: int, chance: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how each image is jittered, (count, 4) float32; each jitter happens by `chance`."""
    strength = rng.standard_normal((count, len(JITTER_COLUMNS))).clip(-2, 2)
    # Only inwards: outwards there are no pixels.
    strength[:, 0] = np.abs(strength[:, 0])
    happens = rng.random(strength.shape) < chance
    return np.where(happens, strength, 0).astype(np.float32)


def jittered(x_BCHW: Tensor, jitter_BA: Tensor) -> Tensor:
    """Return images (b, 3, s, s) in [-1, 1] jittered as told; rows of zeros are not touched."""
    touched = jitter_BA.any(dim=1)
    if not bool(touched.any()):
        return x_BCHW
    x, how = x_BCHW[touched], jitter_BA[touched]
    out = x_BCHW.clone()
    out[touched] = _coloured(_zoomed(x, how[:, 0]), how).clamp(-1, 1)
    return out


def _zoomed(x_BCHW: Tensor, zoom_B: Tensor) -> Tensor:
    if not bool(zoom_B.any()):
        return x_BCHW
    scale = torch.exp(-_ZOOM * zoom_B)
    matrix = torch.zeros(len(x_BCHW), 2, 3, device=x_BCHW.device, dtype=x_BCHW.dtype)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    grid = affine_grid(matrix, list(x_BCHW.shape), align_corners=False)
    return grid_sample(x_BCHW, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def _coloured(x_BCHW: Tensor, how_BA: Tensor) -> Tensor:
    brightness, contrast, saturation = (how_BA[:, i].view(-1, 1, 1, 1) for i in (1, 2, 3))
    weights = torch.tensor(_GREY, device=x_BCHW.device, dtype=x_BCHW.dtype).view(1, 3, 1, 1)
    grey = (x_BCHW * weights).sum(dim=1, keepdim=True)
    x = grey + (x_BCHW - grey) * torch.exp(_SATURATION * saturation)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - middle) * torch.exp(_CONTRAST * contrast) + middle + _BRIGHTNESS * brightness
