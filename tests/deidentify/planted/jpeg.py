"""Planting in JPEG files: in every segment, between segments, in tables and behind the end."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from .cells import cell, decoded, encoded
from .exif import planted_exif, planted_iptc, planted_profile, planted_xmp
from .fact import Array, Fact, MadeImage, go
from .invented import Invented

_CARRIER = "JPEG"
_SOF, _DHT, _DQT, _SOS, _COM, _EOI = 0xC0, 0xC4, 0xDB, 0xDA, 0xFE, 0xD9
_MOST = 65_533


@dataclass(frozen=True, slots=True)
class _Parts:
    """A JPEG taken apart: segments up to the scan, the scan's bytes, and the end."""

    head: tuple[bytes, ...]
    scan: bytes

    def with_first(self, *segments: bytes) -> bytes:
        """Return the file with segments behind SOI."""
        return b"".join((b"\xff\xd8", *segments, *self.head, self.scan, b"\xff\xd9"))

    def with_before(self, marker: int, *inserted: bytes) -> bytes:
        """Return the file with something before the first segment of a kind."""
        place = next(i for i, part in enumerate(self.head) if part[1] == marker)
        return b"".join(
            (b"\xff\xd8", *self.head[:place], *inserted, *self.head[place:], self.scan, b"\xff\xd9")
        )


def segment(marker: int, body: bytes) -> bytes:
    """Return a marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def parts_of(data: bytes) -> _Parts:
    """Take a JPEG of one scan apart."""
    head: list[bytes] = []
    at = 2
    while not head or head[-1][1] != _SOS:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        head.append(data[at:end])
        at = end
    return _Parts(tuple(head), data[at : data.rindex(b"\xff\xd9")])


Plant = Callable[[_Parts, bytes], bytes]

KEPT: dict[str, Plant] = {
    "COM": lambda p, t: p.with_first(segment(_COM, t)),
    "COM of 60 kB": lambda p, t: p.with_first(segment(_COM, ((t + b" ") * 60_000)[:60_000])),
    "COM before the tables": lambda p, t: p.with_before(_DHT, segment(_COM, t)),
    "COM before the scan": lambda p, t: p.with_before(_SOS, segment(_COM, t)),
    "COM behind the scan": lambda p, t: b"".join(
        (b"\xff\xd8", *p.head, p.scan, segment(_COM, t), b"\xff\xd9")
    ),
    "fill bytes before COM": lambda p, t: p.with_first(b"\xff\xff\xff" + segment(_COM, t)),
    "JFIF thumbnail": lambda p, t: p.with_first(
        segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01" + _thumbnail(t))
    ),
    "JFXX thumbnail": lambda p, t: p.with_first(segment(0xE0, b"JFXX\x00\x13" + _thumbnail(t))),
    "APP1 of no known kind": lambda p, t: p.with_first(segment(0xE1, b"QVCI\x00" + t)),
    "APP2 FlashPix": lambda p, t: p.with_first(segment(0xE2, b"FPXR\x00" + t)),
    "APP14 behind Adobe's": lambda p, t: p.with_first(
        segment(0xEE, b"Adobe\x00d" + bytes(4) + b"\x01" + t)
    ),
    "behind EOI": lambda p, t: p.with_first() + t,
    "a zip archive behind EOI": lambda p, t: p.with_first() + _zip_of(t),
    "an HTML page in COM": lambda p, t: p.with_first(
        segment(_COM, b"--><script>//" + t + b"</script><!--")
    ),
}


def _vendor(number: int) -> Plant:
    return lambda p, t: p.with_first(segment(0xE0 + number, b"Vendor\x00" + t))


KEPT |= {f"APP{number}": _vendor(number) for number in range(3, 16) if number != 14}

ANEW: dict[str, Plant] = {
    "unused quantisation table": lambda p, t: p.with_before(
        _SOF, segment(_DQT, b"\x03" + (t * 8)[:64])
    ),
    "unused Huffman table": lambda p, t: p.with_before(
        _SOS, segment(_DHT, b"\x13" + bytes(7) + bytes([len(t)]) + bytes(8) + t)
    ),
    "between segments": lambda p, t: p.with_before(_DQT, t),
    "in front of EOI": lambda p, t: b"".join((b"\xff\xd8", *p.head, p.scan, t, b"\xff\xd9")),
    "7 bytes in front of EOI": lambda p, t: b"".join(
        (b"\xff\xd8", *p.head, p.scan, t[-7:], b"\xff\xd9")
    ),
    "used quantisation table": lambda p, t: _in_quantisation(p, t),
    "a longer frame header": lambda p, t: _longer(p, _SOF, t),
    "a longer scan header": lambda p, t: _longer(p, _SOS, t),
    "a second image behind EOI": lambda p, t: p.with_first() + encoded(cell(3), "JPEG", comment=t),
}


def planted_jpegs(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield JPEG files with planted facts; their pixels begin at a seed."""
    for number, (where, plant) in enumerate({**KEPT, **ANEW}.items()):
        text = _text_for(where, number, invented)
        parts = parts_of(encoded(cell(seed + number), "JPEG", quality=90))
        data = plant(parts, text.encode())
        seen = text if where != "7 bytes in front of EOI" else text[-7:]
        facts = [go(_CARRIER, where, seen)]
        yield _made(where, data, facts, parts.scan if where in KEPT else b"")
    seed += len(KEPT) + len(ANEW)
    yield from _metadata(invented, seed)
    yield from _codings(invented, seed + 20)


def _text_for(where: str, number: int, invented: Invented) -> str:
    if "table" in where or "7 bytes" in where:
        return invented.number()[4:] if "Huffman" in where else invented.plain_name()
    kinds = (invented.name, invented.number, invented.plain_name, invented.accession,
             invented.serial, invented.email, invented.address)  # fmt: skip
    return kinds[number % len(kinds)]()


def _made(where: str, data: bytes, facts: list[Fact], scan: bytes, levels: int = 0) -> MadeImage:
    return MadeImage(_CARRIER, where, data, _shown(data), facts, levels, scan)


def _shown(data: bytes) -> Array | None:
    try:
        return decoded(data)
    except OSError:
        return None  # no viewer shows it, so that it must be refused


def _metadata(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files with EXIF, XMP, IPTC and colour profiles."""
    exif, facts = planted_exif(_CARRIER, invented)
    parts = parts_of(encoded(cell(seed), "JPEG", quality=90))
    app1 = segment(0xE1, b"Exif\x00\x00" + exif)
    yield _made("EXIF", parts.with_first(app1), facts, parts.scan)

    xmp, facts = planted_xmp(_CARRIER, invented)
    parts = parts_of(encoded(cell(seed + 1), "JPEG", quality=90))
    app1 = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + xmp)
    yield _made("XMP", parts.with_first(app1), facts, parts.scan)

    xmp, facts = planted_xmp(f"{_CARRIER}", invented)
    facts = [Fact(f.carrier, f"extended {f.where}", f.must, f.text) for f in facts]
    parts = parts_of(encoded(cell(seed + 2), "JPEG", quality=90))
    head = b"http://ns.adobe.com/xmp/extension/\x00" + b"0" * 32 + struct.pack(">II", len(xmp), 0)
    yield _made("extended XMP", parts.with_first(segment(0xE1, head + xmp)), facts, parts.scan)

    iptc, facts = planted_iptc(_CARRIER, invented)
    parts = parts_of(encoded(cell(seed + 3), "JPEG", quality=90))
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)
    app13 = segment(0xED, b"Photoshop 3.0\x00" + block)
    yield _made("IPTC", parts.with_first(app13), facts, parts.scan)

    text = invented.name()
    plain = encoded(cell(seed + 4), "JPEG", quality=90, icc_profile=planted_profile(text))
    facts = [go(_CARRIER, "colour profile (sRGB)", text)]
    yield _made("colour profile (sRGB)", plain, facts, parts_of(plain).scan)
    yield _foreign(invented.name(), seed + 5)
    for number in range(2, 9):
        yield _turned(number, invented, seed + 4 + number)


def _foreign(text: str, seed: int) -> MadeImage:
    """Return a file whose profile changes its colours: what a viewer shows is to be released."""
    profile = planted_profile(text, foreign=True)
    data = encoded(cell(seed), "JPEG", quality=90, icc_profile=profile)
    where = "colour profile (foreign)"
    shown = colour_managed(Image.open(io.BytesIO(data)), profile)
    return MadeImage(_CARRIER, where, data, shown, [go(_CARRIER, where, text)], 2)


def colour_managed(image: Image.Image, profile: bytes) -> Array:
    """Return an image as a colour-managed viewer shows it on an sRGB screen."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    managed = ImageCms.applyTransform(image.convert("RGB"), transform)
    return np.asarray(managed)


TURNS: dict[int, Callable[[Array], Array]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 3),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""EXIF orientation -> from what is stored to what is shown."""


def _turned(orientation: int, invented: Invented, seed: int) -> MadeImage:
    exif, facts = planted_exif(_CARRIER, invented, orientation)
    facts = [Fact(f.carrier, f"{f.where} (turned)", f.must, f.text) for f in facts[:2]]
    parts = parts_of(encoded(cell(seed, width=48), "JPEG", quality=90))
    data = parts.with_first(segment(0xE1, b"Exif\x00\x00" + exif))
    shown = np.ascontiguousarray(TURNS[orientation](decoded(data)))
    # Turned in its coefficients, where the size allows it: decoders round those otherwise.
    return MadeImage(_CARRIER, f"EXIF orientation {orientation}", data, shown, facts, levels=5)


def _codings(invented: Invented, seed: int) -> Iterator[MadeImage]:
    """Yield files of other codings, each with a comment."""
    options: dict[str, dict[str, object]] = {
        "4:4:4": {"subsampling": 0}, "4:2:2": {"subsampling": 1}, "optimised": {"optimize": True},
        "restarts": {"restart_marker_blocks": 2},
    }  # fmt: skip
    for number, (coding, more) in enumerate(options.items()):
        text = invented.name()
        data = encoded(cell(seed + number), "JPEG", comment=text.encode(), **more)
        where = f"COM of {coding}"
        yield _made(where, data, [go(_CARRIER, where, text)], parts_of(data).scan)
    text = invented.name()
    image = Image.fromarray(cell(seed + 8)).convert("L")
    data = encoded(image, "JPEG", comment=text.encode())
    yield _made("COM of grey", data, [go(_CARRIER, "COM of grey", text)], parts_of(data).scan)
    text = invented.name()
    progressive = encoded(cell(seed + 9), "JPEG", progressive=True)
    data = progressive.replace(b"\xff\xda", segment(_COM, text.encode()) + b"\xff\xda")
    where = "COM between progressive scans"
    yield _made(where, data, [go(_CARRIER, where, text)], b"")
    text = invented.name()
    cmyk = Image.fromarray(cell(seed + 10)).convert("CMYK")
    data = encoded(cmyk, "JPEG", comment=text.encode())
    yield _made("COM of CMYK", data, [go(_CARRIER, "COM of CMYK", text)], b"")


def _thumbnail(text: bytes) -> bytes:
    side = 6
    return bytes([side, side]) + (text * side**2)[: 3 * side**2]


def _zip_of(text: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("patient.txt", text)
    return out.getvalue()


def _in_quantisation(parts: _Parts, text: bytes) -> bytes:
    """Return the file with the text in the highest frequencies of a table that is in use."""
    place = next(i for i, part in enumerate(parts.head) if part[1] == _DQT)
    table = bytearray(parts.head[place])
    table[69 - len(text) : 69] = text
    head = (*parts.head[:place], bytes(table), *parts.head[place + 1 :])
    return _Parts(head, parts.scan).with_first()


def _longer(parts: _Parts, marker: int, text: bytes) -> bytes:
    """Return the file with a text behind the last field of a header."""
    place = next(i for i, part in enumerate(parts.head) if part[1] == marker)
    longer = segment(marker, parts.head[place][4:] + text)
    head = (*parts.head[:place], longer, *parts.head[place + 1 :])
    return _Parts(head, parts.scan).with_first()
