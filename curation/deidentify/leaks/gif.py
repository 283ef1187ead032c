"""GIF: comments, texts and application data, whose blocks of 255 bytes are put together."""

from __future__ import annotations

from .pieces import Inner, Opened, Room

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_NAMES = {0xFE: "GIF comment", 0x01: "GIF text", 0xFF: "GIF application data"}


def open_gif(data: memoryview, room: Room) -> Opened:
    """Yield what a GIF holds beside its pixels."""
    if bytes(data[:6]) not in (b"GIF87a", b"GIF89a") or len(data) < 13:
        return
    position = 13 + _colours(data[10])
    while position + 2 <= len(data):
        kind = data[position]
        if kind == _EXTENSION:
            body, end = _blocks(data, position + 2)
            if data[position + 1] != 0xF9:
                name = _NAMES.get(data[position + 1], "GIF unknown extension")
                yield Inner(name, body, (position, end), fields=True)
        elif kind == _IMAGE and position + 11 <= len(data):
            _, end = _blocks(data, position + 11 + _colours(data[position + 9]))
        else:
            break
        position = end
    if position < len(data) and data[position] == _TRAILER:
        position += 1
    if position < len(data):
        yield Inner("after GIF trailer", data[position:], (position, len(data)))


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: memoryview, position: int) -> tuple[bytes, int]:
    """Return sub-blocks put together, and where they end."""
    parts = []
    while position < len(data) and (length := data[position]):
        parts.append(bytes(data[position + 1 : position + 1 + length]))
        position += 1 + length
    return b"".join(parts), position + 1
