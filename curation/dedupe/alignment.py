"""How one picture lies over another, from a pair of keypoints: turn, mirror, scale and shift.

Scale and shift come from the keypoints; the turn is where the rings around them correlate best
(Reddy and Chatterji 1996, over the angle alone), once as they are and once mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..tiles import TILE_PX
from .invariants import RINGS
from .stain import fills, is_corners, without_fill
from .thumbs import THUMB_PX

Warps = NDArray[np.float32]
"""(n, 2, 3): x, y of the first picture's px -> x, y of the second's, both thumbs of 64 px."""

_ANGLES = 32
_FINE_ANGLES = 128
_HARMONICS = 8
_THETA = (np.arange(_ANGLES) * (2 * np.pi / _ANGLES)).astype(np.float32)
_COS, _SIN = np.cos(_THETA), np.sin(_THETA)
_SCALE = THUMB_PX / TILE_PX


@dataclass(frozen=True, slots=True)
class Alignment:
    """How pairs lie over each other, and how well their rings agree, (n,) in [-1, 1]."""

    warps: Warps
    agreement: NDArray[np.float32]


def align(
    first: NDArray[np.uint8],
    first_keypoints: NDArray[np.float32],
    second: NDArray[np.uint8],
    second_keypoints: NDArray[np.float32],
) -> Alignment:
    """Align thumbs (n, 64, 64) by one keypoint each, (n, 3) in px of the tile."""
    here, there = _to_thumb(first_keypoints), _to_thumb(second_keypoints)
    angles, mirrored, agreement = _turn(_rings(first, here), _rings(second, there))
    return Alignment(_warps(here, there, angles, mirrored), agreement)


def _to_thumb(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = keypoints * np.float32(_SCALE)
    moved[:, :2] += np.float32(0.5 * _SCALE - 0.5)
    return moved


@dataclass(frozen=True, slots=True)
class _Rings:
    """Fourier coefficients 1 to 8 of rings, (n, 9, 8), and how much of each is in the picture."""

    waves: NDArray[np.complex64]
    inside: NDArray[np.float32]


def _rings(thumbs: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> _Rings:
    import cv2

    x, y, radius = (keypoints[:, column, None, None] for column in range(3))
    across = (x + radius * RINGS[None, :, None] * _COS).astype(np.float32)
    down = (y + radius * RINGS[None, :, None] * _SIN).astype(np.float32)
    pictures = thumbs.astype(np.float32)
    inside = (np.minimum(across, down) >= 0) & (np.maximum(across, down) <= THUMB_PX - 1)
    for row, filled in zip(*fills(thumbs), strict=True):
        pictures[row] = without_fill(thumbs[row], filled)
        if is_corners(filled):
            gone = cv2.remap(
                filled.astype(np.uint8),
                across[row],
                down[row],
                cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_REPLICATE,
            )
            inside[row] &= gone == 0
    levels = np.stack(
        [
            cv2.remap(one, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for one, map_x, map_y in zip(pictures, across, down, strict=True)
        ]
    )
    waves = np.fft.rfft(levels, axis=2)[:, :, 1 : _HARMONICS + 1]
    return _Rings(waves.astype(np.complex64), inside.mean(axis=2).astype(np.float32))


def _turn(
    a: _Rings, b: _Rings
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Return turn in radians, whether mirrored, and the correlation there, (n,) each."""
    # A ring that leaves one of the pictures says nothing there about the other.
    weights = (np.minimum(a.inside, b.inside) ** 2 * RINGS)[:, :, None]
    norm = np.sqrt(_power(a.waves, weights) * _power(b.waves, weights)) + 1e-6
    correlations = [
        _correlate(a.waves, other, weights) / norm[:, None] for other in (b.waves, b.waves.conj())
    ]
    best = np.stack([c.max(axis=1) for c in correlations], axis=1)
    mirrored = best[:, 1] > best[:, 0]
    chosen = np.where(mirrored[:, None], correlations[1], correlations[0])
    step = 2 * np.pi / _FINE_ANGLES
    angles = (chosen.argmax(axis=1) * step).astype(np.float32)
    return angles, mirrored, chosen.max(axis=1).astype(np.float32)


def _power(waves: NDArray[np.complex64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((np.abs(waves) ** 2 * weights).sum(axis=(1, 2)), dtype=np.float32)


def _correlate(
    a: NDArray[np.complex64], b: NDArray[np.complex64], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the correlation of rings over all turns of b against a, (n, 128), finely sampled."""
    spectrum = np.zeros((len(a), _FINE_ANGLES // 2 + 1), np.complex64)
    spectrum[:, 1 : _HARMONICS + 1] = (a.conj() * b * weights).sum(axis=1)
    return np.asarray(np.fft.irfft(spectrum, _FINE_ANGLES, axis=1) * (_FINE_ANGLES / 2))


def _warps(
    here: NDArray[np.float32],
    there: NDArray[np.float32],
    angles: NDArray[np.float32],
    mirrored: NDArray[np.bool_],
) -> Warps:
    scale = there[:, 2] / here[:, 2]
    cos, sin = np.cos(angles) * scale, np.sin(angles) * scale
    # Mirrored rings run the other way round: y changes its sign after the turn.
    sign = np.where(mirrored, -1.0, 1.0)
    linear = np.stack([np.stack([cos, -sin], 1), np.stack([sign * sin, sign * cos], 1)], 1)
    shift = there[:, :2] - np.einsum("nij,nj->ni", linear, here[:, :2])
    return np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)
