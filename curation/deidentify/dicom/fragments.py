"""Where the frames of a file lie: offsets into its bytes, from its item headers alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from ...errors import ImageError
from .layout import Layout
from .read import OpenDicom, PixelElement

Span = tuple[int, int]
"""(offset, length) in bytes."""

_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
MOST_FRAMES = 1_000_000
"""More than the tiles of the largest slides."""
_EOI_WITHIN = 10  # a fragment may be padded behind its end mark


def locate_frames(opened: OpenDicom, layout: Layout) -> tuple[tuple[Span, ...], ...]:
    """Return for each frame the spans of the file that hold it.

    Raises: ImageError with reason unreadable where pixel data are missing or too short.
    """
    pixels = opened.pixels
    if pixels is None:
        raise ImageError("unreadable", "a DICOM image without pixel data")
    if pixels.length is None:
        return _encapsulated(opened.stream, pixels, layout.frames)
    return _native(opened, pixels, layout)


def read_spans(stream: BinaryIO, spans: Sequence[Span]) -> bytes:
    """Return the bytes of the spans of one frame.

    Raises: ImageError with reason unreadable where they are not all there.
    """
    parts = []
    for offset, length in spans:
        stream.seek(offset)
        part = stream.read(length)
        if len(part) != length:
            raise ImageError("unreadable", "DICOM pixel data are cut off")
        parts.append(part)
    return b"".join(parts)


def is_swapped(opened: OpenDicom, layout: Layout) -> bool:
    """Whether uncompressed pixels stand in big-endian words."""
    is_word = layout.bits_allocated > 8 or (opened.pixels is not None and opened.pixels.vr == "OW")
    return is_word and not opened.is_little_endian


def _native(
    opened: OpenDicom, pixels: PixelElement, layout: Layout
) -> tuple[tuple[Span, ...], ...]:
    length = min(pixels.length or 0, opened.stream.seek(0, 2) - pixels.offset)
    if length * 8 < layout.frame_bits * layout.frames:
        raise ImageError("unreadable", "DICOM pixel data are shorter than their frames")
    unit = 16 if is_swapped(opened, layout) else 8
    if layout.frames == 1:
        size = -(-layout.frame_bits // unit) * unit // 8
        return (((pixels.offset, min(size, length)),),)
    if layout.frame_bits % unit:
        raise ImageError("dicom_unsupported", "frames that begin within a byte or word")
    if layout.frames > MOST_FRAMES:
        raise ImageError("too_large", f"more than {MOST_FRAMES} frames")
    size = layout.frame_bits // 8
    return tuple(((pixels.offset + n * size, size),) for n in range(layout.frames))


def _encapsulated(
    stream: BinaryIO, pixels: PixelElement, frames: int
) -> tuple[tuple[Span, ...], ...]:
    table, *fragments = _items(stream, pixels.offset)
    if len(fragments) == frames:
        return tuple((fragment,) for fragment in fragments)
    if frames == 1 and fragments:
        return (tuple(fragments),)
    by_offset = _by_offset_table(stream, table, fragments)
    grouped = by_offset if len(by_offset) == frames else _by_end_mark(stream, fragments)
    if len(grouped) != frames:
        raise ImageError("unreadable", f"{len(grouped)} DICOM frames found; expected {frames}")
    return tuple(grouped)


def _items(stream: BinaryIO, offset: int) -> list[Span]:
    """Return the spans of all items; the first is the offset table."""
    end = stream.seek(0, 2)
    stream.seek(offset)
    found: list[Span] = []
    while True:
        head = stream.read(8)
        if len(head) < 8:
            break
        group, element, length = struct.unpack("<HHI", head)
        if (group, element) == _SEQUENCE_END:
            break
        start = stream.tell()
        if (group, element) != _ITEM or length == _UNDEFINED or start + length > end:
            raise ImageError("unreadable", "DICOM pixel data are cut off or no items")
        found.append((start, length))
        if len(found) > 4 * MOST_FRAMES:
            raise ImageError("too_large", "more fragments than are read of one file")
        stream.seek(length, 1)
    if not found:
        raise ImageError("unreadable", "DICOM pixel data without an offset table")
    return found


def _by_offset_table(
    stream: BinaryIO, table: Span, fragments: Sequence[Span]
) -> list[tuple[Span, ...]]:
    data = read_spans(stream, (table,))
    starts = {int(n) for (n,) in struct.iter_unpack("<I", data[: len(data) // 4 * 4])}
    return _grouped(fragments, [start - 8 - _first(fragments) in starts for start, _ in fragments])


def _first(fragments: Sequence[Span]) -> int:
    return fragments[0][0] - 8 if fragments else 0


def _by_end_mark(stream: BinaryIO, fragments: Sequence[Span]) -> list[tuple[Span, ...]]:
    begins = [True]
    for offset, length in fragments[:-1]:
        tail = min(length, _EOI_WITHIN)
        begins.append(b"\xff\xd9" in read_spans(stream, ((offset + length - tail, tail),)))
    return _grouped(fragments, begins)


def _grouped(fragments: Sequence[Span], begins: Sequence[bool]) -> list[tuple[Span, ...]]:
    found: list[list[Span]] = []
    for fragment, is_first in zip(fragments, begins, strict=False):
        if is_first or not found:
            found.append([])
        found[-1].append(fragment)
    return [tuple(group) for group in found]
