"""From the bytes of a source image to the image that is released, and its identity.

A JPEG keeps its compressed scan; everything else, and a JPEG whose orientation or colour profile
has to be applied, is encoded anew as PNG from the pixel array.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import simplejpeg
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from .deidentify.jpeg import CleanJpeg, MalformedJpegError, clean_jpeg
from .errors import ImageError

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB or (height, width) grey, uint8 in [0, 255]."""

_ORIENTATION = 0x0112
_ID_BYTES = 16
# Of all that Pillow can open, what a microscope's software writes; some of the rest runs programs.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
# Damaged EXIF orients nothing (viewers show such a file as stored), and is dropped in any case.
_DAMAGED_EXIF = (SyntaxError, ValueError, TypeError, OSError, LookupError, struct.error)
_DEFLATE_LEVEL = 3  # of zlib; level 6 makes cells 2 % smaller in twice the time


@dataclass(frozen=True, slots=True)
class Limits:
    """Which image sizes are taken: shortest side in px, and pixels in all (a bomb decodes none)."""

    min_side_px: int = 16
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True)
class ReleasedImage:
    """An image as it is released: pixels and nothing else."""

    data: bytes
    image_id: str
    width: int
    height: int
    codec: Literal["jpeg", "png"]


def release_image(data: bytes, limits: Limits) -> ReleasedImage:
    """Return the released form of a source image.

    Raises: ImageError with reason unreadable, too_small, too_large or several_images.
    """
    jpeg = _clean_or_none(data)
    if jpeg is not None:
        check_size(jpeg.width, jpeg.height, limits)
        if _shows_as_stored(jpeg):
            pixels = _decode_clean(jpeg)
            if pixels is not None:
                return _released(jpeg.data, pixels, "jpeg")
    pixels = decode_any(data, limits)
    return _released(encode_png(pixels), pixels, "png")


def pixel_id(pixels: Pixels) -> str:
    """Return the identity of an image: hash of its mode, shape and pixels, 32 hex digits."""
    mode = "L" if pixels.ndim == 2 else "RGB"
    head = f"{mode} {pixels.shape[1]}x{pixels.shape[0]}\n".encode()
    body = np.ascontiguousarray(pixels).reshape(-1).data
    return blake3(head).update(body).hexdigest(length=_ID_BYTES)


def encode_png(pixels: Pixels) -> bytes:
    """Encode an array as a PNG that holds pixels and nothing else."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=_DEFLATE_LEVEL)
    return out.getvalue()


def decode_rgb(data: bytes) -> Pixels:
    """Decode a released image to (height, width, 3) uint8 RGB; grey is repeated over channels."""
    if data[:2] == b"\xff\xd8":
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB"), dtype=np.uint8)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse sizes outside the limits, from the header alone.

    Raises: ImageError with reason too_small or too_large.
    """
    if min(width, height) < limits.min_side_px:
        raise ImageError(
            "too_small", f"{width}x{height} px; the shortest side must be {limits.min_side_px}"
        )
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_large", f"{width}x{height} px; at most {limits.max_pixels} pixels are decoded"
        )


def _released(data: bytes, pixels: Pixels, codec: Literal["jpeg", "png"]) -> ReleasedImage:
    return ReleasedImage(data, pixel_id(pixels), pixels.shape[1], pixels.shape[0], codec)


def _clean_or_none(data: bytes) -> CleanJpeg | None:
    if data[:2] != b"\xff\xd8":
        return None
    try:
        return clean_jpeg(data)
    except MalformedJpegError:
        # Not lost: the general decoder has the last word on whether the pixels can be had.
        return None


def _shows_as_stored(jpeg: CleanJpeg) -> bool:
    if jpeg.components not in (1, 3):
        return False
    if jpeg.icc and not _is_srgb(jpeg.icc):
        return False
    return not jpeg.exif or _exif_orientation(jpeg.exif) == 1


def _exif_orientation(payload: bytes) -> int:
    exif = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged EXIF, which is dropped here
        try:
            exif.load(payload)
            value = exif.get(_ORIENTATION, 1)
        except _DAMAGED_EXIF:
            return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    try:
        description = ImageCms.getProfileDescription(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError):
        return False
    return "srgb" in description.casefold()


def _decode_clean(jpeg: CleanJpeg) -> Pixels | None:
    """Return the pixels of a cleaned JPEG, or None where the decoder only warned its way to them.

    simplejpeg and Pillow stand on the same libjpeg-turbo with the same settings: equal pixels
    (a test holds them equal).
    """
    colorspace = "GRAY" if jpeg.components == 1 else "RGB"
    try:
        pixels = simplejpeg.decode_jpeg(jpeg.data, colorspace, strict=True)
    except ValueError:
        return None
    array = np.asarray(pixels, dtype=np.uint8)
    return array[:, :, 0] if jpeg.components == 1 else array


def decode_any(data: bytes, limits: Limits) -> Pixels:
    """Decode any supported format to an upright sRGB array, (h, w, 3) or (h, w) uint8.

    Raises: ImageError with reason unreadable, too_small, too_large or several_images.
    """
    try:
        with warnings.catch_warnings():
            # Sizes are checked against our own limit before a pixel is decoded.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                check_size(image.width, image.height, limits)
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    raise ImageError("several_images", f"{image.format} with several frames")
                image.load()
                return _to_uint8(_to_srgb(_upright(image)))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_large", "refused by the decoder as a decompression bomb") from error
    except Exception as error:
        # A decoder of a damaged file may raise anything; one such file must not end a run of half
        # a million, so it is quarantined and counted.
        raise ImageError("unreadable", type(error).__name__) from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGED_EXIF:
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    if image.mode == "L" or _is_srgb(profile):
        return image
    target = ImageCms.createProfile("sRGB")
    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(profile), target, outputMode="RGBA" if image.mode == "RGBA" else "RGB"
        )
    except ImageCms.PyCMSError as error:
        raise ImageError("unreadable", "its colour profile cannot be applied") from error
    if converted is None:
        raise ImageError("unreadable", "its colour profile cannot be applied")
    return converted


def _to_uint8(image: Image.Image) -> Pixels:
    mode = image.mode
    if mode in ("RGB", "L"):
        return np.asarray(image, dtype=np.uint8)
    if mode.startswith("I"):
        return _grey16_to_uint8(np.asarray(image))
    if mode == "1":
        return np.asarray(image.convert("L"), dtype=np.uint8)
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        # What an alpha channel hides is not shown, so it must not be released either.
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"), dtype=np.uint8)
    if mode in ("P", "CMYK", "YCbCr", "HSV"):
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
    raise ImageError("unreadable", f"pixel mode {mode} is not supported")


def _grey16_to_uint8(grey: NDArray[np.generic]) -> Pixels:
    values = grey.astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("unreadable", "grey values outside 16 bits")
    return ((values + 128) // 257).astype(np.uint8)
