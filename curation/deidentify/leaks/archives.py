"""Zip and tar archives: members, their names, comments and owners."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from .inflate import Stream, inflate, unpack, unpack_zstd
from .pieces import Inner, Opened, Room, Sealed, TooLargeError, begins, too_large

_STORED = 0
_UNPACKERS: dict[int, Callable[[memoryview, int, Room], Stream]] = {
    8: lambda data, start, room: inflate(data, start, room, -zlib.MAX_WBITS),
    12: lambda data, start, room: unpack(data, start, room, "bz2"),
    93: unpack_zstd,
    95: lambda data, start, room: unpack(data, start, room, "xz"),
}
_BLOCK = 512


def zip_part(data: memoryview, start: int, room: Room) -> Opened:
    """Yield what one record of a zip archive holds: a member, or names and comments.

    Members are found by their own headers, so that one which the directory does not list is read
    as well, and an archive that was cut off as far as it goes.
    """
    magic = bytes(data[start : start + 4])
    if magic == b"PK\x03\x04":
        yield from _member(data, start, room)
    elif magic == b"PK\x01\x02":
        yield from _texts(data, start, 46, "<HHH", 28, "zip directory entry")
    elif magic == b"PK\x05\x06":
        yield from _texts(data, start, 22, "<H", 20, "zip comment")


def _texts(data: memoryview, start: int, header: int, sizes: str, at: int, carrier: str) -> Opened:
    try:
        length = sum(struct.unpack_from(sizes, data, start + at))
    except struct.error:
        yield Sealed(carrier, "the zip archive is cut off")
        return
    begin = start + header
    yield Inner(carrier, data[begin : begin + length], (start, begin + length), fields=True)


def _member(data: memoryview, start: int, room: Room) -> Opened:
    carrier = f"zip member at byte {start}"
    try:
        _, flags, method, _, _, _, packed, _, name, extra = struct.unpack_from(
            "<HHHHHIIIHH", data, start + 4
        )
    except struct.error:
        yield Sealed(carrier, "the zip archive is cut off")
        return
    begin = start + 30 + name + extra
    yield Inner(f"{carrier}, its name", data[start + 30 : begin], (start, begin), fields=True)
    if flags & 1:
        yield Sealed(carrier, "it is encrypted")
    elif method == _STORED:
        # Without a size here, its bytes are searched as part of the archive's.
        if packed and begin + packed <= len(data):
            end = begin + packed
            yield Inner(carrier, data[begin:end], span=(begin, end))
        elif packed:
            yield Sealed(carrier, "the zip archive is cut off")
    elif method in _UNPACKERS:
        yield from _packed(data, begin, carrier, method, room)
    else:
        yield Sealed(carrier, f"its compression method {method} is not known")


def _packed(data: memoryview, begin: int, carrier: str, method: int, room: Room) -> Opened:
    try:
        stream = _UNPACKERS[method](data, begin, room)
    except TooLargeError:
        yield Sealed(carrier, too_large(room))
        return
    span = (begin, stream.end) if stream.whole else None
    if stream.data:
        yield Inner(carrier, stream.data, span=span)
    if not stream.whole:
        yield Sealed(carrier, "it is broken or cut off; what came before that was searched")


def open_tar(data: memoryview, room: Room) -> Opened:
    """Yield the members of a tar archive with their names, owners and links."""
    if not begins(data, b"ustar", 257):
        return
    position, number = 0, 0
    while position + _BLOCK <= len(data) and data[position]:
        header = bytes(data[position : position + _BLOCK])
        carrier = f"tar member {number}"
        yield Inner(f"{carrier}, its header", _tar_texts(header))
        size, begin = _tar_number(header[124:136]), position + _BLOCK
        if size is None or begin + size > len(data):
            yield Sealed(carrier, "the tar archive is broken or cut off")
            return
        # Long names and other properties stand in members of their own.
        what = f"{carrier}, its header" if header[156:157] in b"xgLK" and size else carrier
        if size:
            yield Inner(what, data[begin : begin + size], span=(begin, begin + size))
        position = begin + -(-size // _BLOCK) * _BLOCK
        number += 1


def _tar_texts(header: bytes) -> str:
    texts = [
        header[a:b].split(b"\x00")[0] for a, b in ((0, 100), (157, 257), (265, 297), (297, 329))
    ]
    prefix = header[345:500].split(b"\x00")[0]
    texts[0] = prefix + b"/" + texts[0] if prefix else texts[0]
    numbers = [_tar_number(header[a:b]) for a, b in ((108, 116), (116, 124))]
    words = [text.decode("utf-8", "replace") for text in texts]
    return "\n".join([*words, *(str(number) for number in numbers if number)])


def _tar_number(field: bytes) -> int | None:
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:])
    try:
        return int(field.strip(b" \x00") or b"0", 8)
    except ValueError:
        return None
