"""Small made cells: smooth colours, no two of them alike."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from .fact import Array

SIDE = 40
_COARSE = 5


def cell(seed: int, *, height: int = SIDE, width: int = SIDE) -> Array:
    """Return a made cell, (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(40, 236, (_COARSE, _COARSE, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def grey(seed: int) -> Array:
    """Return a made cell without colour, (h, w) uint8."""
    return np.asarray(Image.fromarray(cell(seed)).convert("L"))


def encoded(pixels: Array | Image.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes that Pillow writes for an array or an image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded(data: bytes) -> Array:
    """Return what Pillow shows of an image file, (h, w, 3) or (h, w) uint8."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
