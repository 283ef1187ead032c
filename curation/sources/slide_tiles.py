"""Decoding the tiles of one TIFF page that a region touches, with bounds on what each may cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from ..deidentify.colour import to_srgb
from ..deidentify.jpeg_frame import BASELINE, EXTENDED, Frame, read_frame
from ..deidentify.jpeg_tables import MalformedJpegError
from ..errors import ImageError
from ..pixels import Limits, Pixels
from .boxes import Box

_NONE, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 5, 7, 8, 32946, 32773
_JPEG_2000 = (33003, 33005, 34712)
_COMPRESSIONS = (_NONE, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS, *_JPEG_2000)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_MIN_TILE_SIDE = 8
_MAX_COMPRESSED_GROWTH = 4


def check_page(page: Any, limits: Limits) -> None:
    """Refuse a `tifffile.TiffPage` that cannot be decoded to 8-bit colour or grey within bounds.

    Raises: ImageError with reason unreadable or too_large.
    """
    samples, bits = page.samplesperpixel, page.bitspersample
    grey = samples == 1 and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    colour = samples == 3 and (
        page.photometric == _RGB or (page.photometric == _YCBCR and _is_image_codec(page))
    )
    if bits != 8 or page.imagedepth != 1 or not (grey or colour):
        raise ImageError("unreadable", f"{samples} samples of {bits} bit; expected 1 or 3 of 8 bit")
    if page.planarconfig != 1 and samples > 1:
        raise ImageError("unreadable", "its colours are stored apart")
    if page.compression not in _COMPRESSIONS:
        raise ImageError("unreadable", f"compression {int(page.compression)} is not supported")
    width, height = _tile_size(page)
    if min(width, height) < _MIN_TILE_SIDE and page.is_tiled:
        raise ImageError("unreadable", f"tiles of {width}x{height} px")
    if width * height > limits.max_pixels:
        raise ImageError("too_large", f"pieces of {width}x{height} px are decoded at once")


def _is_image_codec(page: Any) -> bool:
    return page.compression == _JPEG or page.compression in _JPEG_2000


def _tile_size(page: Any) -> tuple[int, int]:
    """Return width and height in px of what is decoded at once: a tile or a strip."""
    if page.tilewidth and page.tilelength:  # NDPI: pieces between restart markers
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), int(min(page.rowsperstrip, page.imagelength)) or 1


def read_box(page: Any, box: Box) -> Pixels:
    """Return a region of a page as sRGB, (h, w, 3) or (h, w) uint8; it lies inside the page.

    Raises: ImageError with reason unreadable or too_large.
    """
    left, top, right, bottom = box
    width, height = _tile_size(page)
    across = math.ceil(page.imagewidth / width)
    channels = (3,) if page.samplesperpixel == 3 else ()
    out = np.empty((bottom - top, right - left, *channels), dtype=np.uint8)
    for row in range(top // height, math.ceil(bottom / height)):
        for column in range(left // width, math.ceil(right / width)):
            tile = _decode(page, row * across + column)
            y, x = row * height, column * width
            y0, y1 = max(top, y), min(bottom, y + height)
            x0, x1 = max(left, x), min(right, x + width)
            piece = tile[y0 - y : y1 - y, x0 - x : x1 - x]
            if piece.shape[:2] != (y1 - y0, x1 - x0):
                raise ImageError("unreadable", "a tile is smaller than it should be")
            out[y0 - top : y1 - top, x0 - left : x1 - left] = piece
    pixels: Pixels = 255 - out if page.photometric == _WHITE_IS_ZERO else out
    return _without_profile(pixels, page.iccprofile)


def _decode(page: Any, index: int) -> Pixels:
    """Return one tile or strip; (h, w, 3) or (h, w) uint8."""
    try:
        data = _tile_bytes(page, index)
        _check_tile(page, data)
        tile, _, _ = page.decode(data, index, jpegtables=page.jpegtables, **_header(page))
    except ImageError:
        raise
    except Exception as error:
        # A decoder of a damaged tile may raise anything; the cells in it are quarantined.
        raise ImageError("unreadable", f"a tile: {type(error).__name__}") from None
    tile = np.asarray(tile)
    if tile.dtype != np.uint8 or tile.ndim != 4 or tile.shape[0] != 1:
        raise ImageError("unreadable", "a tile is not 8-bit")
    return tile[0] if page.samplesperpixel == 3 else tile[0, :, :, 0]


def _header(page: Any) -> dict[str, bytes]:
    return {"jpegheader": page.jpegheader} if page.jpegheader is not None else {}


def _tile_bytes(page: Any, index: int) -> bytes:
    offsets, counts = page.dataoffsets, page.databytecounts
    if index >= min(len(offsets), len(counts)) or not (offsets[index] > 0 and counts[index] > 0):
        # Scanners leave out tiles without tissue; filled with one colour, they would pass for it.
        raise ImageError("unreadable", "a tile that is not in the file")
    width, height = _tile_size(page)
    allowed = _MAX_COMPRESSED_GROWTH * width * height * page.samplesperpixel + 65_536
    if counts[index] > allowed:
        raise ImageError("unreadable", f"a tile of {counts[index]} bytes for {width}x{height} px")
    file = page.parent.filehandle
    file.seek(int(offsets[index]))
    data: bytes = file.read(int(counts[index]))
    if len(data) < counts[index]:
        raise ImageError("unreadable", "a tile is cut off")
    return data


def _check_tile(page: Any, data: bytes) -> None:
    """Refuse a tile whose own header says that it is larger than a tile: a bomb."""
    width, height = _tile_size(page)
    if page.compression == _JPEG and page.jpegheader is None:
        frame = _jpeg_frame(data)
        if not data.rstrip(b"\x00\xff").endswith(b"\xff\xd9"):
            # The decoder would fill up with grey what is missing.
            raise ImageError("unreadable", "a tile is cut off")
        size = frame.width, frame.height
    elif page.compression in _JPEG_2000:
        size = _jpeg_2000_size(data)
    else:
        return  # the decoder is told how much to make of it
    if size[0] > width or size[1] > height:
        raise ImageError(
            "too_large", f"a tile of {size[0]}x{size[1]} px instead of {width}x{height}"
        )


def _jpeg_frame(data: bytes) -> Frame:
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in (BASELINE, EXTENDED):
            try:
                return read_frame(marker, data[at + 4 : at + 2 + length])
            except MalformedJpegError as error:
                raise ImageError("unreadable", f"a tile: {error}") from None
        at += 2 + length if marker != 0xFF else 1
    raise ImageError("unreadable", "a tile is no baseline JPEG")


def _jpeg_2000_size(data: bytes) -> tuple[int, int]:
    if data[:4] != b"\xff\x4f\xff\x51" or len(data) < 24:
        raise ImageError("unreadable", "a tile is no JPEG 2000 codestream")
    right, bottom, left, top = (int.from_bytes(data[at : at + 4]) for at in (8, 12, 16, 20))
    return right - left, bottom - top


def _without_profile(pixels: Pixels, profile: bytes | None) -> Pixels:
    image = Image.fromarray(pixels)
    image.info["icc_profile"] = profile
    return np.asarray(to_srgb(image), dtype=np.uint8) if profile else pixels
