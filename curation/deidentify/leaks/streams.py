"""Compressed streams and zip members anywhere in a file, found by how they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .archives import zip_part
from .inflate import Stream, inflate, unpack, unpack_zstd
from .pieces import Inner, Opened, Room, Sealed, TooLargeError, too_large

_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""With the usual window of 32 KiB; a smaller one is met in PNG, whose chunks are opened by name."""
_TRUNCATED = 4096
"""A zlib stream that breaks off is only told from chance once so many bytes came out of it."""
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    magic: bytes
    unpack: Callable[[memoryview, int, Room], Stream]


_FORMATS = (
    _Format("gzip stream", b"\x1f\x8b\x08", lambda d, at, room: inflate(d, at, room, 31)),
    _Format("bz2 stream", b"BZh", lambda d, at, room: unpack(d, at, room, "bz2")),
    _Format("xz stream", b"\xfd7zXZ\x00", lambda d, at, room: unpack(d, at, room, "xz")),
    _Format("zstd stream", b"\x28\xb5\x2f\xfd", unpack_zstd),
    _Format("zlib stream", b"\x78", inflate),
)
_ZIP = b"PK"


def streams_in(data: memoryview, room: Room, opened: list[tuple[int, int]]) -> Opened:
    """Yield the streams of a piece; ranges in `opened` have been opened and are passed over."""
    skip = _Ranges(opened)
    debris: list[bytes] = []
    for start in _candidates(data):
        if skip.hold(start):
            continue
        for part in _opened_at(data, start, room, debris):
            if part.span is not None:
                skip.add(part.span[1])
            yield part
    if debris:
        yield Inner("broken compressed streams", b"\x00".join(debris), pixels=True)


def _opened_at(data: memoryview, start: int, room: Room, debris: list[bytes]) -> Opened:
    if data[start : start + 2] == _ZIP:
        yield from zip_part(data, start, room)
    for kind in _FORMATS:
        if data[start : start + len(kind.magic)] == kind.magic:
            yield from _stream(data, start, kind, room, debris)


def _stream(data: memoryview, start: int, kind: _Format, room: Room, debris: list[bytes]) -> Opened:
    carrier = f"{kind.name} at byte {start}"
    try:
        found = kind.unpack(data, start, room)
    except TooLargeError:
        yield Sealed(carrier, too_large(room))
        return
    if found.whole:
        yield Inner(carrier, found.data, span=(start, found.end))
    elif len(found.data) >= _TRUNCATED or (
        found.data and start == 0 and kind.name != "zlib stream"
    ):
        yield Inner(carrier, found.data)
        yield Sealed(carrier, "it is broken or cut off; what came before that was searched")
    elif found.data:
        debris.append(found.data)


class _Ranges:
    """Ranges of bytes that have been opened; asked about ascending positions."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self._ranges = sorted(ranges, reverse=True)
        self._end = 0

    def add(self, end: int) -> None:
        """Add a range from the position last asked about."""
        self._end = max(self._end, end)

    def hold(self, position: int) -> bool:
        """Tell whether a position lies in a range."""
        while self._ranges and self._ranges[-1][0] <= position:
            self._end = max(self._end, self._ranges.pop()[1])
        return position < self._end


def _tables() -> tuple[bytes, NDArray[np.bool_]]:
    pairs = np.zeros(1 << 16, np.bool_)
    magics = [*_ZLIB, _ZIP, *(kind.magic[:2] for kind in _FORMATS if len(kind.magic) > 1)]
    for pair in magics:
        pairs[int.from_bytes(pair)] = True
    firsts = {pair[0] for pair in magics}
    return bytes(firsts), pairs


_FIRSTS, _PAIRS = _tables()


def _candidates(data: memoryview) -> Iterator[int]:
    """Yield where a stream may begin, in order."""
    for offset in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[offset : offset + _BLOCK + 1], np.uint8)
        flags = block[:-1] == _FIRSTS[0]
        for first in _FIRSTS[1:]:
            flags |= block[:-1] == first
        here = np.flatnonzero(flags)
        codes = block[here].astype(np.uint16) << 8 | block[here + 1]
        yield from (here[_PAIRS[codes]] + offset).tolist()
