"""Drawn smears with invented text or a barcode burned in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from curation.deidentify.text.hit import Box
from curation.pixels import Pixels

COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "purple": (110, 50, 140)}
_GROUND, _RED_CELL, _NUCLEUS = (226, 206, 214), (206, 160, 170), (120, 70, 150)


@dataclass(frozen=True)
class Burned:
    """An image, the box of what was burned in, and its ink (h, w) in [0, 255]."""

    pixels: Pixels
    box: Box
    ink: Pixels


def field(seed: int = 0, width: int = 320, height: int = 240) -> Pixels:
    """Draw red cells and a nucleus on a pale ground, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(image)
    for _ in range(width * height // 5000):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(14, 20)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_RED_CELL)
        draw.ellipse((x - r / 3, y - r / 3, x + r / 3, y + r / 3), fill=_GROUND)
    x, y = rng.uniform(60, width - 60), rng.uniform(60, height - 60)
    draw.ellipse((x - 24, y - 20, x + 24, y + 20), fill=_NUCLEUS)
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float32)
    return (smooth + rng.normal(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8)


def burn(
    pixels: Pixels, text: str, colour: str = "black", rotation: int = 0,
    at: tuple[int, int] = (40, 30), size: int = 16,
) -> Burned:  # fmt: skip
    """Write a text into an image (h, w, 3), its left top corner at (x, y) px."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(x) for x in font.getbbox(text))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font, fill=255)
    return _burned(pixels, np.rot90(np.asarray(mask), rotation // 90), COLOURS[colour], at)


def burn_barcode(
    pixels: Pixels, content: str, kind: str, at: tuple[int, int] = (40, 30), damaged: bool = False
) -> Burned:
    """Put a barcode with its quiet zone into an image (h, w, 3), modules of 3 px."""
    import zxingcpp

    code = zxingcpp.create_barcode(content, zxingcpp.barcode_format_from_str(kind))
    drawn = 255 - np.array(zxingcpp.write_barcode_to_image(code, scale=3))
    if damaged:
        middle = drawn.shape[0] // 2
        drawn[middle - 12 : middle + 12, middle - 12 : middle + 12] = 0
    white = _burned(pixels, np.full_like(drawn, 255), COLOURS["white"], at)
    return _burned(white.pixels, drawn, COLOURS["black"], at)


def _burned(
    pixels: Pixels, mask: Pixels, colour: tuple[int, int, int], at: tuple[int, int]
) -> Burned:
    left, top = at
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    ink = np.zeros(pixels.shape[:2], np.uint8)
    ink[top:bottom, left:right] = mask
    share = ink[:, :, None].astype(np.float32) / 255
    out = pixels * (1 - share) + np.array(colour, np.float32) * share
    return Burned(np.round(out).astype(np.uint8), (left, top, right, bottom), ink)
