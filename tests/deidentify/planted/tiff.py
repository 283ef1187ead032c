"""Planting in TIFF files: tags, directories that no viewer opens, gaps and further pages."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, TiffImagePlugin

from .cells import cell, decoded, encoded, grey
from .exif import (
    ASCII,
    BYTE,
    LONG,
    SHORT,
    UNDEFINED,
    Entry,
    ascii_bytes,
    directory,
    planted_exif,
    planted_iptc,
    planted_profile,
    planted_xmp,
)
from .fact import Array, Fact, MadeImage, go
from .invented import Invented
from .jpeg import colour_managed, segment

_CARRIER = "TIFF"
_TEXTS = {
    "269 DocumentName": 269, "270 ImageDescription": 270, "271 Make": 271, "272 Model": 272,
    "285 PageName": 285, "305 Software": 305, "315 Artist": 315, "316 HostComputer": 316,
    "333 InkNames": 333, "32781 ImageID": 32781, "33432 Copyright": 33432,
    "42112 metadata of GDAL": 42112, "65000 private": 65000, "65530 private": 65530,
}  # fmt: skip


def tiff(pixels: Array, added: list[Entry], *, second: bytes = b"", gap: bytes = b"") -> bytes:
    """Return a TIFF of one uncompressed strip with further fields; `second` is a whole page.

    `second` is made by `page`, for the offset that `page_at` says.
    """
    at = 8 + pixels.nbytes + len(gap)
    following = at + len(directory(_fields(pixels, added), at)) if second else 0
    body = directory(_fields(pixels, added), at, following)
    return struct.pack("<2sHI", b"II", 42, at) + pixels.tobytes() + gap + body + second


def page_at(pixels: Array, added: list[Entry]) -> int:
    """Return the offset at which a second page would lie."""
    at = 8 + pixels.nbytes
    return at + len(directory(_fields(pixels, added), at))


def page(pixels: Array, added: list[Entry], at: int) -> bytes:
    """Return a directory with its pixels behind it, for an offset."""
    size = len(directory(_fields(pixels, added), at))
    return directory(_fields(pixels, added, at + size), at) + pixels.tobytes()


def _fields(pixels: Array, added: list[Entry], data_at: int = 8) -> list[Entry]:
    height, width = pixels.shape[:2]
    samples = 3 if pixels.ndim == 3 else 1
    bits = struct.pack("<H", 8) * samples
    numbers = {257: height, 256: width, 278: height, 279: pixels.nbytes, 273: data_at}
    shorts = {259: 1, 262: 2 if samples == 3 else 1, 277: samples}
    fields: list[Entry] = [(tag, LONG, struct.pack("<I", n)) for tag, n in numbers.items()]
    fields += [(tag, SHORT, struct.pack("<H", n)) for tag, n in shorts.items()]
    return [*fields, (258, SHORT, bits), *added]


def planted_tiffs(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield TIFF files with planted facts; their pixels begin at a seed."""
    yield _tags(invented, seed)
    yield from _blocks(invented, seed + 1)
    yield from _gaps(invented, seed + 10)
    yield from _pages(invented, seed + 20)
    yield from _codings(invented, seed + 30)


def _made(where: str, data: bytes, *facts: Fact, shown: Array | None = None) -> MadeImage:
    shown = decoded(data) if shown is None else shown
    return MadeImage(_CARRIER, where, data, shown, facts or ())


def _tags(invented: Invented, seed: int) -> MadeImage:
    kinds = (invented.name, invented.serial, invented.address, invented.email)
    texts = {where: kinds[n % len(kinds)]() for n, where in enumerate(_TEXTS)}
    entries: list[Entry] = [
        (tag, ASCII, ascii_bytes(texts[where])) for where, tag in _TEXTS.items()
    ]
    day, note, words = f"{invented.day():%Y:%m:%d}", invented.number(), invented.name()
    entries.append((306, ASCII, ascii_bytes(f"{day} 08:09:10")))
    entries.append((65001, UNDEFINED, note.encode()))
    entries.append((40093, BYTE, words.encode("utf-16-le")))
    texts |= {"306 DateTime": day, "65001 private bytes": note, "40093 XPAuthor": words}
    facts = [go(_CARRIER, f"tag {where}", text) for where, text in texts.items()]
    return _made("tags", tiff(cell(seed), entries), *facts)


def _blocks(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files with whole blocks of metadata in a tag."""
    xmp, facts = planted_xmp(_CARRIER, invented)
    yield _made("700 XMP", tiff(cell(seed), [(700, BYTE, xmp)]), *facts)
    iptc, facts = planted_iptc(_CARRIER, invented)
    yield _made("33723 IPTC", tiff(cell(seed + 1), [(33723, UNDEFINED, iptc)]), *facts)
    text = invented.name()
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(text.encode())) + text.encode()
    fact = go(_CARRIER, "34377 Photoshop", text)
    yield _made(fact.where, tiff(cell(seed + 2), [(34377, BYTE, block)]), fact)
    profile = planted_profile(text := invented.name())
    fact = go(_CARRIER, "34675 colour profile", text)
    yield _made(fact.where, tiff(cell(seed + 3), [(34675, UNDEFINED, profile)]), fact)
    profile = planted_profile(text := invented.name(), foreign=True)
    fact = go(_CARRIER, "34675 colour profile (foreign)", text)
    shown = colour_managed(Image.fromarray(cell(seed + 4)), profile)
    data = tiff(cell(seed + 4), [(34675, UNDEFINED, profile)])
    yield MadeImage(_CARRIER, fact.where, data, shown, [fact], levels=2)
    exif, facts = planted_exif(_CARRIER, invented)
    # As Pillow writes it: the directories of EXIF lie in the TIFF's own.
    info = Image.Exif()
    info.load(b"Exif\x00\x00" + exif)
    data = encoded(cell(seed + 5), "TIFF", exif=info)
    # It does not write the thumbnail, nor what is no text.
    written = [fact for fact in facts if fact.text.encode() in data]
    yield _made("34665 EXIF", data, *written)


def _gaps(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files with text where no field points."""
    text = invented.name()
    fact = go(_CARRIER, "behind the last byte", text)
    yield _made(fact.where, tiff(cell(seed), []) + text.encode(), fact)
    text = invented.number()
    fact = go(_CARRIER, "a gap between pixels and directory", text)
    yield _made(fact.where, tiff(cell(seed + 1), [], gap=text.encode()), fact)
    text = invented.name()
    fact = go(_CARRIER, "a strip longer than its pixels", text)
    data = bytearray(tiff(cell(seed + 2), [], gap=text.encode()))
    count = cell(seed + 2).nbytes
    at = data.rindex(struct.pack("<HHII", 279, LONG, 1, count)) + 8
    data[at : at + 4] = struct.pack("<I", count + len(text.encode()))
    yield _made(fact.where, bytes(data), fact)


def _pages(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files with further pages: which of them is the cell cannot be told."""
    is_reduced: list[Entry] = [(254, LONG, struct.pack("<I", 1))]
    for where, more in {"second page": [], "page that is a thumbnail": is_reduced}.items():
        words, spelled = invented.name(), invented.plain_name()
        label = np.frombuffer((spelled.encode() * 200)[:3072], np.uint8).reshape(32, 32, 3)
        first = cell(seed)
        own: list[Entry] = [(270, ASCII, ascii_bytes(words)), *more]
        second = page(label, own, page_at(first, []))
        facts = [go(_CARRIER, f"{where}: ImageDescription", words),
                 go(_CARRIER, f"{where}: pixels", spelled)]  # fmt: skip
        yield MadeImage(_CARRIER, where, tiff(first, [], second=second), None, facts)
        seed += 1
    text = invented.name()
    fact = go(_CARRIER, "330 directory below", text)
    pixels = cell(seed)
    sub = [(330, LONG, struct.pack("<I", page_at(pixels, [(330, LONG, bytes(4))])))]
    below = directory([(270, ASCII, ascii_bytes(text))], struct.unpack("<I", sub[0][2])[0])
    yield _made(fact.where, tiff(pixels, sub) + below, fact)


def _codings(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files of other codings and pixel modes, each with a description."""
    deep = (cell(seed)[:, :, 0].astype(np.uint16) * 251) + 77
    rounded = ((deep.astype(np.int64) * 255 + 32_767) // 65_535).astype(np.uint8)
    images: dict[str, tuple[Image.Image, Array | None, dict[str, str]]] = {
        "LZW": (Image.fromarray(cell(seed + 1)), None, {"compression": "tiff_lzw"}),
        "deflate": (Image.fromarray(cell(seed + 2)), None, {"compression": "tiff_adobe_deflate"}),
        "PackBits": (Image.fromarray(cell(seed + 3)), None, {"compression": "packbits"}),
        "16 bit": (Image.fromarray(deep), rounded, {}),
        "grey": (Image.fromarray(grey(seed + 4)), None, {}),
        "a palette": (Image.fromarray(cell(seed + 5)).quantize(64), None, {}),
        "CMYK": (Image.fromarray(cell(seed + 6)).convert("CMYK"), None, {}),
    }
    for coding, (image, shown, options) in images.items():
        # Pillow writes other letters than those of ASCII as question marks.
        fact = go(_CARRIER, f"ImageDescription of {coding}", invented.plain_name())
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[270] = fact.text
        yield _made(fact.where, encoded(image, "TIFF", tiffinfo=info, **options), fact, shown=shown)
    fact = go(_CARRIER, "COM of a JPEG strip", invented.name())
    data = encoded(cell(seed + 7), "TIFF", compression="jpeg")
    yield _made(fact.where, _with_comment(data, fact.text.encode()), fact)


def _with_comment(data: bytes, text: bytes) -> bytes:
    """Return a TIFF whose JPEG strip lies behind its end, with a comment."""
    with Image.open(io.BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]
        (offset,), (count,) = tags[273], tags[279]
    strip = data[offset : offset + count]
    commented = strip[:2] + segment(0xFE, text) + strip[2:]
    out = bytearray(data + commented)
    for tag, value in ((273, len(data)), (279, len(commented))):
        at = next(
            i for i in range(8, len(out) - 12, 2)
            if struct.unpack_from("<H", out, i)[0] == tag
            and struct.unpack_from("<I", out, i + 4)[0] == 1
        )  # fmt: skip
        kind = struct.unpack_from("<H", out, at + 2)[0]
        out[at + 8 : at + 12] = struct.pack("<I" if kind == LONG else "<Hxx", value)
    out[offset : offset + count] = bytes(count)
    return bytes(out)
