"""Small square pictures of cells: what duplicates, checks and acquisitions are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .pixels import Pixels

TILE_PX = 96
"""Side of a tile; the longer side of the image fills it."""

Tile = NDArray[np.uint8]
"""(96, 96, 3) RGB, uint8 in [0, 255]."""

_MOST_PX = 2**20
"""Of a picture whose planes are averaged one by one: as float32 they should fit the cache."""
_LEAST_SHARE = 1e-3  # of a pixel: OpenCV leaves out what less of it lies in an area


def channels(pixels: Pixels) -> tuple[Pixels, ...]:
    """Return the channels of an image (h, w, 3) or (h, w) uint8, each (h, w)."""
    import cv2

    return tuple(np.asarray(plane, np.uint8) for plane in cv2.split(pixels))


def shrink(pixels: Pixels, planes: Sequence[Pixels] | None = None) -> Tile:
    """Return the tile of an image (h, w, 3) or (h, w) uint8: one scale for both axes, centred.

    `planes` are its `channels`, if they are there already.

    What a shorter side leaves free repeats the edge, so that no border appears that the image
    does not have. Grey is repeated over the channels.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = TILE_PX / max(height, width)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    small = pixels
    if scale < 1:
        # It keeps fine grain from becoming false structure; it cannot enlarge.
        small = averaged(pixels, across, down, planes)
    elif scale > 1:
        small = np.asarray(cv2.resize(pixels, (across, down)), np.uint8)
    if small.ndim == 2:
        small = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB), np.uint8)
    if across == down == TILE_PX:
        return small
    left, top = (TILE_PX - across) // 2, (TILE_PX - down) // 2
    return cast(
        Tile,
        cv2.copyMakeBorder(
            small, top, TILE_PX - down - top, left, TILE_PX - across - left, cv2.BORDER_REPLICATE
        ),
    )


def averaged(
    pixels: Pixels, across: int, down: int, planes: Sequence[Pixels] | None = None
) -> Pixels:
    """Return an image shrunk by averaging over areas: to the bit what OpenCV's INTER_AREA makes.

    OpenCV averages one number at a time, along the rows and then down the columns. So does this,
    in the same order in float32, but over whole columns at once: two thirds of the time.
    """
    import cv2

    height, width = pixels.shape[:2]
    # By whole factors, OpenCV adds up whole numbers, and fast.
    if height * width > _MOST_PX or not (width % across or height % down):
        small = cv2.resize(pixels, (across, down), interpolation=cv2.INTER_AREA)
        return cast(Pixels, small)
    columns, rows = _areas(width, across), _areas(height, down)
    small_planes = []
    for plane in planes or channels(pixels):
        narrow = cv2.transpose(columns @ cv2.transpose(plane).astype(np.float32))
        small_planes.append(cv2.convertScaleAbs(rows @ narrow))
    return cast(Pixels, small_planes[0] if pixels.ndim == 2 else cv2.merge(small_planes))


@lru_cache(maxsize=1024)
def _areas(length: int, parts: int) -> Any:
    """Return the weights by which a line becomes shorter, a sparse float32 (parts, length)."""
    from scipy.sparse import csr_array

    scale = 1 / (parts / length)  # as OpenCV rounds it
    start = np.arange(parts) * scale
    end, size = start + scale, np.minimum(scale, length - start)
    last = np.minimum(np.floor(end), length - 1)
    first = np.minimum(np.ceil(start), last)
    place = first[:, None] - 1 + np.arange(int(scale) + 3)
    start, end, size, first, last = (one[:, None] for one in (start, end, size, first, last))
    before = np.where(first - start > _LEAST_SHARE, first - start, 0)
    after = np.where(end - last > _LEAST_SHARE, np.minimum(np.minimum(end - last, 1), size), 0)
    share = np.select([place < first, place < last, place == last], [before, 1.0, after])
    weights = (share / size).astype(np.float32)
    there = weights > 0
    ends = np.concatenate([[0], there.sum(axis=1).cumsum()])
    return csr_array((weights[there], place[there].astype(np.int32), ends), shape=(parts, length))
