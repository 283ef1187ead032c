"""The sampling pipeline. It travels inside every generator folder, so it imports no smearkit.

    pipeline = DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True)
    images = pipeline(["basophil", "monocyte"], seeds=[0, 1]).images

Noise comes from one random generator per image, so an image depends on its label, its seed, the
steps and the guidance, and not on the batch it was drawn in; see `draw` for how exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from PIL import Image
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle


class CellDiffusionPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draws blood cells of named classes.

    `labels` maps class names to the network's class ids; `trained` names the classes that the
    network saw; `own_acquisitions` the share of each class' cells in each acquisition (one
    microscope, one stain); `side` is in px; `patch` px per side are folded into channels;
    `guided` tells whether labels were dropped in training. With a `vae` it draws that
    autoencoder's latents, times `latent_scale` after `latent_shift` was taken off, and decodes.
    """

    _optional_components: ClassVar[list[str]] = ["vae"]

    # Defaults only because diffusers takes a parameter without one for a module to load.

    def __init__(
        self,
        unet: Any,
        conditioner: Any,
        scheduler: Any,
        labels: Sequence[str] = (),
        trained: Sequence[str] = (),
        own_acquisitions: Mapping[str, Sequence[float]] | None = None,
        side: int = 64,
        patch: int = 2,
        guided: bool = True,
        vae: Any = None,
        latent_shift: Sequence[float] = (),
        latent_scale: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, conditioner=conditioner, scheduler=scheduler, vae=vae)
        self.register_to_config(
            labels=list(labels), trained=list(trained), side=side, patch=patch, guided=guided,
            own_acquisitions={k: list(v) for k, v in (own_acquisitions or {}).items()},
            latent_shift=list(latent_shift), latent_scale=list(latent_scale),
        )  # fmt: skip

    @torch.no_grad()
    def __call__(
        self,
        labels: Sequence[str],
        seeds: Sequence[int] | None = None,
        num_inference_steps: int = 18,
        guidance_scale: float = 1.5,
        guidance_interval: tuple[float, float] | None = None,
        acquisition: int | None = None,
        guide: CellDiffusionPipeline | None = None,
        output_type: str = "pil",
    ) -> Any:
        """Draw one image per label; `output_type` is "pil", or "np" for (n, h, w, 3) uint8.

        Guidance acts between two noise levels if they are given. Without an acquisition, each
        cell comes in one of those that its class was seen in. A `guide` is another pipeline, of
        a weaker generator: guidance then goes away from its prediction.

        Raises: ValueError for a class the network never saw, an acquisition it does not know, a
        wrong number of seeds, or a guide that does not fit.
        """
        seeds = list(range(len(labels))) if seeds is None else list(seeds)
        pixels = self.draw(
            labels,
            seeds,
            num_inference_steps,
            guidance_scale,
            guidance_interval,
            acquisition,
            guide,
        )
        images = pixels if output_type == "np" else [Image.fromarray(image) for image in pixels]
        return ImagePipelineOutput(images=images)

    @torch.no_grad()
    def draw(
        self,
        labels: Sequence[str],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        interval: tuple[float, float] | None = None,
        acquisition: int | None = None,
        guide: CellDiffusionPipeline | None = None,
    ) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Draw one image per label and seed; returns (n, side, side, 3) uint8 RGB.

        With a stochastic scheduler, the noise of every step comes from the image's own generator,
        after its first noise. Noise is bit-equal in every batch; an image may differ by 2 of 255
        levels from the one of another batch (worst of 32 cells of a barely trained network; 1 in
        200 cells of a better one; batches of 1, 3 and 32, bfloat16 on a CPU).

        Source: guidance by a weaker network: Karras et al., Guiding a Diffusion Model with a Bad
        Version of Itself, NeurIPS 2024 (arXiv 2406.02507), eq. 5; in an interval of noise levels:
        Kynkäänniemi et al., NeurIPS 2024 (arXiv 2404.07724).
        """
        self._check(labels, seeds, guidance, guide)
        acquisitions = self.acquisitions_of(labels, seeds, acquisition)
        told = self._told(labels, acquisitions)
        against = (
            self._told(None, acquisitions) if guide is None else guide._told(labels, acquisitions)
        )
        scheduler = self.scheduler
        scheduler.set_timesteps(steps)
        low, high = interval or (0.0, float("inf"))
        # On the CPU whatever the device, so that a seed means the same image everywhere.
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        x_BCHW = self._noise(generators) * scheduler.init_noise_sigma
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
        for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
            strength = guidance if low <= float(sigma) <= high else 1.0
            scaled = scheduler.scale_model_input(x_BCHW, timestep)
            output = self._predict(scaled, timestep, told, against, strength, guide)
            x_BCHW = scheduler.step(output, timestep, x_BCHW, generator=generators).prev_sample
        pixels = self._decoded(pixel_shuffle(x_BCHW, self.config.patch))
        levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    def refusal_of_guide(self, guide: CellDiffusionPipeline) -> str | None:
        """Return why another pipeline cannot guide this one, or None where it can."""
        ours, theirs = self.config, guide.config
        # Its prediction stands for the same pixels only if these agree; folding is undone.
        if theirs.side != ours.side:
            return f"it draws {theirs.side} px and this generator {ours.side} px"
        if list(theirs.labels) != list(ours.labels):
            return "its class ids mean other labels"
        never = sorted(set(ours.trained) - set(theirs.trained))
        if never:
            return f"it was never trained on {', '.join(never)}"
        known, knows = self.conditioner.no_acquisition, guide.conditioner.no_acquisition
        if knows != known:
            return f"it knows {knows} acquisitions and this generator {known}"
        latents = [(one.config.latent_shift, one.config.latent_scale) for one in (self, guide)]
        if (self.vae is None) != (guide.vae is None) or latents[0] != latents[1]:
            return "it does not draw in the same latents or pixels"
        data = guide.scheduler.config.sigma_data, self.scheduler.config.sigma_data
        if data[0] != data[1]:
            return f"its sigma_data is {data[0]} and that of this generator {data[1]}"
        return None

    def _check(
        self,
        labels: Sequence[str],
        seeds: Sequence[int],
        guidance: float,
        guide: CellDiffusionPipeline | None,
    ) -> None:
        if len(labels) != len(seeds):
            raise ValueError(f"{len(labels)} labels, but {len(seeds)} seeds")
        never = sorted(set(labels) - set(self.config.trained))
        if never:
            raise ValueError(
                f"never trained on {', '.join(never)}; trained on {', '.join(self.config.trained)}"
            )
        refusal = self.refusal_of_guide(guide) if guide is not None else None
        if refusal:
            raise ValueError(f"the guide does not fit: {refusal}")
        if guidance != 1 and guide is None and not self.config.guided:
            raise ValueError(
                "trained without label dropout, so there is nothing to guide against; "
                "use a guidance of 1, or a guide"
            )

    def acquisitions_of(
        self, labels: Sequence[str], seeds: Sequence[int], acquisition: int | None
    ) -> Tensor:
        """Return the acquisition that each cell is drawn in, (n,) int64: the one asked for, or its
        own, chosen by its seed among those of its class.

        Raises: ValueError for an acquisition that is not known.
        """
        known = self.conditioner.no_acquisition
        if acquisition is not None:
            if not 0 <= acquisition < known:
                raise ValueError(
                    f"there is no acquisition {acquisition}; known: 0 to {known - 1}. "
                    "Leave it out, and each cell comes in one of its class"
                )
            return torch.full((len(labels),), acquisition, device=self.device)
        chosen = []
        for label, seed in zip(labels, seeds, strict=True):
            shares = self.config.own_acquisitions.get(label) or [1.0]
            # One draw per image from its own seed, so that it does not depend on the batch.
            where = np.random.default_rng((seed, 1)).random() * sum(shares)
            found = int(np.searchsorted(np.cumsum(shares), where, side="right"))
            chosen.append(min(found, len(shares) - 1))
        return torch.tensor(chosen, device=self.device)

    def _told(self, labels: Sequence[str] | None, acquisitions: Tensor) -> Tensor:
        """Return what the network is told of each image, (n, width) float32; None: no label.

        The acquisition stays told without a label: guidance is to make the class clearer, not the
        background.
        """
        if labels is None:
            ids = torch.full_like(acquisitions, self.conditioner.no_label)
        else:
            known = [self.config.labels.index(label) for label in labels]
            ids = torch.tensor(known, device=acquisitions.device)
        told: Tensor = self.conditioner(ids, acquisitions)
        return told

    def _noise(self, generators: Sequence[torch.Generator]) -> Tensor:
        side, channels = self.config.side, 3
        if self.vae is not None:
            side //= 2 ** (len(self.vae.config.block_out_channels) - 1)
            channels = self.vae.config.latent_channels
        noise = [torch.randn(channels, side, side, generator=one) for one in generators]
        return pixel_unshuffle(torch.stack(noise), self.config.patch).to(self.device)

    def _decoded(self, x_BCHW: Tensor) -> Tensor:
        """Return the pixels that latents stand for, (n, 3, side, side) about in [-1, 1]."""
        if self.vae is None:
            return x_BCHW
        shift, scale = (
            torch.tensor(row, device=x_BCHW.device).view(1, -1, 1, 1)
            for row in (self.config.latent_shift, self.config.latent_scale)
        )
        # One at a time: decoding takes far more memory than the latents do.
        raw = torch.split(x_BCHW / scale + shift, 1)
        return torch.cat([self.vae.decode(one, return_dict=False)[0] for one in raw])

    def _predict(
        self,
        x_BCHW: Tensor,
        timestep: Tensor,
        told: Tensor,
        against: Tensor,
        guidance: float,
        guide: CellDiffusionPipeline | None = None,
    ) -> Tensor:
        if guidance == 1:
            return self._network(x_BCHW, timestep, told)
        if guide is None:
            both = self._network(torch.cat([x_BCHW] * 2), timestep, torch.cat([told, against]))
            clear, vague = both.chunk(2)
        else:
            clear = self._network(x_BCHW, timestep, told)
            folded = _refolded(x_BCHW, self.config.patch, guide.config.patch)
            vague = guide._network(folded, timestep, against)
            vague = _refolded(vague, guide.config.patch, self.config.patch)
        return vague + guidance * (clear - vague)

    def _network(self, x_BCHW: Tensor, timestep: Tensor, told: Tensor) -> Tensor:
        # Only what the network computes inside is bfloat16; the image that is drawn stays float32.
        with _autocast(self.device):
            time = timestep.to(self.device)
            output: Tensor = self.unet(x_BCHW, time, told, return_dict=False)[0]
        return output.float()


def _autocast(device: torch.device) -> Any:
    """Return bfloat16 where the device computes it natively, as in training; else nothing."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16) if native else nullcontext()


def _refolded(x_BCHW: Tensor, patch: int, other: int) -> Tensor:
    """Return images folded by `patch` px a side folded by `other` px instead."""
    if patch == other:
        return x_BCHW
    folded = pixel_unshuffle(pixel_shuffle(x_BCHW, patch), other)
    return folded.contiguous(memory_format=torch.channels_last)
