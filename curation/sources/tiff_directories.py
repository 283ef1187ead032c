"""The directories of a TIFF file, read with bounds: what a reader would follow blindly is refused.

Classic TIFF, BigTIFF, and Hamamatsu's NDPI (classic TIFF with 64-bit offsets to directories).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from ..errors import ImageError

WIDTH, LENGTH, TILE_WIDTH, SUB_DIRECTORIES = 256, 257, 322, 330
MAX_DIRECTORIES = 1024
MAX_VALUE_BYTES = 64 * 2**20
"""Most bytes of one tag; the offsets of a million tiles take eight."""

_MAX_ENTRIES = 4096
_SHORT, _LONG, _LONG8 = 3, 4, 16
_TYPE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_WHOLE = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}


@dataclass(frozen=True, slots=True)
class Directory:
    """One image of a file: which tags it has, and the values of those that are one number."""

    codes: frozenset[int]
    numbers: Mapping[int, int]

    @property
    def is_tiled(self) -> bool:
        """Whether its pixels lie in tiles."""
        return TILE_WIDTH in self.codes

    @property
    def has_sizes(self) -> bool:
        """Whether smaller sizes of it hang below it."""
        return SUB_DIRECTORIES in self.codes

    @property
    def pixels(self) -> int:
        """How many pixels it says it has."""
        return self.numbers.get(WIDTH, 0) * self.numbers.get(LENGTH, 0)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file spells numbers, counts and offsets."""

    order: str
    count: str
    entry: str
    offset: str

    def bytes_of(self, kind: str) -> int:
        return struct.calcsize(self.order + kind)


def is_tiff(head: bytes) -> bool:
    """Return whether a file begins as TIFF or BigTIFF does, from its first four bytes."""
    return head in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def read_directories(file: IO[bytes], *, ndpi: bool = False) -> list[Directory]:
    """Return the chain of directories of a TIFF file; subdirectories are not followed.

    Raises: ImageError with reason unreadable where the chain is broken, runs in a circle or is too
        long, or a tag lies outside the file or is too large.
    """
    size = file.seek(0, 2)
    form, offset = _read_head(file, ndpi)
    found: list[Directory] = []
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise ImageError("unreadable", "its directories run in a circle")
        if len(found) == MAX_DIRECTORIES:
            raise ImageError("unreadable", f"more than {MAX_DIRECTORIES} directories")
        seen.add(offset)
        directory, offset = _read_directory(file, form, offset, size)
        found.append(directory)
    if not found:
        raise ImageError("unreadable", "a TIFF file without a directory")
    return found


def _read_head(file: IO[bytes], ndpi: bool) -> tuple[_Form, int]:
    file.seek(0)
    head = file.read(16)
    if not is_tiff(head[:4]):
        raise ImageError("unreadable", "no TIFF file")
    order = "<" if head[:1] == b"I" else ">"
    if head[:4] in (b"II+\x00", b"MM\x00+"):
        form, start = _Form(order, "Q", "HHQ8s", "Q"), 8
    elif ndpi and order == "<":
        form, start = _Form(order, "H", "HHI4s", "Q"), 4
    else:
        form, start = _Form(order, "H", "HHI4s", "I"), 4
    end = start + form.bytes_of(form.offset)
    return form, _unpack(form.order + form.offset, head[start:end])[0]


def _read_directory(file: IO[bytes], form: _Form, offset: int, size: int) -> tuple[Directory, int]:
    if offset >= size:
        raise ImageError("unreadable", "a directory lies outside the file")
    file.seek(offset)
    count = _unpack(form.order + form.count, file.read(form.bytes_of(form.count)))[0]
    if count > _MAX_ENTRIES:
        raise ImageError("unreadable", f"a directory of {count} tags")
    step = form.bytes_of(form.entry)
    entries = file.read(count * step)
    following = _unpack(form.order + form.offset, file.read(form.bytes_of(form.offset)))[0]
    if len(entries) < count * step:
        raise ImageError("unreadable", "a directory is cut off")
    codes, numbers = set(), {}
    for code, kind, values, raw in struct.iter_unpack(form.order + form.entry, entries):
        _check_size(kind, values, size)
        codes.add(code)
        if values == 1 and kind in _WHOLE:
            width = _TYPE_BYTES[kind]
            numbers[code] = _unpack(form.order + _WHOLE[kind], raw[:width])[0]
    return Directory(frozenset(codes), numbers), following


def _check_size(kind: int, values: int, size: int) -> None:
    taken = values * _TYPE_BYTES.get(kind, 1)
    if taken > min(size, MAX_VALUE_BYTES):
        raise ImageError("unreadable", f"a tag of {taken} bytes in a file of {size}")


def _unpack(form: str, data: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(form, data)
    except struct.error:
        raise ImageError("unreadable", "a directory is cut off") from None
