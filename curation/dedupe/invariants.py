"""What a disc around a keypoint looks like, whichever way it is turned or mirrored.

The disc is sampled on rings. Over the angle of a ring, a rotation only shifts the phases of the
Fourier coefficients and a mirror conjugates them: magnitudes, and the real parts of products
between rings at one harmonic, stay. So one vector serves every angle, not only the eight
orientations of a square.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..tiles import TILE_PX, Tile

RINGS = np.array([0.35, 0.7, 1.0, 1.3, 1.6, 1.9, 2.25, 2.6, 3.0], np.float32)
"""Radii of the rings, in radii of the keypoint."""
_REACH = float(RINGS[-1])
_ANGLES = 32
_HARMONICS = 6
_CHANNELS = 2  # red and green: blue tells stain from background least
_PAIRS_APART = (1, 2, 3)  # rings whose phases are compared
_MIN_CONTRAST = 2.0  # grey levels
_BLUR_PER_RADIUS = 0.2
_BLURS_PX = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
_BETWEEN_BLURS_PX = [math.sqrt(one * other) for one, other in pairwise(_BLURS_PX)]
_ONE = 256  # of OpenCV's Gaussians for 8 bits

_THETA = (np.arange(_ANGLES) * (2 * np.pi / _ANGLES)).astype(np.float32)
_COS, _SIN = np.cos(_THETA)[None, :], np.sin(_THETA)[None, :]
_WEIGHTS = (RINGS / RINGS.sum()).astype(np.float32)  # area of the ring


def sample_rings(tile: Tile, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rings around keypoints (k, 3) of a tile, float32 (k, 2, 9, 32) in [0, 255]."""
    import cv2

    channels = cv2.merge([cv2.extractChannel(tile, place) for place in range(_CHANNELS)])
    rings = np.empty((len(keypoints), len(RINGS), _ANGLES, _CHANNELS), np.float32)
    for blur_px, slots in _by_blur(keypoints).items():
        rings[slots] = _sampled(np.asarray(channels, np.uint8), keypoints[slots], blur_px)
    return np.ascontiguousarray(rings.transpose(0, 3, 1, 2))


def _by_blur(keypoints: NDArray[np.float32]) -> dict[float, list[int]]:
    found: dict[float, list[int]] = {}
    for slot, radius in enumerate(keypoints[:, 2].tolist()):
        # In a few steps: keypoints of about one size share a blurred picture, and nothing is lost.
        blur_px = _BLURS_PX[bisect(_BETWEEN_BLURS_PX, _BLUR_PER_RADIUS * radius)]
        found.setdefault(blur_px, []).append(slot)
    return found


def _sampled(
    channels: NDArray[np.uint8], keypoints: NDArray[np.float32], blur_px: float
) -> NDArray[np.uint8]:
    """Return rings of the blurred channels (96, 96, 2) of a tile, (k, 9, 32, 2)."""
    import cv2

    kernel = _kernel(blur_px)
    x, y, radius = keypoints.T[:, :, None, None]
    reach = radius * RINGS[:, None]
    # Only what is looked at is blurred.
    points = keypoints.tolist()
    left, right = _window([(x, radius) for x, _, radius in points], len(kernel))
    top, bottom = _window([(y, radius) for _, y, radius in points], len(kernel))
    sampled = cv2.remap(
        _blurred(channels[top:bottom, left:right], kernel),
        (x + reach * _COS - left).reshape(-1, _ANGLES),
        (y + reach * _SIN - top).reshape(-1, _ANGLES),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(sampled, np.uint8).reshape(len(keypoints), len(RINGS), _ANGLES, _CHANNELS)


def _window(places: Sequence[tuple[float, float]], kernel: int) -> tuple[int, int]:
    """Return from where to where a tile is needed to be blurred as the whole of it would be."""
    margin = kernel // 2 + 3
    least = min(place - _REACH * radius for place, radius in places)
    most = max(place + _REACH * radius for place, radius in places)
    start = min(max(int(least) - margin, 0), TILE_PX - 2 * margin)
    return start, max(min(int(most) + margin, TILE_PX), 2 * margin)


def _blurred(window: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what `cv2.GaussianBlur` makes of (h, w, 2) uint8, in a third of its time.

    It adds up products of whole numbers below 2**24, which float32 holds exactly.
    """
    import cv2

    total = np.asarray(cv2.sepFilter2D(window, cv2.CV_32F, kernel, kernel), np.float32)
    # As it rounds: half a level up. What passes 2**24 here is 255 anyway.
    total += np.float32(_ONE * _ONE / 2)
    total *= np.float32(1 / (_ONE * _ONE))
    return total.astype(np.uint8)


@cache
def _kernel(blur_px: float) -> NDArray[np.float32]:
    """Return OpenCV's Gaussian for 8 bits: whole numbers that add up to 256, float32 (k,).

    It is what a blurred point of light shows.
    """
    import cv2

    half = math.ceil(3 * blur_px)
    light = np.zeros((1, 2 * half + 1), np.uint8)
    light[0, half] = 255
    blurred = cv2.GaussianBlur(light, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
    seen = np.asarray(blurred, np.float32).ravel()
    lit = np.flatnonzero(seen)
    return seen[lit[0] : lit[-1] + 1]


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
