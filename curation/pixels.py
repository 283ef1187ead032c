"""From the bytes of a source image to the image that is released, and its identity.

A JPEG keeps its compressed scan where `deidentify.jpeg` and `deidentify.jpeg_slack` vouch for it,
and its coefficients where `deidentify.jpeg_turn` can turn them upright; everything else, and a JPEG
whose colour profile has to be applied, is encoded anew as PNG from the pixel array.
"""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import simplejpeg
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from .deidentify.colour import changes_colours, to_srgb
from .deidentify.jpeg import MAX_SCANS, CleanJpeg, MalformedJpegError, clean_jpeg
from .deidentify.jpeg_slack import may_hide_text
from .deidentify.jpeg_turn import turned_jpeg
from .deidentify.orientation import UPRIGHT, exif_orientation, upright
from .errors import ImageError

Pixels = NDArray[np.uint8]
"""(height, width, 3) RGB or (height, width) grey, uint8 in [0, 255]."""

_SOI, _SOS = b"\xff\xd8", b"\xff\xda"
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_ICC = b"ICC_PROFILE\x00"
_ID_BYTES = 16
# At DEBUG it logs the values of tags, which name people, wherever the caller logs to.
logging.getLogger("PIL").setLevel(logging.INFO)
# Of all that Pillow can open, what a microscope's software writes; some of the rest runs programs.
_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
_DEFLATE_LEVEL = 3  # of zlib; level 6 makes cells 2 % smaller in twice the time


@dataclass(frozen=True, slots=True)
class Limits:
    """Which image sizes are taken: shortest side in px, and pixels in all (a bomb decodes none)."""

    min_side_px: int = 16
    max_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True)
class ReleasedImage:
    """An image as it is released: pixels and nothing else; and those pixels, decoded."""

    data: bytes
    image_id: str
    width: int
    height: int
    codec: Literal["jpeg", "png"]
    pixels: Pixels = field(repr=False, compare=False)


def release_image(data: bytes, limits: Limits, *, reencode: bool = False) -> ReleasedImage:
    """Return the released form of a source image; with `reencode`, encoded anew in any case.

    Raises: ImageError with reason unreadable, too_small, too_large or several_images.
    """
    jpeg = None if reencode else _clean_or_none(data)
    if jpeg is not None:
        check_size(jpeg.width, jpeg.height, limits)
        shown = _as_shown(jpeg)
        pixels = None if shown is None else _decode_clean(shown)
        if shown is not None and pixels is not None:
            return _released(shown.data, pixels, "jpeg")
    return release_pixels(decode_any(data, limits), limits)


def release_pixels(pixels: Pixels, limits: Limits) -> ReleasedImage:
    """Return the released form of an array, (h, w, 3) or (h, w) uint8, that a source decoded.

    Raises: ImageError with reason unreadable, too_small or too_large.
    """
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise ImageError("unreadable", "expected (h, w, 3) or (h, w) pixels of 8 bits")
    check_size(pixels.shape[1], pixels.shape[0], limits)
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
    if data[:2] == _SOI:
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


def decode_any(data: bytes, limits: Limits) -> Pixels:
    """Decode any supported format to an upright sRGB array, (h, w, 3) or (h, w) uint8.

    Raises: ImageError with reason unreadable, too_small, too_large or several_images.
    """
    if data[:2] == _SOI and data.count(_SOS) > 2 * MAX_SCANS:
        raise ImageError("unreadable", f"a JPEG of more than {2 * MAX_SCANS} scans")
    try:
        with warnings.catch_warnings():
            # Sizes are checked against our own limit before a pixel is decoded.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                check_size(image.width, image.height, limits)
                _check_tile(image, limits)
                _check_single(image)
                _check_profile_is_whole(image)
                return _to_array(to_srgb(_to_8_bits(upright(image))))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_large", "refused by the decoder as a decompression bomb") from error
    except Exception as error:
        # A decoder of a damaged file may raise anything; one such file must not end a run of half
        # a million, so it is quarantined and counted.
        raise ImageError("unreadable", type(error).__name__) from error


def _released(data: bytes, pixels: Pixels, codec: Literal["jpeg", "png"]) -> ReleasedImage:
    return ReleasedImage(data, pixel_id(pixels), pixels.shape[1], pixels.shape[0], codec, pixels)


def _clean_or_none(data: bytes) -> CleanJpeg | None:
    if data[:2] != _SOI:
        return None
    try:
        return clean_jpeg(data)
    except MalformedJpegError:
        # Not lost: the general decoder has the last word on whether the pixels can be had.
        return None


def _as_shown(jpeg: CleanJpeg) -> CleanJpeg | None:
    """Return the JPEG upright; None where showing it as meant needs its pixels."""
    if jpeg.icc and changes_colours(jpeg.icc, "L" if jpeg.components == 1 else "RGB"):
        return None
    orientation = exif_orientation(jpeg.exif) if jpeg.exif else UPRIGHT
    return jpeg if orientation == UPRIGHT else turned_jpeg(jpeg, orientation)


def _decode_clean(jpeg: CleanJpeg) -> Pixels | None:
    """Return the pixels of a cleaned JPEG, or None where its scan is damaged or holds more.

    simplejpeg and Pillow stand on the same libjpeg-turbo with the same settings: equal pixels
    (a test holds them equal).
    """
    if may_hide_text(jpeg):
        return None
    colorspace = "GRAY" if jpeg.components == 1 else "RGB"
    try:
        pixels = simplejpeg.decode_jpeg(jpeg.data, colorspace, strict=True)
    except ValueError:
        return None
    array = np.asarray(pixels, dtype=np.uint8)
    return array[:, :, 0] if jpeg.components == 1 else array


def _check_tile(image: Image.Image, limits: Limits) -> None:
    # A small TIFF may say that it lies in a tile of any size, for which libtiff takes memory.
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1)
    if not (isinstance(width, int) and isinstance(height, int)):
        raise ImageError("unreadable", "the size of its tiles is not a number")
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_large", f"tiles of {width}x{height} px; at most {limits.max_pixels} are decoded"
        )


def _check_single(image: Image.Image) -> None:
    # Not n_frames, which would walk a chain of a million pages. The further images of an MPO are
    # other views or previews of its first.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise ImageError("several_images", f"{image.format} with several frames")


def _check_profile_is_whole(image: Image.Image) -> None:
    # Pillow takes a JPEG with a part of its profile missing for one without a profile.
    segments = getattr(image, "applist", [])
    parts = any(name == "APP2" and body[:12] == _ICC for name, body in segments)
    if parts and not image.info.get("icc_profile"):
        raise ImageError("unreadable", "parts of its colour profile are missing or repeated")


def _to_8_bits(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    pixels = _grey16_to_uint8(values)
    pixels[values == image.info.get("transparency", -1)] = 255
    grey = Image.fromarray(pixels)
    grey.info = {key: image.info[key] for key in ("icc_profile",) if key in image.info}
    return grey


def _to_array(image: Image.Image) -> Pixels:
    mode = image.mode
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        # What an alpha channel hides is not shown, so it must not be released either.
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"), dtype=np.uint8)
    if mode in ("RGB", "L"):
        return np.asarray(image, dtype=np.uint8)
    if mode == "1":
        return np.asarray(image.convert("L"), dtype=np.uint8)
    if mode in ("P", "CMYK", "YCbCr", "HSV"):
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
    raise ImageError("unreadable", f"pixel mode {mode} is not supported")


def _grey16_to_uint8(grey: NDArray[np.generic]) -> Pixels:
    if grey.dtype != np.uint16 and (grey.min() < 0 or grey.max() > 65535):
        raise ImageError("unreadable", "grey values outside 16 bits")
    # A table instead of arithmetic in wider integers, which would take eight times the memory.
    levels = (np.arange(65536, dtype=np.uint32) + 128) // 257
    return levels.astype(np.uint8)[grey.astype(np.uint16)]
