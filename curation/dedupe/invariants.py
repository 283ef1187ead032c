"""What a disc around a keypoint looks like, whichever way it is turned or mirrored.

The disc is sampled on rings. Over the angle of a ring, a rotation only shifts the phases of the
Fourier coefficients and a mirror conjugates them: magnitudes, and the real parts of products
between rings at one harmonic, stay. So one vector serves every angle, not only the eight
orientations of a square.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..tiles import Tile

RINGS = np.array([0.35, 0.7, 1.0, 1.3, 1.6, 1.9, 2.25, 2.6, 3.0], np.float32)
"""Radii of the rings, in radii of the keypoint."""
_ANGLES = 32
_HARMONICS = 6
_CHANNELS = 2  # red and green: blue tells stain from background least
_PAIRS_APART = (1, 2, 3)  # rings whose phases are compared
_MIN_CONTRAST = 2.0  # grey levels
_BLUR_PER_RADIUS = 0.2
_BLURS_PX = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
_REACH_PER_BLUR = 3  # standard deviations that OpenCV takes of a Gaussian for 8 bits

_THETA = (np.arange(_ANGLES) * (2 * np.pi / _ANGLES)).astype(np.float32)
_COS, _SIN = np.cos(_THETA)[None, :], np.sin(_THETA)[None, :]
_WEIGHTS = (RINGS / RINGS.sum()).astype(np.float32)  # area of the ring


def sample_rings(tile: Tile, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rings around keypoints (k, 3) of a tile, float32 (k, 2, 9, 32) in [0, 255]."""
    rings = np.empty((len(keypoints), len(RINGS), _ANGLES, _CHANNELS), np.float32)
    radii = keypoints[:, 2, None, None] * RINGS[:, None]
    x, y = keypoints[:, 0, None, None] + radii * _COS, keypoints[:, 1, None, None] + radii * _SIN
    blurs = [_blur_px(radius) for radius in keypoints[:, 2].tolist()]
    for blur_px in set(blurs):
        slots = [slot for slot, wanted in enumerate(blurs) if wanted == blur_px]
        rings[slots] = _sampled(tile, x[slots], y[slots], blur_px)
    return np.ascontiguousarray(rings.transpose(0, 3, 1, 2))


def _sampled(
    tile: Tile, x_NRA: NDArray[np.float32], y_NRA: NDArray[np.float32], blur_px: float
) -> NDArray[np.uint8]:
    """Return a blurred tile at places in px, (n, 9, 32, 2); only what is asked for is blurred."""
    import cv2

    margin = int(_REACH_PER_BLUR * blur_px) + 2
    left, right = _window(x_NRA, margin, tile.shape[1])
    top, bottom = _window(y_NRA, margin, tile.shape[0])
    window = np.ascontiguousarray(tile[top:bottom, left:right, :_CHANNELS])
    sampled = cv2.remap(
        cv2.GaussianBlur(window, (0, 0), blur_px),
        (x_NRA - left).reshape(-1, _ANGLES), (y_NRA - top).reshape(-1, _ANGLES),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(sampled, np.uint8).reshape(*x_NRA.shape, _CHANNELS)


def _window(places: NDArray[np.float32], margin: int, side: int) -> tuple[int, int]:
    """Return from where to where a tile is needed, so wide that its blur is that of the whole."""
    first, last = int(places.min()) - margin, int(places.max()) + 2 + margin
    start = min(max(first, 0), side - 2 * margin)
    return start, max(min(last, side), 2 * margin)


@lru_cache(maxsize=4096)
def _blur_px(radius_px: float) -> float:
    # In a few steps: Gaussians of a common width cost OpenCV less, and nothing is lost.
    wanted = _BLUR_PER_RADIUS * radius_px
    return min(_BLURS_PX, key=lambda sigma: abs(math.log(sigma / wanted)))


def describe_rings(rings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the invariants of rings (n, 2, 9, 32), float32 (n, 432)."""
    count = len(rings)
    level = (rings.mean(axis=3) * _WEIGHTS).sum(axis=2)[..., None, None]
    centred = rings - level
    spread = np.sqrt(((centred**2).mean(axis=3) * _WEIGHTS).sum(axis=2))[..., None, None]
    spectrum = np.fft.rfft(centred / np.maximum(spread, _MIN_CONTRAST), axis=3) / _ANGLES
    waves = spectrum[..., 1 : _HARMONICS + 1].astype(np.complex64)
    size = np.abs(waves)
    parts = [spectrum[..., 0].real, size]
    for apart in _PAIRS_APART:
        parts.append(_relative(waves[:, :, :-apart], waves[:, :, apart:]))
    parts.append(_relative(waves[:, 0], waves[:, 1]))
    return np.concatenate([part.reshape(count, -1) for part in parts], axis=1).astype(np.float32)


def _relative(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the part of b that is in phase with a, on the scale of their magnitudes."""
    together = (a * b.conj()).real / np.sqrt(np.abs(a) * np.abs(b) + 1e-3)
    return together.astype(np.float32)
