"""Latents: what a pretrained autoencoder makes of images, drawn in instead of in pixels.

A split is encoded once. An autoencoder is not equivariant, so each of the 8 orientations of an
image is encoded by itself; mean and spread are kept, and each step samples between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from curation.errors import GeneratorError
from curation.progress import Progress

from .augment_jitter import JITTER_COLUMNS
from .config import TrainConfig
from .pretrained import load_pretrained, read_configuration
from .training_pixels import Batch, BatchSource, TrainingPixels, oriented

LATENTS_NAME, HELD_OUT_NAME = "latents.npy", "latents-held-out.npy"
_TURNS = 8
_IMAGES = 16


@dataclass(frozen=True, slots=True)
class LatentSpace:
    """An autoencoder, and by channel what is taken from its latents and what they are times then.

    `base` is the pretrained U-Net that training begins with, or None.
    """

    vae: Any
    shift: tuple[float, ...]
    scale: tuple[float, ...]
    base: Any = None

    @property
    def factor(self) -> int:
        """px of an image on each side of one latent."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def scaled(self, raw_BCHW: Tensor) -> Tensor:
        """Return latents of the autoencoder as the network sees them."""
        shift, scale = (
            torch.tensor(row, device=raw_BCHW.device).view(1, -1, 1, 1)
            for row in (self.shift, self.scale)
        )
        return (raw_BCHW - shift) * scale


@dataclass(frozen=True, slots=True)
class Latents:
    """A split in a space: mean and spread of each latent, (n, orientations, 2 c, h, w) float16."""

    space: LatentSpace
    moments: NDArray[np.float16]

    def of(self, rows: NDArray[np.bool_]) -> Latents:
        """Return the latents of some images."""
        return replace(self, moments=self.moments[rows])

    def means(self, rows: Any) -> Tensor:
        """Return what images are upright, as the network sees it, (b, c, h, w) float32."""
        mean_BCHW, _ = _parts(self.moments[rows, 0])
        return self.space.scaled(mean_BCHW)


def load_autoencoder(folder: Path, side: int, device: torch.device) -> Any:
    """Return a pretrained `AutoencoderKL`, frozen.

    Raises: GeneratorError where it does not divide the side.
    """
    from diffusers import AutoencoderKL

    factor = 2 ** (len(read_configuration(folder).get("block_out_channels", ())) - 1)
    if side % factor:
        raise GeneratorError(
            f"the autoencoder makes one latent of {factor} px, which {side} px are no multiple of. "
            f"Next: give `side: {side // factor * factor or factor}` in --config"
        )
    vae = load_pretrained(AutoencoderKL, folder)
    return vae.eval().requires_grad_(False).to(device)


def encode_split(
    pixels: TrainingPixels, vae: Any, path: Path, turns: int, progress: Progress
) -> NDArray[np.float16]:
    """Encode images in so many orientations into a mapped file, or take up the one there.

    Returns `Latents.moments`, not scaled.
    """
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        _encode(pixels.images, vae, temporary, turns, progress)
        temporary.replace(path)
    moments: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return moments


@torch.no_grad()
def _encode(
    images: NDArray[np.uint8], vae: Any, path: Path, turns: int, progress: Progress
) -> None:
    moments: np.memmap[Any, np.dtype[np.float16]] | None = None
    for start in range(0, len(images), _IMAGES):
        progress("encode", start, len(images))
        rows = torch.from_numpy(np.array(images[start : start + _IMAGES])).to(vae.device)
        x_BCHW = rows.permute(0, 3, 1, 2).float() / 127.5 - 1
        for turn in range(turns):
            turned = oriented(x_BCHW, torch.full((len(x_BCHW),), turn, device=vae.device))
            found = vae.encode(turned).latent_dist
            both = torch.cat([found.mean, found.std], dim=1).cpu().numpy()
            if moments is None:
                shape = (len(images), turns, *both.shape[1:])
                moments = np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape)
            moments[start : start + len(both), turn] = both
    assert moments is not None, "no image to encode"
    moments.flush()
    progress("encode", len(images), len(images))


def measured_space(moments: NDArray[np.float16], vae: Any, sigma_data: float) -> LatentSpace:
    """Return the space in which each channel has mean 0 and spread `sigma_data`.

    Source: EDM2 (arXiv 2312.02696), appendix D.
    """
    channels = moments.shape[2] // 2
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(moments), 256):
        some = moments[start : start + 256].astype(np.float64)
        mean, std = some[:, :, :channels], some[:, :, channels:]
        total += mean.sum(axis=(0, 1, 3, 4))
        # What is sampled varies by the spread as well.
        squares += (mean**2 + std**2).sum(axis=(0, 1, 3, 4))
        count += mean[:, :, 0].size
    shift = total / count
    spread = np.sqrt(squares / count - shift**2)
    if not np.all(np.isfinite(spread) & (spread > 0)):
        raise GeneratorError(
            "the autoencoder makes the same latents of all images, or no numbers. Next: look at "
            "what it decodes them to, or give another --autoencoder"
        )
    return LatentSpace(vae, tuple(shift.tolist()), tuple((sigma_data / spread).tolist()))


def own_space(vae: Any) -> LatentSpace:
    """Return the space of the autoencoder's own scaling factor."""
    channels = int(vae.config.latent_channels)
    shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
    return LatentSpace(vae, (shift,) * channels, (float(vae.config.scaling_factor),) * channels)


def with_latents(
    pixels: TrainingPixels, space: LatentSpace, moments: NDArray[np.float16]
) -> TrainingPixels:
    """Return a split that is drawn from in latents; its pixels stay to compare with."""
    return replace(pixels, latents=Latents(space, moments))


class LatentSource(BatchSource):
    """Draws training batches in latents: the same rows in the same orientations as in pixels."""

    def __init__(self, pixels: TrainingPixels, config: TrainConfig, device: torch.device) -> None:
        self.pixels, self.config, self.device = pixels, config, device
        self.cumulative = np.cumsum(pixels.weights(config.class_balance))
        self.stored = None
        if config.augment:
            raise GeneratorError(
                "jitter cannot be drawn in latents. Next: give `augment: 0` in --config"
            )

    def draw(self, step: int, part: slice = slice(None)) -> Batch:
        """Return a step's batch, or a part of it; see `BatchSource.draw`."""
        latents, config = self.pixels.latents, self.config
        assert latents is not None, "these pixels have no latents"
        rng = np.random.default_rng((config.seed, step))
        rows = np.searchsorted(self.cumulative, rng.random(config.batch) * self.cumulative[-1])
        turns = rng.integers(0, _TURNS, config.batch)
        channels = latents.moments.shape[2] // 2
        shape = (config.batch, channels, *latents.moments.shape[3:])
        between = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)[part])
        rows, turns = rows[part], turns[part]
        mean_BCHW, std_BCHW = _parts(latents.moments[rows, turns])
        x_BCHW = latents.space.scaled((mean_BCHW + std_BCHW * between).to(self.device))
        return Batch(
            pixel_unshuffle(x_BCHW, config.patch),
            torch.from_numpy(self.pixels.class_ids[rows]).to(self.device),
            torch.from_numpy(self.pixels.acquisition_ids[rows]).to(self.device),
            torch.zeros(len(rows), len(JITTER_COLUMNS), device=self.device),
        )


def batch_source(pixels: TrainingPixels, config: TrainConfig, device: torch.device) -> BatchSource:
    """Return what draws batches of a split, in latents where it has any."""
    source = BatchSource if pixels.latents is None else LatentSource
    return source(pixels, config, device)


def _parts(moments: NDArray[np.float16]) -> Sequence[Tensor]:
    return torch.from_numpy(moments.astype(np.float32)).chunk(2, dim=1)
