"""PNG: its chunks, what they compress, and what stands behind the last one."""

from __future__ import annotations

from collections.abc import Iterator

from .inflate import inflate
from .pieces import Data, Inner, Opened, Room, Sealed, TooLargeError, begins, too_large

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN = {b"IHDR": 13, b"IEND": 0, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9}
"""Chunks of these lengths in bytes hold nothing but what their names say."""
_KNOWN = ("tEXt", "zTXt", "iTXt", "iCCP", "eXIf", "tIME", "hIST", "sPLT", "caBX", "fdAT", "PLTE")

_CHANNELS = {2: 3, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


def open_png(data: memoryview, room: Room) -> Opened:
    """Yield the texts, profiles, unknown chunks and pixels of a PNG, and what trails it."""
    if not begins(data, _SIGNATURE):
        return
    pixels: list[Data] = []
    header = b""
    end, whole = 8, False
    for name, start, stop in _chunks(data):
        body, span, end = data[start:stop], (start, stop), stop + 4
        whole = whole or name == b"IEND"
        if name == b"IHDR":
            header = bytes(body)
        if name == b"IDAT":
            pixels.append(body)
            yield Inner("PNG pixels", b"", span)
        elif len(body) != _PLAIN.get(name):
            yield from _chunk(name.decode("latin-1"), body, span, room)
        if name == b"IEND":
            break
    yield from _pixels(header, b"".join(pixels), room)
    if end < len(data):
        yield Inner("after PNG IEND" if whole else "broken PNG", data[end:], (end, len(data)))
    if not whole:
        yield Sealed("PNG", "it is broken or cut off; its bytes were searched as they are")


def _chunks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        start, stop = position + 8, position + 8 + length
        if stop + 4 > len(data):
            return
        yield bytes(data[position + 4 : position + 8]), start, stop
        position = stop + 4


def _chunk(name: str, body: memoryview, span: tuple[int, int], room: Room) -> Opened:
    carrier = f"PNG {name if name in _KNOWN else 'unknown'} chunk"
    head, packed = _packed_part(name, bytes(body))
    yield Inner(carrier, head, span, fields=True)
    if packed is None:
        return
    try:
        stream = inflate(memoryview(packed), 0, room)
    except TooLargeError:
        yield Sealed(carrier, too_large(room))
        return
    yield Inner(carrier, stream.data, fields=True)
    if not stream.whole:
        yield Sealed(carrier, "its compressed text is broken; what came before that was searched")
    elif stream.end < len(packed):
        yield Inner(carrier, packed[stream.end :])


def _packed_part(name: str, body: bytes) -> tuple[bytes, bytes | None]:
    """Return what a chunk holds as it is, and what it holds compressed."""
    keyword, _, rest = body.partition(b"\x00")
    if name in ("zTXt", "iCCP"):
        return keyword, rest[1:]
    if name == "iTXt" and rest[:1] == b"\x01":
        language, _, more = rest[2:].partition(b"\x00")
        translated, _, packed = more.partition(b"\x00")
        return b"\x00".join((keyword, language, translated)), packed
    return body, None


def _pixels(header: bytes, packed: bytes, room: Room) -> Opened:
    """Yield what stands behind the pixels; they themselves hold no text to be searched."""
    if not packed:
        return
    try:
        stream = inflate(memoryview(packed), 0, room)
    except TooLargeError:
        yield Sealed("PNG pixels", too_large(room))
        return
    if not stream.whole:
        yield Sealed("PNG pixels", "they are broken or cut off")
    size = _pixel_bytes(header)
    if len(stream.data) > size:
        yield Inner("behind PNG pixels", stream.data[size:])
    if stream.whole and stream.end < len(packed):
        yield Inner("behind PNG pixels", packed[stream.end :])


def _pixel_bytes(header: bytes) -> int:
    """Return how many bytes the rows of a PNG take, each with the byte that names its filter."""
    if len(header) != 13:
        return 0
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * _CHANNELS.get(header[9], 1)
    passes = _ADAM7 if header[12] else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total
