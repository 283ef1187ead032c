"""What is kept of each usable cell as it passes by, until its chunk is measured as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels, ReleasedImage
from .tiles import Tile, shrink


@dataclass(frozen=True, slots=True)
class Glance:
    """One released cell in small; `width` and `height` in px are those of the released image."""

    tile: Tile
    width: int
    height: int
    codec: str


@dataclass(frozen=True, slots=True)
class Glances:
    """The cells of a chunk side by side.

    `tiles_NHWC` is uint8 (n, 96, 96, 3) RGB; `sizes` int32 (n, 2), width and height in px.
    """

    tiles_NHWC: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    codecs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tiles_NHWC)


def glance(image: ReleasedImage, planes: Sequence[Pixels] | None = None) -> Glance:
    """Return a released image in small; `planes` are its `channels`, if they are there already."""
    return Glance(shrink(image.pixels, planes), image.width, image.height, image.codec)


def side_by_side(glances: Sequence[Glance]) -> Glances:
    """Return the cells of a chunk as arrays; at least one."""
    return Glances(
        np.stack([one.tile for one in glances]),
        np.array([(one.width, one.height) for one in glances], np.int32),
        tuple(one.codec for one in glances),
    )
