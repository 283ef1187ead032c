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
_CORNERS = 0.2  # of a picture: no turn fills more; what does is a mask, or light that clips
_FEWEST = 32  # pixels of picture: a tile of filling alone has no background
_TIP_PX = 13  # 6 px either way along an edge: a turn by 15° leaves less than 2 px there
_TOUCHING = np.ones((3, 3), np.uint8)
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
        filled = cv2.dilate(filled, _TOUCHING)
    found: NDArray[np.bool_] = np.asarray(filled, np.uint8) != 0
    return found


def thumb_fill(thumb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a thumb (64, 64) is filling.

    It was shrunk twice: beside filled corners, two of its px are mixed with them, and their tips
    along the edges are too thin to be pure anywhere. Of a masked cell, a second px would be most of
    its rim.
    """
    import cv2

    filled = fill(thumb)
    if not is_corners(filled):
        return filled
    tips = np.zeros(filled.shape, np.uint8)
    for edge, along in ((np.s_[[0, -1]], (1, _TIP_PX)), (np.s_[:, [0, -1]], (_TIP_PX, 1))):
        line = np.zeros(filled.shape, np.uint8)
        line[edge] = filled[edge]
        tips |= np.asarray(cv2.dilate(line, np.ones(along, np.uint8)), np.uint8)
    wider: NDArray[np.bool_] = np.asarray(cv2.dilate(filled | tips, _TOUCHING)) != 0
    return wider


def is_corners(filled: NDArray[np.bool_]) -> bool:
    """Whether what is filled is no more than the corners that a turn leaves."""
    return bool(0 < np.count_nonzero(filled) <= _CORNERS * filled.size)


def fills(thumbs_NHW: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which of the thumbs (n, 64, 64) hold filling, (k,), and where, (k, 64, 64)."""
    flat = thumbs_NHW.reshape(len(thumbs_NHW), -1)
    rows = np.flatnonzero((flat.max(axis=1) >= _WHITE) | (flat.min(axis=1) <= _BLACK))
    where = np.empty((len(rows), *thumbs_NHW.shape[1:]), np.bool_)
    for slot, row in enumerate(rows.tolist()):
        where[slot] = thumb_fill(thumbs_NHW[row])
    return rows, where


def without_corners(
    picture: NDArray[np.uint8], filled: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a picture whose filled corners repeat what is nearest, and what is filling then.

    As what lies outside a picture does: so a turn moves neither its blobs nor what is around them.
    """
    import cv2

    if not is_corners(filled):
        return picture, filled
    _, nearest = cv2.distanceTransformWithLabels(
        filled.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(nearest).ravel()
    places = np.zeros(int(labels.max()) + 1, np.int64)
    seen = np.flatnonzero(~filled)
    places[labels[seen]] = seen
    pixels = picture.reshape(-1, *picture.shape[2:])
    return pixels[places[labels]].reshape(picture.shape), np.zeros_like(filled)


def without_fill(
    picture: NDArray[np.uint8], filled: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return a picture (h, w, 3) or (h, w) whose filling has the colour of its background.

    Filled corners repeat what is nearest.
    """
    filled = fill(picture) if filled is None else filled
    if not filled.any() or filled.all():
        return picture
    if is_corners(filled):
        return without_corners(picture, filled)[0]
    # Over all of it: where white fills more than any background does, it is the background.
    pixels = picture.reshape(-1, *picture.shape[2:])
    place = int(_BACKGROUND * len(pixels))
    background = np.partition(pixels, place, axis=0)[place]
    return np.where(filled if picture.ndim == 2 else filled[:, :, None], background, picture)
