"""A walk over a JPEG file that keeps its compressed scans and writes all else anew or not at all.

Recompressing a cell costs time and quality and decoding it to PNG grows it eightfold; so the
entropy-coded scans are copied bit for bit. Of the segments around them only what decoding needs is
parsed, in full, and written again from what was parsed: tables that a scan refers to, the frame,
the restart interval, the scan headers, and Adobe's colour transform where it decides. Bytes
between, behind and inside segments that this does not account for are either dropped with their
segment or make the file malformed.

Not vouched for here, and so malformed: several images in one file, fill bytes after a scan,
arithmetic, lossless and hierarchical coding, samples of more than 8 bits, other than one or three
components, a frame, quantisation table or restart interval that comes after a scan, restart markers
out of order. That a scan holds no text behind its last code is `jpeg_slack`'s part.

What the kept bytes can still hold, being part of the picture or of how it is coded: whatever the
pixels show, and so any bytes that a decoder takes for codes of pixels; the up to 15 rows and
columns that the last blocks code beyond the edges; up to 7 bytes behind a scan that are no text;
the choice of a quantisation or Huffman table of no known kind, as far as `jpeg_tables` allows it.
Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .jpeg_frame import Frame, write_frame, write_scan_header
from .jpeg_tables import MalformedJpegError, segment, write_huffman, write_quantisation
from .jpeg_walk import MAX_SCANS, SOI, Walk, walk_jpeg

__all__ = ["MAX_SCANS", "CleanJpeg", "MalformedJpegError", "clean_jpeg", "write_jpeg"]

_EOI = b"\xff\xd9"
_DRI, _APP14 = 0xDD, 0xEE
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class CleanJpeg:
    """A JPEG without its metadata, and what the metadata said about showing the pixels.

    `scans` are the (start, end) offsets of the entropy-coded bytes in `data`; `restarts` is the
    restart interval in MCUs, or 0; `frame_at` is the offset of the frame header in `data`.
    """

    data: bytes
    frame: Frame
    frame_at: int
    scans: tuple[tuple[int, int], ...]
    restarts: int
    exif: bytes
    icc: bytes

    @property
    def width(self) -> int:
        """Width in px, as stored."""
        return self.frame.width

    @property
    def height(self) -> int:
        """Height in px, as stored."""
        return self.frame.height

    @property
    def components(self) -> int:
        """1 is grey, 3 is colour."""
        return len(self.frame.components)


def clean_jpeg(data: bytes) -> CleanJpeg:
    """Return the JPEG with only what decoding needs; the scans bit for bit.

    Raises: MalformedJpegError where the file is truncated or uses what is not vouched for.
    """
    return write_jpeg(walk_jpeg(data))


def write_jpeg(walk: Walk) -> CleanJpeg:
    """Return the file of what a walk found.

    Raises: MalformedJpegError where the parts do not fit one another.
    """
    if walk.frame is None or not walk.scans:
        raise MalformedJpegError("has no frame or no scan")
    _check_scans(walk, walk.frame)
    head = SOI + _colour_transform(walk, walk.frame) + _quantisation(walk, walk.frame)
    body, spans = _scans(walk, walk.frame)
    frame = write_frame(walk.frame)
    start = len(head) + len(frame)
    return CleanJpeg(
        data=b"".join((head, frame, *body, _EOI)),
        frame=walk.frame,
        frame_at=len(head),
        scans=tuple((start + begin, start + end) for begin, end in spans),
        restarts=walk.restarts or 0,
        exif=walk.exif,
        icc=_profile(walk),
    )


def _quantisation(walk: Walk, frame: Frame) -> bytes:
    slots = sorted({part.quantisation for part in frame.components})
    if not walk.quantisation.keys() >= set(slots):
        raise MalformedJpegError("a component refers to a quantisation table that is not there")
    return b"".join(write_quantisation((slot, walk.quantisation[slot])) for slot in slots)


def _scans(walk: Walk, frame: Frame) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Return the scans with the tables that are new to each, and where their coded bytes lie."""
    out: list[bytes] = []
    spans: list[tuple[int, int]] = []
    known: dict[tuple[int, int], bytes] = {}
    size = 0
    for scan in walk.scans:
        new = {table: codes for table, codes in scan.tables.items() if known.get(table) != codes}
        known.update(new)
        parts = [write_huffman((kind, slot, codes)) for (kind, slot), codes in new.items()]
        if walk.restarts and not spans:
            parts.append(segment(_DRI, walk.restarts.to_bytes(2)))
        parts.append(write_scan_header(scan.header, frame))
        start = size + sum(map(len, parts))
        size = start + len(scan.coded)
        spans.append((start, size))
        out += [*parts, scan.coded]
    return out, spans


def _check_scans(walk: Walk, frame: Frame) -> None:
    coded = [part[0] for scan in walk.scans for part in scan.header.parts]
    if set(coded) != set(range(len(frame.components))):
        raise MalformedJpegError("a component is in no scan")
    if not frame.progressive and len(coded) != len(frame.components):
        raise MalformedJpegError("a component is in two sequential scans")
    if walk.restarts:
        _check_restarts(walk, frame)


def _check_restarts(walk: Walk, frame: Frame) -> None:
    if len(walk.scans) != 1 or frame.progressive or not walk.restarts:
        raise MalformedJpegError("restart intervals in several scans")
    found = [marker[1] - 0xD0 for marker in _RESTART.findall(walk.scans[0].coded)]
    width, height = frame.mcu
    units = -(-frame.width // width) * -(-frame.height // height)
    # The number first: the header may speak of millions of intervals.
    wrong = len(found) != -(-units // walk.restarts) - 1
    if wrong or found != [number % 8 for number in range(len(found))]:
        raise MalformedJpegError("restart markers out of order")


def _colour_transform(walk: Walk, frame: Frame) -> bytes:
    """Return an Adobe segment where the colours are RGB; without one they are YCbCr.

    As libjpeg decides: a JFIF segment says YCbCr and outranks the Adobe segment, which outranks
    the names of the components.
    """
    if len(frame.components) == 1 or walk.jfif:
        return b""
    if walk.adobe is None:
        rgb = bytes(part.name for part in frame.components) == b"RGB"
    elif walk.adobe in (0, 1):
        rgb = walk.adobe == 0
    else:
        raise MalformedJpegError("an unknown colour transform")
    return segment(_APP14, b"Adobe\x00\x64" + bytes(5)) if rgb else b""


def _profile(walk: Walk) -> bytes:
    parts = sorted(walk.icc)
    if [part[0] for part in parts] != list(range(1, len(parts) + 1)) or any(
        part[1] != len(parts) for part in parts
    ):
        raise MalformedJpegError("parts of the colour profile are missing or repeated")
    return b"".join(part[2:] for part in parts)
