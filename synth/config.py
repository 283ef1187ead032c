"""What a training or a sampling run is told: frozen models, and the presets as one table."""

from __future__ import annotations

from pydantic import Field

from curation.errors import GeneratorError
from curation.manifest import Frozen, View


class TrainConfig(Frozen):
    """Everything that decides what `train` makes of a corpus."""

    preset: str
    side: int = Field(description="px of the square images drawn")
    crop: float = Field(description="central share of the shorter side that is drawn")
    patch: int = Field(description="px per side folded into channels before the network")
    channels: tuple[int, ...]
    layers_per_block: int = 1
    attention: bool = True
    dropout: float = 0.1
    images: int = Field(gt=0, description="images to see; one epoch is the training split's rows")
    minutes: float | None = Field(default=None, gt=0, description="stop after so long, if sooner")
    batch: int = Field(default=32, gt=0)
    learning_rate: float = 8e-4
    warmup_images: int = 2_000
    ema_decay: float = 0.999
    label_dropout: float = 0.12
    class_balance: float = Field(
        default=0.5, description="0: classes as frequent as in the data; 1: all equally frequent"
    )
    sigma_data: float = 0.5
    p_mean: float = -1.2
    p_std: float = 1.2
    gradient_clip: float = 1.0
    seed: int = 0

    def view(self) -> View:
        """Return the part of a cell image that is drawn."""
        return View(side=self.side, crop=self.crop)


#                 px  share fold  width of each level   images seen
PRESETS: dict[str, TrainConfig] = {
    "smoke": TrainConfig(
        preset="smoke", side=16, crop=1.0, patch=1, channels=(32, 64), attention=False,
        images=2_000, batch=16, warmup_images=200, ema_decay=0.98, learning_rate=2e-3,
    ),
    "demo": TrainConfig(
        preset="demo", side=32, crop=0.9, patch=2, channels=(48, 96), images=60_000, minutes=5.0,
        batch=16, warmup_images=800, learning_rate=1e-3, dropout=0.0,
    ),
    # Folding 2x2 px into channels makes the same network almost three times as fast on a CPU, and
    # small batches make more steps of the few images that a CPU can show it.
    "cpu-64": TrainConfig(
        preset="cpu-64", side=64, crop=2 / 3, patch=2, channels=(32, 64, 128),
        images=200_000, batch=16, warmup_images=1_600,
    ),
}  # fmt: skip


class SampleConfig(Frozen):
    """How images are drawn."""

    steps: int = Field(default=18, gt=0)
    guidance: float = 1.5
    batch: int = Field(default=32, gt=0)
    seed: int = 0


def preset(name: str) -> TrainConfig:
    """Return a preset by name.

    Raises: GeneratorError.
    """
    if name not in PRESETS:
        raise GeneratorError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
