"""The frame header and the scan headers of a JPEG: parsed in full and written anew.

Names of components and bits that a decoder ignores are not copied: components are called 1, 2, 3.
Source: ITU-T T.81, B.2.2, B.2.3 and table B.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from .jpeg_tables import AC, DC, MalformedJpegError, segment

BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
_SOS = 0xDA
_MAX_BLOCKS_IN_MCU = 10


@dataclass(frozen=True, slots=True)
class Component:
    """One colour of a frame: its name, sampling factors and quantisation slot."""

    name: int
    across: int
    down: int
    quantisation: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame header: size in px and the components in order."""

    marker: int
    width: int
    height: int
    components: tuple[Component, ...]

    @property
    def progressive(self) -> bool:
        """Whether the scans refine one another."""
        return self.marker == PROGRESSIVE

    @property
    def mcu(self) -> tuple[int, int]:
        """Width and height in px of what a scan of all components codes at a time."""
        if len(self.components) == 1:
            return 8, 8
        return (
            8 * max(part.across for part in self.components),
            8 * max(part.down for part in self.components),
        )


@dataclass(frozen=True, slots=True)
class ScanHeader:
    """A scan header; `parts` are (position of the component, DC slot, AC slot)."""

    parts: tuple[tuple[int, int, int], ...]
    start: int
    end: int
    approximation: int

    def tables(self, progressive: bool) -> list[tuple[int, int]]:
        """Return (class, slot) of the Huffman tables that the scan refers to, DC before AC."""
        first = self.approximation >> 4 == 0
        needed = set()
        for _, dc_slot, ac_slot in self.parts:
            if self.start == 0 and (first or not progressive):
                needed.add((dc_slot, DC))
            if self.end > 0:
                needed.add((ac_slot, AC))
        return [(kind, slot) for slot, kind in sorted(needed)]


@lru_cache(maxsize=256)
def read_frame(marker: int, body: bytes) -> Frame:
    """Return a frame header of 8-bit samples with one or three components.

    Raises: MalformedJpegError for anything else.
    """
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise MalformedJpegError("the frame header has a wrong length")
    precision, height, width, count = struct.unpack_from(">BHHB", body)
    if precision != 8 or not height or not width or count not in (1, 3):
        raise MalformedJpegError("the frame header has an odd precision, size or components")
    parts = tuple(
        Component(body[at], body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
        for at in range(6, len(body), 3)
    )
    sampled = all(1 <= part.across <= 4 and 1 <= part.down <= 4 for part in parts)
    if not sampled or sum(part.across * part.down for part in parts) > _MAX_BLOCKS_IN_MCU:
        raise MalformedJpegError("the frame header has odd sampling factors")
    if len({part.name for part in parts}) != count or max(p.quantisation for p in parts) > 3:
        raise MalformedJpegError("the frame header has odd components")
    return Frame(marker, width, height, parts)


def write_frame(frame: Frame) -> bytes:
    """Return a frame header as a segment."""
    body = struct.pack(">BHHB", 8, frame.height, frame.width, len(frame.components))
    for number, part in enumerate(frame.components, 1):
        body += bytes([number, part.across << 4 | part.down, part.quantisation])
    return segment(frame.marker, body)


@lru_cache(maxsize=256)
def read_scan_header(body: bytes, frame: Frame) -> ScanHeader:
    """Return a scan header of a frame.

    Raises: MalformedJpegError where it does not fit the frame.
    """
    count = body[0] if body else 0
    if not 1 <= count <= len(frame.components) or len(body) != 4 + 2 * count:
        raise MalformedJpegError("a scan header has a wrong length")
    names = [part.name for part in frame.components]
    parts = []
    for name, slots in zip(body[1:-3:2], body[2:-3:2], strict=True):
        if name not in names or slots >> 4 > 3 or slots & 15 > 3:
            raise MalformedJpegError("a scan header names an unknown component or table")
        parts.append((names.index(name), slots >> 4, slots & 15))
    if any(here[0] >= following[0] for here, following in pairwise(parts)):
        raise MalformedJpegError("a scan header is out of order")
    scan = ScanHeader(tuple(parts), *body[-3:])
    _check_bands(scan, frame.progressive)
    return scan


def write_scan_header(scan: ScanHeader, frame: Frame) -> bytes:
    """Return a scan header as a segment; slots that the scan does not use are 0."""
    used = scan.tables(frame.progressive)
    body = bytes([len(scan.parts)])
    for number, dc_slot, ac_slot in scan.parts:
        slots = dc_slot << 4 if (DC, dc_slot) in used else 0
        body += bytes([number + 1, slots | (ac_slot if (AC, ac_slot) in used else 0)])
    return segment(_SOS, body + bytes([scan.start, scan.end, scan.approximation]))


def _check_bands(scan: ScanHeader, progressive: bool) -> None:
    if not progressive:
        if (scan.start, scan.end, scan.approximation) != (0, 63, 0):
            raise MalformedJpegError("a sequential scan does not code all frequencies")
        return
    high, low = scan.approximation >> 4, scan.approximation & 15
    steps = low <= 13 and (high == 0 or high == low + 1)
    dc_only = scan.start == 0 and scan.end == 0
    band = 1 <= scan.start <= scan.end <= 63 and len(scan.parts) == 1
    if not steps or not (dc_only or band):
        raise MalformedJpegError("a progressive scan codes an odd band")
