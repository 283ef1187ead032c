"""Cheap features of what is on a cell's picture, for a small model to tell the classes apart.

Everything is taken about the nucleus and over whole turns, so a turned or mirrored copy has the
same features up to resampling: shape and lobes of the nucleus, colour and texture in rings and
regions, colour histograms, and how the picture changes on circles about the nucleus.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..tiles import TILE_PX, Tile

Floats = NDArray[np.float32]
_Mask = NDArray[np.uint8]

_WINDOW_PX = 64
"""Side of what is looked at about the nucleus; on a tile of the usual framing, the whole cell."""
_CENTRE = (_WINDOW_PX - 1) / 2
_RINGS_PX = (0, 6, 12, 18, 24, 30, 46)
_NEAR_PX = 32
_SCALES_PX = (0.8, 1.6, 3.2)
_N_SHADES, _N_TINTS = 16, 9
_TURN_STEPS, _RADIAL_STEPS, _HARMONICS = 64, 16, 13
_EROSIONS_PX = (1.5, 3.0, 4.5, 6.0, 8.0)
_DEPTHS_PX = 16

_ACROSS, _DOWN = np.meshgrid(np.arange(TILE_PX), np.arange(TILE_PX))
_FROM_MIDDLE = np.hypot(_ACROSS - (TILE_PX - 1) / 2, _DOWN - (TILE_PX - 1) / 2)
_MIDDLE = _FROM_MIDDLE < 40
_FROM_CENTRE = np.hypot(*(np.indices((_WINDOW_PX, _WINDOW_PX)) - _CENTRE))
_RING_MASKS = np.stack(
    [(a <= _FROM_CENTRE) & (b > _FROM_CENTRE) for a, b in pairwise(_RINGS_PX)]
).reshape(len(_RINGS_PX) - 1, -1)
_NEAR = _FROM_CENTRE < _NEAR_PX
# Optical density of each 8-bit value; 0 where the light passes whole.
_DENSITY = np.log(256 / (np.arange(256) + 1)).astype(np.float32)


class _Nucleus(NamedTuple):
    """The stained body in the middle of a tile; `mask` is 0 or 1, `x` and `y` its centre in px."""

    mask: _Mask
    x: float
    y: float
    n_parts: int


def cell_features(tiles_NHWC: NDArray[np.uint8]) -> Floats:
    """Return (n, k) float32 features of tiles (n, 96, 96, 3) RGB uint8."""
    rows = [_features(tile) for tile in tiles_NHWC]
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _features(tile: Tile) -> Floats:
    nucleus = _find_nucleus(tile)
    window, mask = _window(tile, nucleus)
    density_HWC = _DENSITY[window]
    parts = (
        _shape(nucleus),
        _regions(density_HWC, mask),
        _circles(density_HWC),
        _shades(window, mask),
    )
    return np.concatenate(parts).astype(np.float32)


def _find_nucleus(tile: Tile) -> _Nucleus:
    """Return what takes up red light near the middle: nuclei do, red cells hardly."""
    import cv2

    red = cv2.GaussianBlur(np.ascontiguousarray(tile[..., 0]), (0, 0), 1.2)
    level, _ = cv2.threshold(red[_MIDDLE].reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    dark = (red <= level).astype(np.uint8)
    n, parts, stats, centres = cv2.connectedComponentsWithStats(dark, connectivity=8)
    if n < 2:
        return _Nucleus(dark, (TILE_PX - 1) / 2, (TILE_PX - 1) / 2, 0)
    area = stats[1:, cv2.CC_STAT_AREA].astype(float)
    off = np.hypot(*(centres[1:] - (TILE_PX - 1) / 2).T)
    start, end = stats[1:, :2], stats[1:, :2] + stats[1:, 2:4]
    at_edge = (start <= 0).any(1) | (end >= TILE_PX).any(1)
    weight = area * np.exp(-((off / 22) ** 2)) * np.where(at_edge, 0.3, 1.0)
    # Lobes of one nucleus are several parts; a neighbour is far or lies at the edge.
    kept = (weight > 0.08 * weight.max()) | (weight == weight.max())
    chosen = np.concatenate([[False], kept]).astype(np.uint8)
    x, y = (centres[1:][kept] * area[kept, None]).sum(0) / area[kept].sum()
    return _Nucleus(chosen[parts], float(x), float(y), int(kept.sum()))


def _window(tile: Tile, nucleus: _Nucleus) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    import cv2

    left, top = round(nucleus.x - _CENTRE), round(nucleus.y - _CENTRE)
    spare = _WINDOW_PX
    wide = cv2.copyMakeBorder(tile, spare, spare, spare, spare, cv2.BORDER_REPLICATE)
    mask = cv2.copyMakeBorder(nucleus.mask, spare, spare, spare, spare, cv2.BORDER_CONSTANT)
    rows = slice(top + spare, top + spare + _WINDOW_PX)
    columns = slice(left + spare, left + spare + _WINDOW_PX)
    return np.ascontiguousarray(wide[rows, columns]), mask[rows, columns].astype(bool)


def _shape(nucleus: _Nucleus) -> NDArray[np.float64]:
    """Return size, outline, moments, lobes and depths of the nucleus."""
    import cv2

    outlines, _ = cv2.findContours(nucleus.mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros(_N_SHAPE)
    points = np.concatenate(outlines)
    hull = cv2.convexHull(points)
    area = float(np.count_nonzero(nucleus.mask))
    outline = sum(cv2.arcLength(one, True) for one in outlines)
    hull_area, hull_length = cv2.contourArea(hull) + 1, cv2.arcLength(hull, True)
    _, sides, _ = cv2.minAreaRect(points)
    moments = cv2.HuMoments(cv2.moments(nucleus.mask, True))[:, 0]
    depth = cv2.distanceTransform(nucleus.mask, cv2.DIST_L2, 3)
    depths = np.bincount(np.minimum(depth[depth > 0], 63).astype(int), minlength=64) / area
    lobes = [cv2.connectedComponents((depth > d).astype(np.uint8))[0] - 1 for d in _EROSIONS_PX]
    largest = max(cv2.contourArea(one) for one in outlines)
    sizes = (
        area / 1000, outline / 100, outline**2 / area / (4 * np.pi), area / hull_area,
        hull_length / 100, outline / (hull_length + 1), nucleus.n_parts, len(outlines),
        min(sides) / (max(sides) + 1), max(sides) / 50, largest / area, depth.max() / 10,
        np.hypot(nucleus.x - TILE_PX / 2, nucleus.y - TILE_PX / 2) / 20,
    )  # fmt: skip
    hu = np.sign(moments) * np.log10(np.abs(moments) + 1e-12)
    return np.concatenate([sizes, hu, lobes, depths[:_DEPTHS_PX], np.cumsum(depths[::-1])[40:56:4]])


_N_SHAPE = 13 + 7 + len(_EROSIONS_PX) + _DEPTHS_PX + 4


def _regions(density_HWC: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Return mean and spread of colour and of structure at each scale, in rings and regions."""
    import cv2

    maps = [density_HWC]
    finer = density_HWC
    for scale in _SCALES_PX:
        coarser = cast(Floats, cv2.GaussianBlur(density_HWC, (0, 0), scale))
        detail = finer - coarser
        maps += [detail, np.abs(detail), _slope(coarser)]
        finer = coarser
    maps_PC = np.concatenate(maps, axis=2).reshape(_WINDOW_PX**2, -1)
    weights_RP = _region_weights(mask)
    means = weights_RP @ maps_PC
    spreads = np.sqrt(np.maximum(weights_RP @ np.square(maps_PC) - np.square(means), 0))
    return np.concatenate([means.ravel(), spreads.ravel()])


def _slope(map_HWC: Floats) -> Floats:
    import cv2

    across = cv2.Sobel(map_HWC, cv2.CV_32F, 1, 0, scale=0.25)
    down = cv2.Sobel(map_HWC, cv2.CV_32F, 0, 1, scale=0.25)
    return cast(Floats, cv2.magnitude(across.reshape(-1), down.reshape(-1)).reshape(map_HWC.shape))


def _region_weights(mask: NDArray[np.bool_]) -> Floats:
    import cv2

    grown = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    regions = np.stack([mask, _NEAR & ~mask, grown & ~mask]).reshape(3, -1)
    weights = np.concatenate([_RING_MASKS, regions]).astype(np.float32)
    return cast(Floats, weights / np.maximum(weights.sum(1, keepdims=True), 1))


def _circles(density_HWC: Floats) -> Floats:
    """Return the strength of each harmonic on circles about the centre: no turn changes it."""
    import cv2

    polar = cv2.warpPolar(
        density_HWC, (_RADIAL_STEPS, _TURN_STEPS), (_CENTRE, _CENTRE), _NEAR_PX, cv2.INTER_LINEAR
    )
    waves = np.abs(np.fft.rfft(polar, axis=0)[:_HARMONICS]) / _TURN_STEPS
    return cast(Floats, np.log1p(8 * waves).ravel())


def _shades(window: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Floats:
    """Return histograms of each channel and of the two tint axes, in the nucleus and around it."""
    import cv2

    lab = cv2.cvtColor(window, cv2.COLOR_RGB2LAB)
    found: list[Any] = []
    for region in (mask, _NEAR & ~mask):
        area, where = max(1, int(region.sum())), region.astype(np.uint8)
        for channel in range(3):
            found.append(cv2.calcHist([window], [channel], where, [_N_SHADES], [0, 256]) / area)
        tints = [_N_TINTS, _N_TINTS]
        found.append(cv2.calcHist([lab], [1, 2], where, tints, [110, 182, 74, 146]) / area)
    return cast(Floats, np.sqrt(np.concatenate([one.ravel() for one in found])))
