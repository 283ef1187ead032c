"""TIFF and Exif: the values of every tag of every directory."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .pieces import Inner, Opened, Room, Sealed

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_TEXTS, _WHOLE_NUMBERS = (1, 2, 6, 7), {3: "H", 4: "I", 8: "h", 9: "i", 16: "Q", 17: "q"}
_DIRECTORIES = (330, 34665, 34853, 40965)
_LAYOUT = (256, 257, 273, 278, 279, 322, 323, 324, 325, 513, 514, *_DIRECTORIES)
_THUMBNAIL, _THUMBNAIL_LENGTH = 513, 514
_FEW, _MOST_DIRECTORIES = 4, 1000


def open_tiff(data: memoryview, room: Room) -> Opened:
    """Yield the values of a TIFF's tags: texts, bytes, and single numbers that are no layout."""
    byte_order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    version = struct.unpack_from(f"{byte_order}H", data, 2)[0] if byte_order and data[4:] else 0
    if byte_order is None or version not in (42, 43):
        return
    try:
        yield from _walk(data, byte_order, big=version == 43)
    except struct.error:
        yield Sealed("TIFF tags", "a directory is broken; its bytes were searched as they are")


def _walk(data: memoryview, byte_order: str, *, big: bool) -> Opened:
    word = "Q" if big else "I"
    pending = [struct.unpack_from(byte_order + word, data, 8 if big else 4)[0]]
    seen: set[int] = set()
    while pending and len(seen) < _MOST_DIRECTORIES:
        start = pending.pop()
        # A directory may point at an earlier one, for ever.
        if start in seen or start == 0:
            continue
        seen.add(start)
        found: dict[int, int] = {}
        for tag, kind, values in _entries(data, start, byte_order, big=big):
            if tag in _DIRECTORIES and kind in _WHOLE_NUMBERS:
                pending += _numbers(values, kind, byte_order)
            elif tag in (_THUMBNAIL, _THUMBNAIL_LENGTH) and kind in _WHOLE_NUMBERS:
                found[tag] = _numbers(values, kind, byte_order)[0]
            else:
                yield from _value(tag, kind, values, byte_order)
        if len(found) == 2:
            first = found[_THUMBNAIL]
            last = first + found[_THUMBNAIL_LENGTH]
            yield Inner("TIFF thumbnail", data[first:last], (first, last))
        pending.append(_next(data, start, byte_order, big=big))


def _entries(
    data: memoryview, start: int, byte_order: str, *, big: bool
) -> Iterator[tuple[int, int, bytes]]:
    count = struct.unpack_from(byte_order + ("Q" if big else "H"), data, start)[0]
    size, inline = (20, 8) if big else (12, 4)
    first = start + (8 if big else 2)
    if first + count * size > len(data):
        raise struct.error
    for number in range(count):
        at = first + number * size
        tag, kind, n = struct.unpack_from(byte_order + ("HHQ" if big else "HHI"), data, at)
        length = n * _SIZES.get(kind, 1)
        where = at + size - inline
        if length > inline:
            where = struct.unpack_from(byte_order + ("Q" if big else "I"), data, where)[0]
        yield tag, kind, bytes(data[where : where + length])


def _next(data: memoryview, start: int, byte_order: str, *, big: bool) -> int:
    count = struct.unpack_from(byte_order + ("Q" if big else "H"), data, start)[0]
    at = start + (8 + 20 * count if big else 2 + 12 * count)
    if at + (8 if big else 4) > len(data):
        return 0
    return int(struct.unpack_from(byte_order + ("Q" if big else "I"), data, at)[0])


def _numbers(values: bytes, kind: int, byte_order: str) -> list[int]:
    count = len(values) // _SIZES[kind]
    found = struct.unpack_from(f"{byte_order}{count}{_WHOLE_NUMBERS[kind]}", values)
    return [int(number) for number in found] or [0]


def _value(tag: int, kind: int, values: bytes, byte_order: str) -> Opened:
    carrier = f"TIFF tag {tag}"
    if kind in _TEXTS and values:
        # Exif comments begin with the name of their character set.
        yield Inner(carrier, values, fields=True)
        if values[:8] in (b"ASCII\x00\x00\x00", b"UNICODE\x00"):
            yield Inner(carrier, values[8:], fields=True)
    elif kind in _WHOLE_NUMBERS and tag not in _LAYOUT:
        numbers = _numbers(values, kind, byte_order)
        if len(numbers) <= _FEW:
            yield Inner(carrier, "\n".join(str(number) for number in numbers))
