"""Colours as sRGB, so that an embedded colour profile can be dropped without a loss.

A profile is known by what it does to colours, not by its name: one that moves no probe by more
than `TOLERANCE` levels is only dropped. Profiles in JPEG, PNG, TIFF and WebP are read; a PNG's gAMA
and cHRM chunks and profiles inside BMP and GIF, which few programs heed, are not.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from ..errors import ImageError

TOLERANCE = 2
"""Levels of 255 by which sRGB profiles of different makers differ, from rounding."""

_PROFILED_MODES = {"RGB ": ("L", "RGB"), "GRAY": ("L",), "CMYK": ("CMYK",)}
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
# Profiles come from the file: lcms and Pillow answer damage with any of these.
_DAMAGED = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_srgb(image: Image.Image) -> Image.Image:
    """Return an 8-bit image with its embedded profile applied, where it changes anything.

    Raises: ImageError with reason unreadable where the profile is damaged or for other colours.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    colour, alpha = _without_alpha(image)
    if not changes_colours(profile, colour.mode):
        return image
    converted = _applied(colour, profile)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=8)
def changes_colours(profile: bytes, mode: str) -> bool:
    """Return whether colours of a mode (L, RGB or CMYK) look different without the profile.

    Raises: ImageError with reason unreadable where the profile is damaged or for other colours.
    """
    if mode not in _PROFILED_MODES.get(_space(profile), ()):
        raise ImageError("unreadable", "its colour profile is for another kind of colours")
    if mode == "CMYK":
        return True
    probe = _probe(mode)
    moved = np.asarray(_applied(probe, profile).convert("RGB"), dtype=np.int16)
    return int(np.abs(moved - np.asarray(probe.convert("RGB"))).max()) > TOLERANCE


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours as L, RGB or CMYK, and what hides them."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        mode = "L" if image.mode in ("LA", "La", "L", "1") else "RGB"
        return rgba.convert("RGB").convert(mode), rgba.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _applied(image: Image.Image, profile: bytes) -> Image.Image:
    grey = image.mode == "L"
    if grey and _space(profile) == "RGB ":
        image = image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except _DAMAGED as error:
        raise ImageError("unreadable", "its colour profile cannot be applied") from error
    if converted is None:
        raise ImageError("unreadable", "its colour profile cannot be applied")
    return _grey_again(converted) if grey else converted


def _grey_again(image: Image.Image) -> Image.Image:
    """Return a grey image as one channel, unless its profile gave it a tint."""
    pixels = np.asarray(image, dtype=np.int16)
    if int(np.ptp(pixels, axis=2).max()) > 1:
        return image
    return image.getchannel("G")


def _space(profile: bytes) -> str:
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space)
    except _DAMAGED as error:
        raise ImageError("unreadable", "its colour profile cannot be read") from error


@lru_cache(maxsize=2)
def _probe(mode: str) -> Image.Image:
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(grid.reshape(64, 64, 3))
