"""How a picture was taken, apart from what is on it: background, stain, size and encoder.

Measured for many cells at once, on every second pixel of the tiles.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..glance import Glances

Floats = NDArray[np.float32]

BACKGROUND_COLUMNS = (
    "background_red", "background_green", "background_blue",
    "background_spread", "background_tint_spread", "background_slope", "background_noise",
)  # fmt: skip
STAIN_COLUMNS = (
    "stain_normal_red", "stain_normal_green", "stain_normal_blue", "stain_certainty",
)  # fmt: skip
FILE_COLUMNS = ("width", "height", "codec")
APPEARANCE_COLUMNS = (*BACKGROUND_COLUMNS, *STAIN_COLUMNS, *FILE_COLUMNS)
"""Colours in optical density (0: all light passes), noise in grey levels, sizes in px; certainty
in [0, 1] is low where a picture shows one dye alone."""

CODECS = ("jpeg", "png")

_STEP = 2
_BIN_LEVELS = 4
_BINS = 256 // _BIN_LEVELS
_PEAK_SHARE = 0.3
_NEAR_LEVELS = 8
_STAINED = 0.25
_FEWEST_PIXELS = 24
_DOUBT = 0.01
_AT_ONCE = 32  # cells: what is made of so many stays in the processor's cache
_DENSITY = np.log(256 / (np.arange(256) + 1)).astype(np.float32)


def appearance_columns(glances: Glances) -> Floats:
    """Return (n, 14) float32, the columns named by `APPEARANCE_COLUMNS`."""
    looks = [
        _look(glances.tiles_NHWC[start : start + _AT_ONCE])
        for start in range(0, len(glances), _AT_ONCE)
    ]
    codecs = [CODECS.index(codec) if codec in CODECS else len(CODECS) for codec in glances.codecs]
    parts = (
        np.concatenate(looks) if looks else np.empty((0, len(BACKGROUND_COLUMNS + STAIN_COLUMNS))),
        glances.sizes.astype(np.float32),
        np.array(codecs, np.float32)[:, None],
    )
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _look(tiles_NHWC: NDArray[np.uint8]) -> Floats:
    """Return what the pixels say, (n, 11)."""
    import cv2

    n, (height, width) = len(tiles_NHWC), tiles_NHWC[0, ::_STEP, ::_STEP].shape[:2]
    # Channel by channel: sums over an axis of three take numpy several times as long.
    small_CNHW = np.ascontiguousarray(tiles_NHWC[:, ::_STEP, ::_STEP].transpose(3, 0, 1, 2))
    density = cv2.LUT(small_CNHW.reshape(3, -1), _DENSITY[None])
    density_CNP = np.asarray(density, np.float32).reshape(3, n, -1)
    grey_NP = _grey(small_CNHW).reshape(n, -1)
    empty_NP = _background(grey_NP)
    weights_NP = empty_NP.astype(np.float32)
    weights_NP /= weights_NP.sum(axis=1, keepdims=True)
    clear_NC = np.stack([_mean(weights_NP, channel_NP) for channel_NP in density_CNP], axis=1)
    parts = (
        clear_NC,
        _spreads(density_CNP, weights_NP),
        _slope(grey_NP.reshape(n, height, width), weights_NP),
        _noise(tiles_NHWC, height, empty_NP),
        _stain_normal(density_CNP, clear_NC),
    )
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _grey(tiles_CNHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = tiles_CNHW.astype(np.uint16)
    grey: NDArray[np.uint16] = (wide[0] + 2 * wide[1] + wide[2]) >> 2
    return grey.astype(np.uint8)


def _background(grey_NP: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels show empty glass: those about the brightest tall peak of the greys."""
    n = len(grey_NP)
    bins = (grey_NP // _BIN_LEVELS).astype(np.int64) + _BINS * np.arange(n)[:, None]
    counts = np.bincount(bins.ravel(), minlength=n * _BINS).reshape(n, _BINS).astype(np.float32)
    smooth = counts.copy()
    smooth[:, 1:] += counts[:, :-1]
    smooth[:, :-1] += counts[:, 1:]
    # The brightest, not the highest: red cells and cytoplasm may cover more than the glass does.
    tall = smooth >= _PEAK_SHARE * smooth.max(axis=1, keepdims=True)
    rising = np.ones_like(tall)
    rising[:, :-1] = smooth[:, :-1] >= smooth[:, 1:]
    rising[:, 1:] &= smooth[:, 1:] >= smooth[:, :-1]
    peak = _BINS - 1 - np.argmax((tall & rising)[:, ::-1], axis=1)
    level = (_BIN_LEVELS * peak + _BIN_LEVELS // 2).astype(np.float32)
    near = _near(grey_NP, level)
    # Once more about their mean, or where the bins begin would show in the colours.
    mean = (grey_NP * near).sum(axis=1) / np.maximum(near.sum(axis=1), 1)
    near = _near(grey_NP, mean.astype(np.float32))
    few = near.sum(axis=1) < _FEWEST_PIXELS
    near[few] = True
    return near


def _near(grey_NP: NDArray[np.uint8], level: Floats) -> NDArray[np.bool_]:
    low = np.clip(np.round(level) - _NEAR_LEVELS, 0, 255).astype(np.uint8)[:, None]
    # Unsigned, so that what is below wraps to far above.
    return (grey_NP - low) <= 2 * _NEAR_LEVELS


def _spreads(density_CNP: Floats, weights_NP: Floats) -> Floats:
    """Return how much density and tint of the background spread, (n, 2)."""
    red_NP, green_NP, blue_NP = density_CNP
    planes = (red_NP + green_NP + blue_NP) / np.float32(3), red_NP - blue_NP
    spreads = [
        np.sqrt(np.maximum(_mean(weights_NP, x * x) - _mean(weights_NP, x) ** 2, 0)) for x in planes
    ]
    return np.stack(spreads, axis=1)


def _mean(weights_NP: Floats, values_NP: Floats) -> Floats:
    return cast(Floats, np.einsum("np,np->n", weights_NP, values_NP))


def _slope(grey_NHW: NDArray[np.uint8], weights_NP: Floats) -> Floats:
    """Return how much the background's grey changes over the picture, in levels a side (n, 1)."""
    n, height, width = grey_NHW.shape
    grey_NP = grey_NHW.reshape(n, -1).astype(np.float32)
    down, across = np.indices((height, width), np.float32).reshape(2, -1)
    slopes = []
    for place in (down / height, across / width):
        off_NP = place - (weights_NP @ place)[:, None]
        slopes.append(_mean(weights_NP, off_NP * grey_NP) / (_mean(weights_NP, off_NP**2) + 0.02))
    return np.hypot(*slopes)[:, None]


def _noise(tiles_NHWC: NDArray[np.uint8], height: int, empty_NP: NDArray[np.bool_]) -> Floats:
    """Return the mean difference of neighbouring pixels of empty glass, in levels (n, 1)."""
    green = tiles_NHWC[:, ::_STEP, :, 1].astype(np.int16)
    steps = np.abs(green[:, :, 1::_STEP] - green[:, :, ::_STEP]).astype(np.float32)
    empty = empty_NP.reshape(len(tiles_NHWC), height, -1)[:, :, : steps.shape[2]]
    # What differs by more is an edge, not noise.
    flat = empty & (steps <= 2 * _NEAR_LEVELS)
    total = np.maximum(flat.sum(axis=(1, 2)), 1)
    return cast(Floats, ((steps * flat).sum(axis=(1, 2)) / total)[:, None])


def _stain_normal(density_CNP: Floats, clear_NC: Floats) -> Floats:
    """Return the direction that no dye of the picture has, (n, 3) of length 1; and its certainty.

    The two dyes span a plane of optical densities, however much of each a cell took up; so its
    normal tells the stain and the camera, not the cell. Source: Macenko et al., ISBI 2009, eq. 2.
    """
    above_CNP = density_CNP - clear_NC.T[:, :, None]
    stained_NP = above_CNP[0] + above_CNP[1] + above_CNP[2] > _STAINED
    above_CNP *= stained_NP
    products = above_CNP.transpose(1, 0, 2) @ above_CNP.transpose(1, 2, 0)
    n_stained = stained_NP.sum(axis=1)[:, None] + 1
    spreads, axes = np.linalg.eigh(products / n_stained[:, :, None])
    normal = axes[:, :, 0]
    # Either sign is the same plane.
    normal = normal * np.where(normal[:, 1] < 0, -1, 1)[:, None]
    # With one dye alone any plane through it fits.
    certainty = spreads[:, 1] / (spreads[:, 1] + _DOUBT)
    return np.concatenate([normal, certainty[:, None]], axis=1, dtype=np.float32)
