"""WebP: the chunks beside its pixels."""

from __future__ import annotations

from .pieces import Inner, Opened, Room, begins

_PIXELS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM")


def open_riff(data: memoryview, room: Room) -> Opened:
    """Yield the Exif, XMP, profile and unknown chunks of a WebP, and what trails it."""
    if not (begins(data, b"RIFF") and begins(data, b"WEBP", 8)):
        return
    position = 12
    while position + 8 <= len(data):
        name = bytes(data[position : position + 4])
        start = position + 8
        stop = start + int.from_bytes(data[position + 4 : start], "little")
        if stop > len(data):
            break
        if name not in _PIXELS:
            shown = name.decode("latin-1").strip() if name in _KNOWN else "unknown"
            yield Inner(f"WebP {shown} chunk", data[start:stop], (start, stop), fields=True)
        position = stop + stop % 2
    if position < len(data):
        yield Inner("after WebP", data[position:], (position, len(data)))


_KNOWN = (b"EXIF", b"XMP ", b"ICCP", b"ANMF")
