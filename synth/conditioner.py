"""What the network is told of an image. It travels in every generator folder: no smearkit here."""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class CellConditioner(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Turns class, acquisition and jitter of an image into one vector of the network's width.

    The id after the last class means "no label", the one after the last acquisition "not told".
    Their vectors are summed, so a class seen in one acquisition can be drawn in another's style.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, labels: int = 1, acquisitions: int = 1, augmentations: int = 0, width: int = 128
    ) -> None:
        super().__init__()
        self.label = nn.Embedding(labels + 1, width)
        self.acquisition = nn.Embedding(acquisitions + 1, width)
        # Without a bias: an image that was not jittered adds nothing, and so do samples.
        self.augment = nn.Linear(augmentations, width, bias=False) if augmentations else None
        for table in (self.label, self.acquisition):
            nn.init.normal_(table.weight, std=width**-0.5)

    @property
    def no_label(self) -> int:
        """The id that means "no label": what guidance is measured against."""
        return int(self.config.labels)

    @property
    def no_acquisition(self) -> int:
        """The id that means "acquisition not told"."""
        return int(self.config.acquisitions)

    def forward(
        self, labels_B: Tensor, acquisitions_B: Tensor, augment_BA: Tensor | None = None
    ) -> Tensor:
        """Return (b, width) float32 from ids (b,) int64 and jitters (b, augmentations) float32."""
        told: Tensor = self.label(labels_B) + self.acquisition(acquisitions_B)
        if augment_BA is not None and self.augment is not None:
            told = told + self.augment(augment_BA.to(told.dtype))
        return told
