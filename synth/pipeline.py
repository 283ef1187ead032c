"""The sampling pipeline. It travels inside every generator folder, so it imports no smearkit.

    pipeline = DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True)
    images = pipeline(["basophil", "monocyte"], seeds=[0, 1]).images

Noise comes from one random generator per image, so an image depends on its label, its seed, the
steps and the guidance, and not on the batch it was drawn in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

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
    `guided` tells whether labels were dropped in training.
    """

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
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, conditioner=conditioner, scheduler=scheduler)
        self.register_to_config(
            labels=list(labels), trained=list(trained), side=side, patch=patch, guided=guided,
            own_acquisitions={k: list(v) for k, v in (own_acquisitions or {}).items()},
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
        output_type: str = "pil",
    ) -> Any:
        """Draw one image per label; `output_type` is "pil", or "np" for (n, h, w, 3) uint8.

        Guidance acts between two noise levels if they are given. Without an acquisition, each
        cell comes in one of those that its class was seen in.

        Raises: ValueError for a class the network never saw, an acquisition it does not know, or
        a wrong number of seeds.
        """
        seeds = list(range(len(labels))) if seeds is None else list(seeds)
        pixels = self.draw(
            labels, seeds, num_inference_steps, guidance_scale, guidance_interval, acquisition
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
    ) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Draw one image per label and seed; returns (n, side, side, 3) uint8 RGB."""
        class_ids = self._class_ids(labels, seeds, guidance)
        told, untold = self._conditions(class_ids, self._acquisitions(labels, seeds, acquisition))
        scheduler = self.scheduler
        scheduler.set_timesteps(steps)
        low, high = interval or (0.0, float("inf"))
        x_BCHW = self._noise(seeds) * scheduler.init_noise_sigma
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
        for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
            strength = guidance if low <= float(sigma) <= high else 1.0
            scaled = scheduler.scale_model_input(x_BCHW, timestep)
            output = self._predict(scaled, timestep, told, untold, strength)
            x_BCHW = scheduler.step(output, timestep, x_BCHW).prev_sample
        pixels = pixel_shuffle(x_BCHW, self.config.patch)
        levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

    def _acquisitions(
        self, labels: Sequence[str], seeds: Sequence[int], acquisition: int | None
    ) -> Tensor:
        known = self.conditioner.no_acquisition
        if acquisition is not None:
            if not 0 <= acquisition < known:
                raise ValueError(f"there is no acquisition {acquisition}; known: 0 to {known - 1}")
            return torch.full((len(labels),), acquisition, device=self.device)
        chosen = []
        for label, seed in zip(labels, seeds, strict=True):
            shares = self.config.own_acquisitions.get(label) or [1.0]
            # One draw per image from its own seed, so that it does not depend on the batch.
            where = np.random.default_rng((seed, 1)).random() * sum(shares)
            chosen.append(min(int(np.searchsorted(np.cumsum(shares), where)), len(shares) - 1))
        return torch.tensor(chosen, device=self.device)

    def _conditions(self, class_ids: Tensor, acquisitions: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network is told of each image, with its label and without."""
        no_label = torch.full_like(class_ids, self.conditioner.no_label)
        # The acquisition stays told: guidance is to make the class clearer, not the background.
        return self.conditioner(class_ids, acquisitions), self.conditioner(no_label, acquisitions)

    def _class_ids(self, labels: Sequence[str], seeds: Sequence[int], guidance: float) -> Tensor:
        if len(labels) != len(seeds):
            raise ValueError(f"{len(labels)} labels, but {len(seeds)} seeds")
        never = sorted(set(labels) - set(self.config.trained))
        if never:
            raise ValueError(
                f"never trained on {', '.join(never)}; trained on {', '.join(self.config.trained)}"
            )
        if guidance != 1 and not self.config.guided:
            raise ValueError(
                "trained without label dropout, so there is nothing to guide against; "
                "use a guidance of 1"
            )
        ids = [self.config.labels.index(label) for label in labels]
        return torch.tensor(ids, device=self.device)

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        side = self.config.side
        noise = [
            # On the CPU whatever the device, so that a seed means the same image everywhere.
            torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        return pixel_unshuffle(torch.stack(noise), self.config.patch).to(self.device)

    def _predict(
        self, x_BCHW: Tensor, timestep: Tensor, told: Tensor, untold: Tensor, guidance: float
    ) -> Tensor:
        if guidance == 1:
            return self._network(x_BCHW, timestep, told)
        both = self._network(torch.cat([x_BCHW] * 2), timestep, torch.cat([told, untold]))
        with_label, without = both.chunk(2)
        return without + guidance * (with_label - without)

    def _network(self, x_BCHW: Tensor, timestep: Tensor, told: Tensor) -> Tensor:
        context: Any = nullcontext()
        if self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
            context = torch.autocast(self.device.type, torch.bfloat16)
        with context:
            time = timestep.to(self.device)
            output: Tensor = self.unet(x_BCHW, time, told, return_dict=False)[0]
        return output.float()
