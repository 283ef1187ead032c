"""Small square pictures of cells: what duplicates, checks and acquisitions are measured on."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels

TILE_PX = 96
"""Side of a tile; the longer side of the image fills it."""

Tile = NDArray[np.uint8]
"""(96, 96, 3) RGB, uint8 in [0, 255]."""


def shrink(pixels: Pixels) -> Tile:
    """Return the tile of an image (h, w, 3) or (h, w) uint8: one scale for both axes, centred.

    What a shorter side leaves free repeats the edge, so that no border appears that the image
    does not have. Grey is repeated over the channels.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = TILE_PX / max(height, width)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    # Averaging over areas keeps fine grain from becoming false structure; it cannot enlarge.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = pixels if scale == 1 else cv2.resize(pixels, (across, down), interpolation=how)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    if across == down == TILE_PX:
        return cast(Tile, small)
    left, top = (TILE_PX - across) // 2, (TILE_PX - down) // 2
    return cast(
        Tile,
        cv2.copyMakeBorder(
            small, top, TILE_PX - down - top, left, TILE_PX - across - left, cv2.BORDER_REPLICATE
        ),
    )
