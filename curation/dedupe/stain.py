"""Where a tile is stained: the nucleus stands out, whatever the light and the colour cast."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..tiles import Tile

Plane = NDArray[np.float32]

_BLUR_PX = 1.5
_BACKGROUND, _DARKEST = 0.80, 0.02  # quantiles of green: most of a picture is background
_WHITE, _BLACK = 254, 1
_DARK = 64.0  # grey levels
_FEWEST = 32  # pixels of picture: a tile of filling alone has no background
_MIN_RANGE = 8.0  # grey levels: of an empty picture, noise must not become structure


def stain_map(tile: Tile, filled: NDArray[np.bool_] | None = None) -> Plane:
    """Return how strongly each pixel is stained, float32 (96, 96) in [0, 1].

    Green, which the purple of nuclei absorbs most, between the tile's background and its darkest
    place: a change of brightness, contrast or colour cast moves both. `filled` is `fill` of it.
    """
    import cv2

    channel = np.asarray(cv2.extractChannel(tile, 1)).astype(np.float32)
    green = cast(Plane, cv2.GaussianBlur(channel, (0, 0), _BLUR_PX))
    filled = fill(tile) if filled is None else filled
    sample = green[::2, ::2]
    if filled.any():
        # White filling may be the background; black filling would be the darkest place.
        sample = sample[~(filled & (green < _DARK))[::2, ::2]]
    ranked = np.sort(sample, axis=None)
    if len(ranked) < _FEWEST:
        return np.zeros_like(green)
    background = ranked[int(_BACKGROUND * len(ranked))]
    darkest = ranked[int(_DARKEST * len(ranked))]
    spread = max(float(background - darkest), _MIN_RANGE)
    stain = np.clip((background - green) / spread, 0, 1)
    stain[filled] = 0
    return cast(Plane, stain)


def fill(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a picture (h, w, 3) or (h, w) is filling and not picture: pure white or black.

    Masked cells and the corners of turned pictures are full of it; it must count neither as
    background nor as agreement. What touches it is partly filling, too.
    """
    import cv2

    channels = 1 if picture.ndim == 2 else picture.shape[2]
    filled = cv2.bitwise_or(
        cv2.inRange(picture, (_WHITE,) * channels, (255,) * channels),
        cv2.inRange(picture, (0,) * channels, (_BLACK,) * channels),
    )
    if cv2.hasNonZero(filled):
        filled = cv2.dilate(filled, np.ones((3, 3), np.uint8))
    found: NDArray[np.bool_] = np.asarray(filled, np.uint8) != 0
    return found


def without_fill(
    picture: NDArray[np.uint8], filled: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return a picture (h, w, 3) or (h, w) whose filling has the colour of its background."""
    filled = fill(picture) if filled is None else filled
    if not filled.any() or filled.all():
        return picture
    # Over all of it: where white fills more than any background does, it is the background.
    ranked = np.sort(picture.reshape(-1, *picture.shape[2:]), axis=0)
    background = ranked[int(_BACKGROUND * len(ranked))]
    return np.where(filled if picture.ndim == 2 else filled[:, :, None], background, picture)
