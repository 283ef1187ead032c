"""Decompressing a stream out of the middle of other bytes, with a bound, as far as it goes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from .pieces import Room, TooLargeError

_STEP, _FIRST, _MEMORY = 1 << 16, 1 << 10, 256 * 2**20


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream holds, where it ends in the outer bytes, and whether its end was there."""

    data: bytes
    end: int
    whole: bool


def inflate(data: memoryview, start: int, room: Room, window_bits: int = zlib.MAX_WBITS) -> Stream:
    """Decompress a zlib stream; 31 window bits are gzip, -15 bare deflate.

    Raises: TooLargeError.
    """
    stream = zlib.decompressobj(window_bits)

    def step(chunk: bytes | memoryview, most: int) -> tuple[bytes, bytes]:
        return stream.decompress(chunk, most), stream.unconsumed_tail

    return _run(data, start, room, stream, step, (zlib.error,))


def unpack(data: memoryview, start: int, room: Room, kind: str) -> Stream:
    """Decompress a bz2 or xz stream, or the raw LZMA of a zip member.

    Raises: TooLargeError.
    """
    stream = bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(memlimit=_MEMORY)

    def step(chunk: bytes | memoryview, most: int) -> tuple[bytes, bytes]:
        return stream.decompress(chunk, most), b""

    return _run(data, start, room, stream, step, (OSError, lzma.LZMAError, ValueError))


def _run(
    data: memoryview,
    start: int,
    room: Room,
    stream: _Decompressor,
    step: Callable[[bytes | memoryview, int], tuple[bytes, bytes]],
    errors: tuple[type[Exception], ...],
) -> Stream:
    out: list[bytes] = []
    size, position, most = 0, start, room.most()
    # A small first chunk: most candidates in noise fail at once.
    chunk: bytes | memoryview = data[start : start + _FIRST]
    position += len(chunk)
    try:
        while True:
            made, rest = step(chunk, _STEP * 16)
            out.append(made)
            size += len(made)
            if size > most:
                raise TooLargeError
            if stream.eof:
                break
            chunk = rest
            if not rest and not _holds_output(stream):
                chunk = data[position : position + _STEP]
                position += len(chunk)
                if not chunk and not made:
                    break
    except errors:
        pass  # what came before the fault is searched; the caller says that the stream is broken
    room.take(size)
    return Stream(b"".join(out), position - len(stream.unused_data), stream.eof)


def _holds_output(stream: object) -> bool:
    """Tell whether a decompressor still holds output of what it was given."""
    return getattr(stream, "needs_input", True) is False


def unpack_zstd(data: memoryview, start: int, room: Room) -> Stream:
    """Decompress one zstd frame.

    Raises: TooLargeError.
    """
    end, whole = _zstd_end(data, start)
    out: list[bytes] = []
    size, most = 0, room.most()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data[start:end]), "zstd") as stream:
            while made := stream.read(_STEP * 16):
                out.append(made)
                size += len(made)
                if size > most:
                    raise TooLargeError
    except OSError:
        whole = False
    room.take(size)
    return Stream(b"".join(out), end, whole)


def _zstd_end(data: memoryview, start: int) -> tuple[int, bool]:
    """Return where a zstd frame ends, and whether they are there; RFC 8878, 3.1.1."""
    if start + 5 > len(data):
        return len(data), False
    descriptor = data[start + 4]
    single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content = (single, 2, 4, 8)[descriptor >> 6]
    position = start + 5 + (1 - single) + dictionary + content
    while position + 3 <= len(data):
        header = int.from_bytes(data[position : position + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        position += 3 + (1 if kind == 1 else size)
        if last:
            position += 4 * checksum
            return min(position, len(data)), position <= len(data)
    return len(data), False
