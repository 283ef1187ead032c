"""What copies of a cell picture look like: one named function per alteration, at any size.

Pictures are uint8 (h, w, 3) RGB. Lengths in px are those of a 360 px picture and scale with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import cv2
import numpy as np
import simplejpeg

from curation.pixels import Pixels

Alteration = Callable[[Pixels], Pixels]
_SIDE = 360


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after a JPEG of some quality."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, colorsubsampling="420")
    return cast(Pixels, simplejpeg.decode_jpeg(data, "RGB"))


def turned(pixels: Pixels, degrees: float, border: int = cv2.BORDER_REFLECT) -> Pixels:
    """Return the picture turned around its middle, corners filled from the border."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cast(
        Pixels,
        cv2.warpAffine(pixels, matrix, (width, height), borderMode=border,
                       borderValue=(255, 255, 255)),
    )  # fmt: skip


def moved(pixels: Pixels, right: float, down: float) -> Pixels:
    """Return the picture as a camera sees it that is moved by some px: what leaves is gone."""
    x, y = (round(px * max(pixels.shape[:2]) / _SIDE) for px in (right, down))
    height, width = pixels.shape[:2]
    inside = pixels[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
    return np.ascontiguousarray(inside)


def cropped(pixels: Pixels, share: float, *, enlarged: bool = True) -> Pixels:
    """Return the picture without a share of its height and width, brought back to its size."""
    height, width = pixels.shape[:2]
    top, left = round(height * share / 2), round(width * share / 2)
    inside = np.ascontiguousarray(pixels[top : height - top, left : width - left])
    return cast(Pixels, cv2.resize(inside, (width, height))) if enlarged else inside


def corner(pixels: Pixels, share: float) -> Pixels:
    """Return the picture without a share of its height and width on one side each."""
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(pixels[round(height * share) :, round(width * share) :])


def levels(pixels: Pixels, gain: float | tuple[float, float, float], lift: float = 0) -> Pixels:
    """Return the picture with each channel multiplied, and lifted."""
    changed = pixels.astype(np.float32) * np.asarray(gain, np.float32) + lift
    return np.asarray(np.clip(changed, 0, 255), dtype=np.uint8)


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Return the picture with its contrast around its mean changed."""
    mean = float(pixels.mean())
    return levels(pixels, factor, mean * (1 - factor))


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Return the picture blurred by a Gaussian of some px."""
    return cast(Pixels, cv2.GaussianBlur(pixels, (0, 0), sigma * max(pixels.shape[:2]) / _SIDE))


def resized(pixels: Pixels, factor: float) -> Pixels:
    """Return the picture at another size."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cast(Pixels, cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how))


ALTERATIONS: Mapping[str, Alteration] = {
    "turned 90°": lambda p: np.ascontiguousarray(np.rot90(p)),
    "turned 180°": lambda p: np.ascontiguousarray(np.rot90(p, 2)),
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
    "mirrored and turned": lambda p: np.ascontiguousarray(np.rot90(p[:, ::-1])),
    "JPEG quality 50": lambda p: jpeg(p, 50),
    "half size": lambda p: resized(p, 0.5),
    "brighter by 15 %": lambda p: levels(p, 1.15),
    "darker by 20 %": lambda p: levels(p, 0.8),
    "contrast 75 %": lambda p: contrast(p, 0.75),
    "colour cast": lambda p: levels(p, (1.06, 1.0, 0.92)),
    "blurred": lambda p: blurred(p, 1.5),
    "cropped 2 %": lambda p: cropped(p, 0.02),
    "cropped 5 %": lambda p: cropped(p, 0.05),
    "cropped 10 %": lambda p: cropped(p, 0.10),
    "cropped 10 %, not enlarged": lambda p: cropped(p, 0.10, enlarged=False),
    "cropped 10 % at one corner": lambda p: corner(p, 0.10),
    "shifted 10 px": lambda p: moved(p, 10, -10),
    "turned 15°": lambda p: turned(p, 15),
    "turned 15°, white corners": lambda p: turned(p, 15, cv2.BORDER_CONSTANT),
    "turned, mirrored, cropped 5 %, JPEG 60": lambda p: jpeg(
        levels(cropped(np.ascontiguousarray(np.rot90(p)[:, ::-1]), 0.05), 1.1), 60
    ),
    "shifted, turned 10°, half size, JPEG 70": lambda p: jpeg(
        contrast(resized(turned(moved(p, 8, -6), 10), 0.5), 0.85), 70
    ),
}
