"""Planting in PNG files: in every kind of chunk, behind the end, and in pixels that none sees."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from .cells import SIDE, cell, decoded, encoded, grey
from .exif import planted_exif, planted_profile, planted_xmp
from .fact import Array, MadeImage, go
from .invented import Invented
from .jpeg import TURNS, colour_managed

_CARRIER = "PNG"
Plant = Callable[[bytes], bytes]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(data: bytes, added: bytes, before: bytes = b"IDAT") -> bytes:
    """Return a PNG with something in front of its first chunk of a kind."""
    at = data.index(before) - 4
    return data[:at] + added + data[at:]


# Each makes a chunk of a text; they stand in front of the pixels.
CHUNKS: dict[str, Plant] = {
    "tEXt": lambda t: chunk(b"tEXt", b"Author\x00" + t),
    "tEXt keyword": lambda t: chunk(b"tEXt", t[:79] + b"\x00yes"),
    "zTXt": lambda t: chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(t)),
    "iTXt": lambda t: chunk(b"iTXt", b"Title\x00\x00\x00de\x00Titel\x00" + t),
    "iTXt compressed": lambda t: chunk(b"iTXt", b"Title\x00\x01\x00\x00\x00" + zlib.compress(t)),
    "iTXt language and keyword": lambda t: chunk(b"iTXt", b"T\x00\x00\x00" + t + b"\x00\x00x"),
    "a private chunk": lambda t: chunk(b"prVt", t),
    "a private chunk, compressed": lambda t: chunk(b"zzZt", zlib.compress(t, 9)),
    "sPLT name": lambda t: chunk(b"sPLT", t[:79] + b"\x00\x08" + bytes(6)),
    "an XMP raw profile": lambda t: chunk(
        b"zTXt", b"Raw profile type xmp\x00\x00" + zlib.compress(b"\nxmp\n 9\n" + t.hex().encode())
    ),
    "caNv of an editor": lambda t: chunk(b"caNv", bytes(16) + t),
}


def planted_pngs(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield PNG files with planted facts; their pixels begin at a seed."""
    kinds = (invented.name, invented.number, invented.email, invented.address)
    for number, (where, plant) in enumerate(CHUNKS.items()):
        text = kinds[number % len(kinds)]()
        data = with_chunk(encoded(cell(seed + number), "PNG"), plant(text.encode()))
        yield _made(where, data, text)
    seed += len(CHUNKS)
    yield from _behind(invented, seed)
    yield from _metadata(invented, seed + 10)
    yield from _unseen(invented, seed + 20)
    yield from _modes(invented, seed + 30)


def _made(where: str, data: bytes, text: str, shown: Array | None = None) -> MadeImage:
    shown = decoded(data) if shown is None else shown
    return MadeImage(_CARRIER, where, data, shown, [go(_CARRIER, where, text)])


def _behind(invented: Invented, seed: int) -> Iterator[MadeImage]:
    plain = [encoded(cell(seed + number), "PNG") for number in range(5)]
    text = invented.name()
    yield _made("behind IEND", plain[0] + text.encode(), text)
    text = invented.name()
    yield _made("a chunk behind IEND", plain[1] + chunk(b"tEXt", b"A\x00" + text.encode()), text)
    text = invented.number()
    late = with_chunk(plain[2], chunk(b"tEXt", b"A\x00" + text.encode()), b"IEND")
    yield _made("tEXt behind the pixels", late, text)
    text = invented.name()
    body = plain[3][plain[3].index(b"IDAT") + 4 : plain[3].index(b"IEND") - 8]
    head = plain[3][: plain[3].index(b"IDAT") - 4]
    longer = head + chunk(b"IDAT", body + text.encode()) + chunk(b"IEND", b"")
    yield _made("IDAT behind the stream", longer, text)
    text = invented.name()
    body = plain[4][plain[4].index(b"IDAT") + 4 : plain[4].index(b"IEND") - 8]
    rows = zlib.decompress(body) + text.encode() * 9
    longer = head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    yield _made("more rows than are shown", longer, text)


def _metadata(invented: Invented, seed: int) -> Iterator[MadeImage]:
    exif, facts = planted_exif(_CARRIER, invented)
    data = with_chunk(encoded(cell(seed), "PNG"), chunk(b"eXIf", exif))
    yield MadeImage(_CARRIER, "eXIf", data, decoded(data), facts)

    exif, facts = planted_exif(_CARRIER, invented, orientation=6)
    stored = cell(seed + 1, width=48)
    data = with_chunk(encoded(stored, "PNG"), chunk(b"eXIf", exif))
    shown = np.ascontiguousarray(TURNS[6](stored))
    yield MadeImage(_CARRIER, "eXIf orientation 6", data, shown, facts[-2:])

    xmp, facts = planted_xmp(_CARRIER, invented)
    body = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp
    data = with_chunk(encoded(cell(seed + 2), "PNG"), chunk(b"iTXt", body))
    yield MadeImage(_CARRIER, "XMP", data, decoded(data), facts)

    name, text = invented.plain_name(), invented.name()
    packed = zlib.compress(planted_profile(text))
    body = name.encode() + b"\x00\x00" + packed
    data = with_chunk(encoded(cell(seed + 3), "PNG"), chunk(b"iCCP", body))
    facts = [go(_CARRIER, "iCCP name", name), go(_CARRIER, "iCCP profile", text)]
    yield MadeImage(_CARRIER, "iCCP", data, decoded(data), facts)

    text = invented.name()
    profile = planted_profile(text, foreign=True)
    data = encoded(cell(seed + 4), "PNG", icc_profile=profile)
    shown = colour_managed(Image.fromarray(cell(seed + 4)), profile)
    facts = [go(_CARRIER, "iCCP profile (foreign)", text)]
    yield MadeImage(_CARRIER, "iCCP (foreign)", data, shown, facts, levels=2)


def _unseen(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files with text where pixels could be, but none is seen."""
    text = invented.plain_name()
    image = Image.fromarray(cell(seed)).quantize(16)
    data = encoded(image, "PNG", bits=8)
    at = data.index(b"PLTE")
    length = int.from_bytes(data[at - 4 : at])
    colours = data[at + 4 : at + 4 + length] + (text.encode() * 9)[: 3 * (len(text) + 2)]
    data = data[: at - 4] + chunk(b"PLTE", colours) + data[at + 8 + length :]
    yield _made("colours of a palette that no pixel has", data, text)

    yield _transparent(invented.plain_name(), seed + 1)

    text = invented.plain_name()
    frames = [Image.fromarray(cell(seed + 2)), Image.fromarray(cell(seed + 3))]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    data = with_chunk(data, chunk(b"tEXt", b"Author\x00" + text.encode()), b"fdAT")
    yield MadeImage(_CARRIER, "animation", data, None, [go(_CARRIER, "animation", text)])


def _transparent(text: str, seed: int) -> MadeImage:
    """Return a file with a text in the grey values of its last row, which is transparent."""
    values = np.dstack([grey(seed), np.full((SIDE, SIDE), 255, np.uint8)])
    # In UTF-16, each letter of ASCII is followed by the zero that hides it.
    spelled = np.frombuffer(text.encode("utf-16-le")[: 2 * SIDE], np.uint8).reshape(-1, 2)
    values[-1] = 0
    values[-1, : len(spelled)] = spelled
    shown = np.repeat(values[:, :, :1], 3, axis=2)
    shown[-1] = 255
    rows = b"".join(b"\x00" + row.tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 4, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    where = "values of transparent pixels"
    return _made(where, b"\x89PNG\r\n\x1a\n" + head + data, text, shown)


def _modes(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files of other pixel modes, each with a text chunk."""
    deep = (np.random.default_rng(seed).integers(0, 65536, (5, 5))).astype(np.float32)
    smooth = np.asarray(Image.fromarray(deep).resize((SIDE, SIDE)))
    sixteen = smooth.clip(0, 65535).astype(np.uint16)
    rounded = ((sixteen.astype(np.int64) * 255 + 32_767) // 65_535).astype(np.uint8)
    # Dots of a dithered picture are taken for letters.
    one_bit = Image.fromarray(grey(seed + 1)).convert("1", dither=Image.Dither.NONE)
    made: dict[str, tuple[Image.Image, Array]] = {
        "grey": (Image.fromarray(grey(seed + 2)), grey(seed + 2)),
        "16 bit": (Image.fromarray(sixteen), rounded),
        "1 bit": (one_bit, np.asarray(one_bit.convert("L"))),
    }
    for mode, (image, shown) in made.items():
        text = invented.name()
        data = with_chunk(encoded(image, "PNG"), chunk(b"iTXt", b"T\0\0\0\0\0" + text.encode()))
        yield _made(f"iTXt of {mode}", data, text, shown)
    text = invented.name()
    image = Image.fromarray(cell(seed + 3)).quantize(32)
    data = with_chunk(encoded(image, "PNG"), chunk(b"iTXt", b"T\0\0\0\0\0" + text.encode()))
    yield _made("iTXt of a palette", data, text, np.asarray(image.convert("RGB")))
