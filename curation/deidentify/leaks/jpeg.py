"""JPEG: the segments that are not needed to show it, and what stands behind its end."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from .pieces import Inner, Opened, Room, begins

_NEEDED = frozenset((0xDB, 0xC4, 0xDD, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xD0)))
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE
# After a scan's data: anything but a stuffed byte or a restart.
_NEXT = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SPLIT = ((b"http://ns.adobe.com/xmp/extension/\x00", 75), (b"ICC_PROFILE\x00", 14))
"""What is too long for one segment goes on in the next ones, each with a header of this length."""


def open_jpeg(data: memoryview, room: Room) -> Opened:
    """Yield comments and application segments, also joined where they were split, and the rest."""
    if not begins(data, b"\xff\xd8\xff"):
        return
    split: dict[bytes, list[bytes]] = defaultdict(list)
    end = 2
    for marker, start, stop in _segments(data):
        end = stop
        if marker in _NEEDED or marker in _STANDALONE or marker in (_SCAN, _END):
            continue
        body = bytes(data[start:stop])
        carrier = f"JPEG {_name(marker)} segment"
        yield Inner(carrier, _without_signature(body), (start, stop), fields=True)
        for signature, header in _SPLIT:
            if body.startswith(signature):
                split[signature].append(body[header:])
    for parts in split.values():
        if len(parts) > 1:
            yield Inner("JPEG segments, joined", b"".join(parts), fields=True)
    if end < len(data):
        yield Inner("after JPEG EOI", data[end:], (end, len(data)))


def _name(marker: int) -> str:
    if marker == _COMMENT:
        return "COM"
    return f"APP{marker - 0xE0}" if 0xE0 <= marker <= 0xEF else f"0x{marker:02X}"


def _without_signature(body: bytes) -> bytes:
    """Return a segment's body; an Exif one without its signature, so that it opens as a TIFF."""
    return body[6:] if body.startswith(b"Exif\x00") else body


def _segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start and end of its body), up to the end of the image or a fault."""
    position = 2
    while position + 2 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE or marker == _END:
            yield marker, position + 2, position + 2
            if marker == _END:
                return
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4])
        stop = position + 2 + length
        if length < 2 or stop > len(data):
            return
        yield marker, position + 4, stop
        position = stop
        if marker == _SCAN:
            following = _NEXT.search(data, stop)
            if following is None:
                yield _SCAN, stop, len(data)
                return
            yield _SCAN, stop, following.start()
            position = following.start()
