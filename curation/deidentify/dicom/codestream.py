"""What a compressed frame says of itself: size and colours, read before a decoder allocates."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ...errors import ImageError

_STANDALONE = (0x01, *range(0xD0, 0xD9))
# All frame headers of JPEG (but DHT, JPG and DAC between them), and that of JPEG-LS.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SOS, _APP0, _APP14 = 0xDA, 0xE0, 0xEE
_J2K_START = b"\xff\x4f\xff\x51"
_J2K_WITHIN = 4096  # some write the boxes of a JP2 file before the code stream
RGB_IDS = (b"RGB", b"rgb")


@dataclass(frozen=True, slots=True)
class CodeStream:
    """Size in px, bits of a sample and the marks that tell RGB from YCbCr."""

    width: int
    height: int
    samples: int
    precision: int
    component_ids: bytes = b""
    is_jfif: bool = False
    adobe_transform: int | None = None


def read_jpeg(data: bytes) -> CodeStream:
    """Return what a JPEG or JPEG-LS stream says of itself.

    Raises: ImageError with reason unreadable.
    """
    if data[:2] != b"\xff\xd8":
        raise ImageError("unreadable", "a DICOM frame that is not in the syntax the file names")
    is_jfif, adobe, position = False, None, 2
    while True:
        marker, body, position = _segment(data, position)
        if marker in _FRAMES:
            return _jpeg_frame(body, is_jfif, adobe)
        if marker == _APP0 and body[:5] == b"JFIF\x00":
            is_jfif = True
        if marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]


def read_jpeg2000(data: bytes) -> CodeStream:
    """Return what a JPEG 2000 code stream says of itself.

    Raises: ImageError with reason unreadable.
    """
    start = data.find(_J2K_START, 0, _J2K_WITHIN)
    if start < 0 or len(data) < start + 43:
        raise ImageError("unreadable", "a DICOM frame that is not in the syntax the file names")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    tile_right, tile_bottom = struct.unpack_from(">II", data, start + 24)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    if not (left < right and top < bottom and tile_right and tile_bottom):
        raise ImageError("unreadable", "a JPEG 2000 frame of no pixels")
    return CodeStream(right - left, bottom - top, samples, (data[start + 42] & 0x7F) + 1)


def _segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    while True:
        if position + 4 > len(data) or data[position] != 0xFF:
            raise ImageError("unreadable", "a JPEG frame without a frame header")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            break
    length = int.from_bytes(data[position + 2 : position + 4])
    end = position + 2 + length
    if length < 2 or end > len(data) or marker == _SOS:
        raise ImageError("unreadable", "a JPEG frame without a frame header")
    return marker, data[position + 4 : end], end


def _jpeg_frame(body: bytes, is_jfif: bool, adobe: int | None) -> CodeStream:
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise ImageError("unreadable", "a JPEG frame header that is cut off")
    precision, height, width, samples = struct.unpack_from(">BHHB", body)
    ids = bytes(body[6 : 6 + 3 * samples : 3])
    return CodeStream(width, height, samples, precision, ids, is_jfif, adobe)
