"""Faults planted in pictures of cells: (h, w, 3) uint8 RGB in, the same kind out."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

Picture = NDArray[np.uint8]
Fault = Callable[[Picture, Picture, np.random.Generator], Picture]
"""Of a picture, another picture of the same source, and chance."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CAMERA_NOISE = 1.5


def _levels(values: NDArray[np.floating]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def blurred(picture: Picture, _: Picture, rng: np.random.Generator, *, sigma_px: float) -> Picture:
    """Blur as a lens does: the noise of the camera and the JPEG file come after it."""
    soft = cv2.GaussianBlur(picture, (0, 0), sigma_px).astype(np.float32)
    return _decoded(_jpeg(_levels(soft + rng.normal(0, _CAMERA_NOISE, picture.shape)), 90))


def exposed(picture: Picture, _: Picture, __: np.random.Generator, *, factor: float) -> Picture:
    """Multiply the light."""
    return _levels(picture.astype(np.float32) * factor)


def faded(picture: Picture, _: Picture, __: np.random.Generator, *, kept: float) -> Picture:
    """Keep a share of the colour."""
    grey = (picture.astype(np.float32) @ _LUMA)[..., None]
    return _levels(kept * picture.astype(np.float32) + (1 - kept) * grey)


def _jpeg(picture: Picture, quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _decoded(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def compressed(picture: Picture, _: Picture, __: np.random.Generator, *, quality: int) -> Picture:
    """Pass through a strong JPEG."""
    return _decoded(_jpeg(picture, quality))


def truncated(picture: Picture, _: Picture, __: np.random.Generator, *, lost: float) -> Picture:
    """Lose the end of the file; what decodes is what lenient software saves."""
    data = _jpeg(picture, 90)
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _decoded(data[: round(len(data) * (1 - lost))])
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def off_centre(picture: Picture, _: Picture, rng: np.random.Generator, *, by: float) -> Picture:
    """Move the cell by a share of the side; the content at the border is mirrored."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    move = np.array([[1, 0, by * width * np.cos(angle)], [0, 1, by * height * np.sin(angle)]])
    return np.asarray(
        cv2.warpAffine(picture, move, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def cut_in_half(picture: Picture, _: Picture, rng: np.random.Generator) -> Picture:
    """Cut a square whose border runs through the middle of the picture."""
    height, width = picture.shape[:2]
    side = min(height, width) // 2
    top = (height - side) // 2
    left = width // 2 if rng.random() < 0.5 else width // 2 - side
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def two_cells(picture: Picture, other: Picture, _: np.random.Generator) -> Picture:
    """Put the middle halves of two pictures side by side."""
    height, width = picture.shape[:2]
    beside = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    near, half = width // 4, width // 2
    return np.hstack([picture[:, near : near + half], beside[:, near : near + width - half]])


def without_cell(picture: Picture, _: Picture, __: np.random.Generator) -> Picture:
    """Put the four corners together: red cells and platelets, and now and then a cut neighbour."""
    height, width = picture.shape[:2]
    down, across = height // 3, width // 3
    upper = np.hstack([picture[:down, :across], picture[:down, -across:]])
    lower = np.hstack([picture[-down:, :across], picture[-down:, -across:]])
    return np.asarray(cv2.resize(np.vstack([upper, lower]), (width, height)), np.uint8)


def bare(picture: Picture, _: Picture, rng: np.random.Generator) -> Picture:
    """Leave background alone."""
    modes = [np.bincount(picture[..., place].ravel(), minlength=256).argmax() for place in range(3)]
    return _levels(np.array(modes) + rng.normal(0, _CAMERA_NOISE, picture.shape))


def magnified(picture: Picture, _: Picture, __: np.random.Generator) -> Picture:
    """Show the middle at twice the size."""
    height, width = picture.shape[:2]
    middle = picture[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def shrunk(picture: Picture, _: Picture, __: np.random.Generator) -> Picture:
    """Show it at half the size, with its mirror images around it."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    top, left = (height - height // 2) // 2, (width - width // 2) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            small, top, height - height // 2 - top, left, width - width // 2 - left,
            cv2.BORDER_REFLECT_101,
        ),
        np.uint8,
    )  # fmt: skip


FAULTS: Mapping[str, tuple[tuple[str, ...], Fault]] = MappingProxyType({
    "blur, sigma 1.5 px": (("focus",), partial(blurred, sigma_px=1.5)),
    "blur, sigma 2 px": (("focus",), partial(blurred, sigma_px=2.0)),
    "blur, sigma 4 px": (("focus",), partial(blurred, sigma_px=4.0)),
    "light x 0.5": (("too_dark",), partial(exposed, factor=0.5)),
    "light x 0.7": (("too_dark",), partial(exposed, factor=0.7)),
    "light x 1.3": (("too_bright", "clipped"), partial(exposed, factor=1.3)),
    "light x 1.6": (("too_bright", "clipped"), partial(exposed, factor=1.6)),
    "half the colour": (("colourless",), partial(faded, kept=0.5)),
    "no colour": (("colourless",), partial(faded, kept=0.0)),
    "JPEG of quality 10": (("blocks",), partial(compressed, quality=10)),
    "JPEG of quality 5": (("blocks",), partial(compressed, quality=5)),
    "file without its last 10 %": (("truncated",), partial(truncated, lost=0.1)),
    "file without its last 50 %": (("truncated",), partial(truncated, lost=0.5)),
    "moved by 20 % of the side": (("off_centre",), partial(off_centre, by=0.2)),
    "moved by 35 % of the side": (("off_centre",), partial(off_centre, by=0.35)),
    "cut in half": (("cut", "off_centre"), cut_in_half),
    "two cells side by side": (("several",), two_cells),
    "no cell, red cells only": (("empty",), without_cell),
    "no cell, background only": (("empty",), bare),
    "twice the magnification": (("magnification",), magnified),
    "half the magnification": (("magnification",), shrunk),
})  # fmt: skip
"""Name of the fault -> the checks that should see it, and how it is planted."""
