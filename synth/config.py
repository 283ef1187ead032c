"""What a training or a sampling run is told: frozen models, and the presets as one table."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from curation.errors import GeneratorError
from curation.manifest import Frozen, View

from .pretrained import WeightsOrigin


class LatentConfig(Frozen):
    """What is told of a generator that draws in the latents of a pretrained autoencoder."""

    scale: Literal["measured", "own"] = Field(
        description="latents are scaled to sigma_data by channel, or by the autoencoder's factor"
    )
    fine_tunes: bool = Field(default=False, description="begins with a Stable Diffusion U-Net")
    tokens: int = Field(default=8, gt=0, description="tokens that tell that U-Net of a cell")
    lora: int = Field(default=0, ge=0, description="rank of the adapter trained; 0: all weights")
    sigma_range: tuple[float, float] | None = Field(
        default=None, description="noise levels that the U-Net knows"
    )
    autoencoder: WeightsOrigin | None = Field(default=None, description="noted by training")
    base: WeightsOrigin | None = Field(default=None, description="noted by training")


class TrainConfig(Frozen):
    """Everything that decides what `train` makes of a corpus."""

    preset: str
    # What is drawn.
    side: int = Field(description="px of the square images drawn")
    crop: float = Field(description="central share of the shorter side that is drawn")
    # The network.
    patch: int = Field(description="px per side folded into channels before the network")
    channels: tuple[int, ...]
    layers_per_block: int = 1
    attention: bool = True
    dropout: float = 0.1
    # How long, in what steps.
    images: int = Field(gt=0, description="images to see; one epoch is the training split's rows")
    minutes: float | None = Field(default=None, gt=0, description="stop after so long, if sooner")
    batch: int = Field(default=32, gt=0)
    learning_rate: float = 8e-4
    warmup_images: int = 2_000
    decay_share: float = Field(
        default=1 / 3, ge=0, le=1, description="last share of the run, in which the rate falls to 0"
    )
    gradient_clip: float = 1.0
    # What it is told of an image, and how often it is not told.
    label_dropout: float = Field(default=0.12, ge=0, lt=1)
    acquisitions: bool = Field(
        default=False, description="learn the acquisition of a cell as a second condition"
    )
    acquisition_dropout: float = Field(default=0.12, ge=0, lt=1)
    class_balance: float = Field(
        default=0.5, description="0: classes as frequent as in the data; 1: all equally frequent"
    )
    augment: float = Field(
        default=0.0, ge=0, le=1,
        description="chance of each jitter of scale and colour; the network is told which",
    )  # fmt: skip
    # The diffusion: EDM, table 1.
    sigma_data: float = 0.5
    p_mean: float = -1.2
    p_std: float = 1.2
    # Averages of the weights.
    ema_tracked: tuple[float, float] = Field(
        default=(0.05, 0.20), description="relative widths of the two averages kept in training"
    )
    ema_tried: tuple[float, ...] = Field(
        default=(0.02, 0.05, 0.10, 0.15, 0.20),
        description="relative widths that are tried at the end",
    )
    snapshots: int = Field(default=12, ge=2, description="of the averages, over the whole run")
    # Looks at what it draws, while it trains.
    look_images: int = Field(default=20_000, gt=0, description="images between two looks")
    look_cells: int = Field(default=64, ge=0, description="cells drawn at a look; 0: no looks")
    patience: int = Field(default=4, ge=1, description="looks without a gain before it stops")
    choose_cells: int = Field(
        default=192, ge=8, description="cells drawn with each average to choose one by KID"
    )
    compile: Literal["auto", "on", "off"] = Field(
        default="auto", description="torch.compile; auto: on accelerators"
    )
    seed: int = 0
    latent: LatentConfig | None = Field(default=None, description="None: it draws pixels")

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A run on pixels that began before there were latents is the same run, and goes on.
        content: dict[str, Any] = write(self)
        if self.latent is None:
            del content["latent"]
        return content

    def view(self) -> View:
        """Return the part of a cell image that is drawn."""
        return View(side=self.side, crop=self.crop)


#                 px  share fold  width of each level   images seen
PRESETS: dict[str, TrainConfig] = {
    "smoke": TrainConfig(
        preset="smoke", side=16, crop=1.0, patch=1, channels=(32, 64), attention=False,
        images=2_000, batch=16, warmup_images=200, learning_rate=2e-3, look_cells=0,
        ema_tried=(0.10,), snapshots=4,
    ),
    "demo": TrainConfig(
        preset="demo", side=32, crop=0.9, patch=2, channels=(48, 96), images=60_000, minutes=5.0,
        batch=16, warmup_images=800, learning_rate=1e-3, dropout=0.0, look_cells=0,
        ema_tried=(0.10,), snapshots=6,
    ),
    # Folding 2x2 px into channels makes the same network almost three times as fast on a CPU, and
    # small batches make more steps of the few images that a CPU can show it.
    "cpu-64": TrainConfig(
        preset="cpu-64", side=64, crop=2 / 3, patch=2, channels=(48, 96, 160),
        images=190_000, batch=16, warmup_images=1_600, dropout=0.0, acquisitions=True,
        look_images=40_000, ema_tried=(0.05, 0.10, 0.15), snapshots=16,
    ),
    # As large as its weights in bfloat16 can be carried: see scripts/gpu/README.md.
    "gpu-64": TrainConfig(
        preset="gpu-64", side=64, crop=2 / 3, patch=2, channels=(128, 192, 256),
        images=8_000_000, batch=256, learning_rate=4e-4,
        warmup_images=250_000, dropout=0.2, augment=0.15, acquisitions=True,
        look_images=400_000, look_cells=256, snapshots=24,
    ),
    "gpu-128": TrainConfig(
        preset="gpu-128", side=128, crop=2 / 3, patch=2, channels=(64, 128, 192, 256),
        images=8_000_000, batch=256, learning_rate=4e-4,
        warmup_images=250_000, dropout=0.2, augment=0.15, acquisitions=True,
        look_images=400_000, look_cells=256, snapshots=24,
    ),
    # Noise levels as in EDM2 (arXiv 2312.02696), table 6. Jitter is off: it would have to be drawn
    # before encoding.
    "gpu-256": TrainConfig(
        preset="gpu-256", side=256, crop=2 / 3, patch=1, channels=(128, 256, 384),
        layers_per_block=2, images=8_000_000, batch=256, learning_rate=4e-4,
        warmup_images=250_000, dropout=0.1, acquisitions=True, p_mean=-0.4, p_std=1.0,
        look_images=400_000, look_cells=128, snapshots=24, latent=LatentConfig(scale="measured"),
    ),
    # The U-Net comes with its own channels and dropout. Latents of its own scale have twice the
    # spread, and so have the noise levels (log 2 more); every snapshot is 3.4 GB.
    "sd15": TrainConfig(
        preset="sd15", side=256, crop=2 / 3, patch=1, channels=(320, 640, 1280, 1280),
        layers_per_block=2, images=640_000, batch=64, learning_rate=1e-5, warmup_images=32_000,
        dropout=0.0, acquisitions=True, sigma_data=1.0, p_mean=0.3, p_std=1.2,
        ema_tried=(0.05, 0.10), snapshots=6, look_images=64_000, look_cells=64,
        latent=LatentConfig(scale="own", fine_tunes=True, sigma_range=(0.02917, 14.6146)),
    ),
}  # fmt: skip


class SampleConfig(Frozen):
    """How images are drawn."""

    steps: int = Field(default=18, gt=0)
    guidance: float = 1.5
    guidance_interval: tuple[float, float] | None = Field(
        default=None, description="noise levels (low, high) between which guidance acts"
    )
    acquisition: int | Literal["own"] = Field(
        default="own", description="style of a cell: that of its class, or one acquisition for all"
    )
    batch: int = Field(default=32, gt=0)
    seed: int = 0


def preset(name: str) -> TrainConfig:
    """Return a preset by name.

    Raises: GeneratorError.
    """
    if name not in PRESETS:
        raise GeneratorError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
