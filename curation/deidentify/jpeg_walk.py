"""Reading a JPEG marker by marker: what decoding needs is parsed in full, the rest is skipped.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from .jpeg_frame import (
    BASELINE,
    EXTENDED,
    PROGRESSIVE,
    Frame,
    ScanHeader,
    read_frame,
    read_scan_header,
)
from .jpeg_tables import MalformedJpegError, read_huffman, read_quantisation

SOI = b"\xff\xd8"
MAX_SCANS = 64
"""Encoders write about ten; a file of thousands would keep a decoder busy for hours."""

_EOI, _SOS, _DQT, _DHT, _DRI, _APP0, _APP1, _APP2, _APP14, _APP15, _COM = (
    0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE,
)  # fmt: skip
# In a scan 0xFF is followed by 0x00 (stuffing), or by RST0..7 where restarts were announced;
# anything else ends it. The patterns begin with a literal byte: a search then runs as memchr does.
_END_OF_SCAN = re.compile(rb"\xff[^\x00]")
_END_WITH_RESTARTS = re.compile(rb"\xff[^\x00\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan: its header, the Huffman tables it refers to, and its entropy-coded bytes."""

    header: ScanHeader
    tables: dict[tuple[int, int], bytes]
    coded: bytes


@dataclass(slots=True)
class Walk:
    """What was found on the way; `restarts` is the restart interval, in MCUs."""

    quantisation: dict[int, bytes] = field(default_factory=dict)
    huffman: dict[tuple[int, int], bytes] = field(default_factory=dict)
    pending: list[bytes] = field(default_factory=list)
    frame: Frame | None = None
    restarts: int | None = None
    scans: list[Scan] = field(default_factory=list)
    jfif: bool = False
    adobe: int | None = None
    exif: bytes = b""
    icc: list[bytes] = field(default_factory=list)


def walk_jpeg(data: bytes) -> Walk:
    """Return what a JPEG holds up to its EOI.

    Raises: MalformedJpegError where it is truncated or uses what is not vouched for.
    """
    if data[:2] != SOI:
        raise MalformedJpegError("does not begin with SOI")
    walk = Walk()
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
    if data.find(b"\xff\xd8\xff", position) >= 0:
        raise MalformedJpegError("has another image behind its end")
    return walk


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


def _take(walk: Walk, marker: int, body: bytes) -> None:
    if marker == _DHT:
        # Whether its symbols are possible ones depends on the frame, which may come later.
        walk.pending.append(body)
    elif marker in (BASELINE, EXTENDED, PROGRESSIVE, _DQT, _DRI):
        _take_once(walk, marker, body)
    elif marker == _APP0 and body[:5] == b"JFIF\x00" and len(body) >= 14:
        walk.jfif = True
    elif marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
        walk.adobe = body[11]
    elif marker == _APP1 and body[:6] == b"Exif\x00\x00" and not walk.scans:
        # Behind a scan no viewer looks for it.
        walk.exif = walk.exif or body
    elif marker == _APP2 and body[:12] == b"ICC_PROFILE\x00" and len(body) >= 14:
        walk.icc.append(body[12:])
    elif not (_APP0 <= marker <= _APP15 or marker == _COM):
        raise MalformedJpegError(f"marker 0x{marker:02X} is not vouched for")


def _take_once(walk: Walk, marker: int, body: bytes) -> None:
    """Take what holds for all scans, and so may not change between them."""
    if walk.scans:
        raise MalformedJpegError("a table or the frame is redefined between scans")
    if marker == _DQT:
        walk.quantisation.update(read_quantisation(body))
    elif marker == _DRI:
        if len(body) != 2 or walk.restarts is not None:
            raise MalformedJpegError("the restart interval is odd or repeated")
        walk.restarts = int.from_bytes(body)
    elif walk.frame is not None:
        raise MalformedJpegError("the frame header is repeated")
    else:
        walk.frame = read_frame(marker, body)


def _scan(walk: Walk, data: bytes, body: bytes, position: int) -> int:
    if walk.frame is None:
        raise MalformedJpegError("scan before frame")
    if len(walk.scans) == MAX_SCANS:
        raise MalformedJpegError(f"more than {MAX_SCANS} scans")
    for pending in walk.pending:
        for kind, slot, codes in read_huffman(pending, walk.frame.progressive):
            walk.huffman[kind, slot] = codes
    walk.pending.clear()
    header = read_scan_header(body, walk.frame)
    tables = header.tables(walk.frame.progressive)
    if not walk.huffman.keys() >= set(tables):
        raise MalformedJpegError("a scan refers to a Huffman table that is not there")
    end = _end_of_scan(walk, data, position)
    used = {table: walk.huffman[table] for table in tables}
    walk.scans.append(Scan(header, used, data[position:end]))
    return end


def _end_of_scan(walk: Walk, data: bytes, position: int) -> int:
    following = (_END_WITH_RESTARTS if walk.restarts else _END_OF_SCAN).search(data, position)
    if following is None:
        raise MalformedJpegError("truncated in the scan")
    end = following.start()
    if data[end + 1] == 0xFF or 0xD0 <= data[end + 1] <= 0xD7:
        raise MalformedJpegError("fill bytes or unannounced restarts in or behind a scan")
    return end
