"""Planting in GIF, WebP and BMP files."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

from .cells import cell, decoded, encoded
from .exif import planted_exif, planted_profile, planted_xmp
from .fact import Array, Fact, MadeImage, go
from .invented import Invented
from .jpeg import colour_managed


def planted_gifs(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield GIF files with planted facts; their pixels begin at a seed."""
    heads = {
        "comment": b"!\xfe", "application extension": b"!\xff\x0bMICROSC1.0A",
        "XMP application": b"!\xff\x0bXMP DataXMP", "unknown extension": b"!\xaa",
    }  # fmt: skip
    for number, (where, head) in enumerate(heads.items()):
        fact = go("GIF", where, invented.name())
        raw = fact.text.encode()
        data = _gif(seed + number)
        place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        block = head + bytes([len(raw)]) + raw + b"\x00"
        yield _made(data[:place] + block + data[place:], fact)
    seed += len(heads)
    fact = go("GIF", "comment behind the pixels", invented.number())
    raw = fact.text.encode()
    data = _gif(seed)
    yield _made(data[:-1] + b"!\xfe" + bytes([len(raw)]) + raw + b"\x00;", fact)
    fact = go("GIF", "behind the trailer", invented.name())
    yield _made(_gif(seed + 1) + fact.text.encode(), fact)
    fact = go("GIF", "colours of the palette that no pixel has", invented.plain_name())
    yield _made(_gif_with_colours(seed + 2, fact.text.encode()), fact)
    fact = go("GIF", "several frames", invented.name())
    frames = [Image.fromarray(cell(seed + n)) for n in (3, 4)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:],
                   comment=fact.text.encode())  # fmt: skip
    yield MadeImage("GIF", fact.where, data, None, [fact])


def _gif(seed: int) -> bytes:
    return encoded(Image.fromarray(cell(seed)).quantize(64), "GIF")


def _gif_with_colours(seed: int, text: bytes) -> bytes:
    data = bytearray(encoded(Image.fromarray(cell(seed)).quantize(64), "GIF"))
    bits = (data[10] & 7) + 1
    # The palette is made twice as long; no pixel uses the added half.
    data[10] = data[10] & ~7 | bits
    place = 13 + 3 * 2**bits
    return bytes(data[:place]) + (text * 99)[: 3 * 2**bits] + bytes(data[place:])


def planted_webps(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield WebP files with planted facts; their pixels begin at a seed."""
    exif, facts = planted_exif("WebP", invented)
    yield _made(_webp(seed, exif=exif), *facts, where="EXIF")
    xmp, facts = planted_xmp("WebP", invented)
    yield _made(_webp(seed + 1, xmp=xmp), *facts, where="XMP")
    fact = go("WebP", "colour profile", invented.name())
    yield _made(_webp(seed + 2, icc_profile=planted_profile(fact.text)), fact)
    fact = go("WebP", "colour profile (foreign)", invented.name())
    profile = planted_profile(fact.text, foreign=True)
    shown = colour_managed(Image.fromarray(cell(seed + 3)), profile)
    data = _webp(seed + 3, icc_profile=profile)
    yield MadeImage("WebP", fact.where, data, shown, [fact], levels=2)
    fact = go("WebP", "unknown chunk", invented.name())
    raw = fact.text.encode()
    chunk = b"prvt" + struct.pack("<I", len(raw)) + raw + bytes(len(raw) % 2)
    data = _webp(seed + 4, exif=planted_exif("WebP", Invented())[0][:8])
    data = data[:4] + struct.pack("<I", len(data) - 8 + len(chunk)) + data[8:] + chunk
    yield _made(data, fact)
    fact = go("WebP", "behind the last chunk", invented.number())
    yield _made(_webp(seed + 5) + fact.text.encode(), fact)
    fact = go("WebP", "EXIF of a lossy file", invented.plain_name())
    info = Image.Exif()
    info[315] = fact.text
    data = encoded(cell(seed + 6), "WEBP", quality=80, exif=info)
    yield _made(data, fact)


def _webp(seed: int, **options: bytes) -> bytes:
    return encoded(cell(seed), "WEBP", lossless=True, **options)


def planted_bmps(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield BMP files with planted facts; their pixels begin at a seed."""
    fact = go("BMP", "behind the pixels", invented.name())
    yield _made(encoded(cell(seed), "BMP") + fact.text.encode(), fact)
    fact = go("BMP", "a gap in front of the pixels", invented.name())
    yield _made(_with_gap(encoded(cell(seed + 1), "BMP"), fact.text.encode()), fact)
    fact = go("BMP", "path of a linked profile", f"\\\\srv\\{invented.plain_name()}\\scanner.icm")
    yield _made(_with_linked_profile(cell(seed + 4), fact.text.encode("cp1252")), fact)
    fact = go("BMP", "colours of the palette that no pixel has", invented.plain_name())
    image = Image.fromarray(cell(seed + 5)).quantize(200)
    data = bytearray(encoded(image, "BMP"))
    start, end = 14 + 40 + 4 * 210, int.from_bytes(data[10:14], "little")
    data[start:end] = (fact.text.encode() * 99)[: end - start]
    yield _made(bytes(data), fact)


def _with_gap(data: bytes, text: bytes) -> bytes:
    offset = int.from_bytes(data[10:14], "little")
    moved = struct.pack("<I", offset + len(text))
    return data[:10] + moved + data[14:offset] + text + data[offset:]


def _with_linked_profile(pixels: Array, path: bytes) -> bytes:
    """Return a BMP of version 5 that names a profile in a file."""
    height, width = pixels.shape[:2]
    body = b"".join(row[:, ::-1].tobytes() for row in pixels[::-1])
    linked, size = b"KNIL", 124
    head = struct.pack("<IiiHHIIiiII", size, width, height, 1, 24, 0, len(body), 0, 0, 0, 0)
    head += bytes(16) + linked + bytes(48)
    head += struct.pack("<IIII", 4, size + len(body), len(path), 0)
    whole = 14 + size + len(body) + len(path)
    return struct.pack("<2sIHHI", b"BM", whole, 0, 0, 14 + size) + head + body + path


def _made(data: bytes, *facts: Fact, where: str = "") -> MadeImage:
    kinds = {b"GI": "GIF", b"RI": "WebP", b"BM": "BMP"}
    carrier = kinds[data[:2]]
    return MadeImage(carrier, where or facts[0].where, data, decoded(data), facts)
