"""The sampling pipeline. It travels inside every generator folder, so it imports no smearkit.

    pipeline = DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True)
    images = pipeline(["basophil", "monocyte"], seeds=[0, 1]).images

Noise comes from one random generator per image, so an image depends on its label, its seed, the
steps and the guidance, and not on the batch it was drawn in.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    `labels` maps class names to the network's class ids, the last id meaning "no label";
    `trained` names the classes that the network saw; `side` is in px; `patch` px per side are
    folded into channels; `guided` tells whether labels were dropped in training.
    """

    # Defaults only because diffusers takes a parameter without one for a module to load.

    def __init__(
        self,
        unet: Any,
        scheduler: Any,
        labels: Sequence[str] = (),
        trained: Sequence[str] = (),
        side: int = 64,
        patch: int = 2,
        guided: bool = True,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(
            labels=list(labels), trained=list(trained), side=side, patch=patch, guided=guided
        )

    @torch.no_grad()
    def __call__(
        self,
        labels: Sequence[str],
        seeds: Sequence[int] | None = None,
        num_inference_steps: int = 18,
        guidance_scale: float = 1.5,
        output_type: str = "pil",
    ) -> Any:
        """Draw one image per label; `output_type` is "pil", or "np" for (n, h, w, 3) uint8.

        Raises: ValueError for a class the network never saw, or a wrong number of seeds.
        """
        seeds = list(range(len(labels))) if seeds is None else list(seeds)
        pixels = self.draw(labels, seeds, num_inference_steps, guidance_scale)
        images = pixels if output_type == "np" else [Image.fromarray(image) for image in pixels]
        return ImagePipelineOutput(images=images)

    @torch.no_grad()
    def draw(
        self, labels: Sequence[str], seeds: Sequence[int], steps: int, guidance: float
    ) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Draw one image per label and seed; returns (n, side, side, 3) uint8 RGB."""
        class_ids = self._class_ids(labels, seeds, guidance)
        scheduler = self.scheduler
        scheduler.set_timesteps(steps)
        x_BCHW = self._noise(seeds) * scheduler.init_noise_sigma
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x_BCHW, timestep)
            output = self._predict(scaled, timestep, class_ids, guidance)
            x_BCHW = scheduler.step(output, timestep, x_BCHW).prev_sample
        pixels = pixel_shuffle(x_BCHW, self.config.patch)
        levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).cpu().numpy()

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

    def _predict(self, x_BCHW: Tensor, timestep: Tensor, ids: Tensor, guidance: float) -> Tensor:
        if guidance == 1:
            return self._network(x_BCHW, timestep, ids)
        null = torch.full_like(ids, len(self.config.labels))
        both = self._network(torch.cat([x_BCHW] * 2), timestep, torch.cat([ids, null]))
        with_label, without = both.chunk(2)
        return without + guidance * (with_label - without)

    def _network(self, x_BCHW: Tensor, timestep: Tensor, ids: Tensor) -> Tensor:
        context: Any = nullcontext()
        if self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported():
            context = torch.autocast(self.device.type, torch.bfloat16)
        with context:
            output: Tensor = self.unet(x_BCHW, timestep.to(self.device), ids, return_dict=False)[0]
        return output.float()
