"""A byte-level walk over a JPEG file that keeps its compressed scan and drops everything else.

Recompressing a cell costs time and quality and decoding it to PNG grows it eightfold; so the
entropy-coded scan is copied bit for bit and every segment that is not needed to decode it goes.
Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_EOI, _SOS, _DQT, _DHT, _DRI, _APP0, _APP1, _APP2, _APP14 = (
    0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE,
)  # fmt: skip
# Baseline, extended and progressive Huffman: what every decoder reads.
_FRAMES = (0xC0, 0xC1, 0xC2)
_KEPT = (_DQT, _DHT, _DRI)
# In a scan 0xFF is followed by 0x00 (stuffing) or RST0..7; anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
_RGB_IDS = b"RGB"


class MalformedJpegError(ValueError):
    """The bytes do not follow the part of the JPEG standard that this walk vouches for."""


@dataclass(frozen=True, slots=True)
class CleanJpeg:
    """A JPEG without its metadata, and what the metadata said about showing the pixels."""

    data: bytes
    width: int
    height: int
    components: int
    exif: bytes
    icc: bytes


@dataclass(slots=True)
class _Walk:
    kept: list[bytes]
    frame: tuple[int, int, bytes] | None = None
    exif: bytes = b""
    icc: bytes = b""
    jfif: bool = False
    adobe: int | None = None
    scans: int = 0


def clean_jpeg(data: bytes) -> CleanJpeg:
    """Return the JPEG with only the segments that decoding needs; the scan bit for bit.

    Raises: MalformedJpegError where the file is truncated or uses what is not vouched for.
    """
    if data[:2] != b"\xff\xd8":
        raise MalformedJpegError("does not begin with SOI")
    walk = _Walk(kept=[b"\xff\xd8"])
    position = 2
    while True:
        marker, position = _marker(data, position)
        if marker == _EOI:
            break
        body, position = _segment(data, position)
        if marker == _SOS:
            position = _scan(walk, data, body, position)
        else:
            _take(walk, marker, body)
    if walk.frame is None or not walk.scans:
        raise MalformedJpegError("has no frame or no scan")
    width, height, ids = walk.frame
    # A JFIF segment says YCbCr and outranks the Adobe segment and the names of the components; it
    # is dropped, so what only it decides is not vouched for.
    outranked = walk.jfif and len(ids) == 3 and walk.adobe == 0
    if outranked or (ids == _RGB_IDS and walk.adobe is None):
        raise MalformedJpegError("colour space depends on a segment that is dropped")
    walk.kept.append(b"\xff\xd9")
    return CleanJpeg(b"".join(walk.kept), width, height, len(ids), walk.exif, walk.icc)


def _marker(data: bytes, position: int) -> tuple[int, int]:
    if data[position : position + 1] != b"\xff":
        raise MalformedJpegError("data between segments, or truncated")
    while data[position : position + 1] == b"\xff":
        position += 1
    if position >= len(data):
        raise MalformedJpegError("truncated before EOI")
    return data[position], position + 1


def _segment(data: bytes, position: int) -> tuple[bytes, int]:
    if position + 2 > len(data):
        raise MalformedJpegError("truncated in a segment")
    length = int(struct.unpack_from(">H", data, position)[0])
    end = position + length
    if length < 2 or end > len(data):
        raise MalformedJpegError("a segment is longer than the file")
    return data[position + 2 : end], end


def _emit(walk: _Walk, marker: int, body: bytes) -> None:
    walk.kept.append(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)


def _take(walk: _Walk, marker: int, body: bytes) -> None:
    if marker in _FRAMES:
        if walk.frame is not None or len(body) < 6 or len(body) != 6 + 3 * body[5]:
            raise MalformedJpegError("frame header is wrong or repeated")
        height, width = struct.unpack_from(">HH", body, 1)
        walk.frame = (width, height, bytes(body[6::3]))
        _emit(walk, marker, body)
    elif marker in _KEPT:
        _emit(walk, marker, body)
    elif marker == _APP0 and body[:5] == b"JFIF\x00":
        walk.jfif = True
    elif marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
        # Written anew: only the transform byte decides how the pixels decode.
        walk.adobe = body[11]
        _emit(walk, _APP14, b"Adobe\x00\x64\x00\x00\x00\x00" + body[11:12])
    elif marker == _APP1 and body[:6] == b"Exif\x00\x00":
        walk.exif = walk.exif or body
    elif marker == _APP2 and body[:12] == b"ICC_PROFILE\x00":
        walk.icc += body[14:]
    elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
        raise MalformedJpegError(f"marker 0x{marker:02X} is not vouched for")


def _scan(walk: _Walk, data: bytes, header: bytes, position: int) -> int:
    if walk.frame is None:
        raise MalformedJpegError("scan before frame")
    following = _NEXT_MARKER.search(data, position)
    if following is None:
        raise MalformedJpegError("truncated in the scan")
    _emit(walk, _SOS, header)
    walk.kept.append(data[position : following.start()])
    walk.scans += 1
    return following.start()
