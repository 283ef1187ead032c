"""Planting in EXIF (any TIFF directory tree), XMP, IPTC and colour profiles."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from PIL import ImageCms

from .cells import cell, encoded
from .fact import Fact, go
from .invented import Invented

BYTE, ASCII, SHORT, LONG, UNDEFINED = 1, 2, 3, 4, 7
_EXIF_IFD, _GPS_IFD = 34665, 34853
Entry = tuple[int, int, bytes]
"""Tag, type and value of one field of a directory."""
Named = tuple[str, int, int, bytes, str]
"""Name, tag, type and value of a field, and the text that is planted in it."""


def ascii_bytes(text: str) -> bytes:
    """Return a text as a field of type ASCII holds it; writers put UTF-8 there."""
    return text.encode() + b"\x00"


def directory(entries: Sequence[Entry], at: int, following: int = 0) -> bytes:
    """Return a little-endian TIFF directory that lies at offset `at`, values behind it."""
    widths = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, UNDEFINED: 1}
    table, values = b"", b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in sorted(entries):
        short = value.ljust(4, b"\x00")
        if len(value) > 4:
            short = struct.pack("<I", behind + len(values))
            values += value + b"\x00" * (len(value) % 2)
        table += struct.pack("<HHI", tag, kind, len(value) // widths[kind]) + short
    return struct.pack("<H", len(entries)) + table + struct.pack("<I", following) + values


def planted_exif(
    carrier: str, invented: Invented, orientation: int = 1
) -> tuple[bytes, list[Fact]]:
    """Return an EXIF payload (from its byte order mark on) and the facts planted in it."""
    groups = _main(invented), _camera(invented), _place(invented)
    thumbnail_text = invented.name()
    thumbnail = _thumbnail(thumbnail_text)
    facts = [go(carrier, f"EXIF {name}", text) for group in groups for name, *_, text in group]
    facts.append(go(carrier, "EXIF thumbnail", thumbnail_text))
    main, camera, place = ([(t, k, v) for _, t, k, v, _ in group] for group in groups)
    main.append((274, SHORT, struct.pack("<H", orientation)))
    return _tree(main, camera, place, thumbnail), facts


def _tree(main: list[Entry], camera: list[Entry], place: list[Entry], thumbnail: bytes) -> bytes:
    pointers: list[Entry] = [(_EXIF_IFD, LONG, bytes(4)), (_GPS_IFD, LONG, bytes(4))]
    camera_at = 8 + len(directory([*main, *pointers], 8))
    place_at = camera_at + len(directory(camera, camera_at))
    second_at = place_at + len(directory(place, place_at))
    pointers = [
        (_EXIF_IFD, LONG, struct.pack("<I", camera_at)),
        (_GPS_IFD, LONG, struct.pack("<I", place_at)),
    ]
    second: list[Entry] = [(259, SHORT, struct.pack("<H", 6)), (513, LONG, bytes(4)),
                           (514, LONG, struct.pack("<I", len(thumbnail)))]  # fmt: skip
    image_at = second_at + len(directory(second, second_at))
    second[1] = (513, LONG, struct.pack("<I", image_at))
    return b"".join(
        (
            struct.pack("<2sHI", b"II", 42, 8),
            directory([*main, *pointers], 8, second_at),
            directory(camera, camera_at),
            directory(place, place_at),
            directory(second, second_at),
            thumbnail,
        )
    )


def _main(invented: Invented) -> list[Named]:
    names = {"ImageDescription": 270, "Artist": 315, "Copyright": 33432}
    found = [_ascii(name, tag, invented.name()) for name, tag in names.items()]
    for name, tag in {"Model": 272, "Software": 305, "HostComputer": 316}.items():
        found.append(_ascii(name, tag, invented.serial()))
    found.append(_ascii("DateTime", 306, f"{invented.day():%Y:%m:%d}", " 07:08:09"))
    for name, tag in {"XPTitle": 40091, "XPComment": 40092, "XPAuthor": 40093}.items():
        text = invented.name()
        found.append((name, tag, BYTE, (text + "\x00").encode("utf-16-le"), text))
    return found


def _camera(invented: Invented) -> list[Named]:
    found = [
        _ascii("DateTimeOriginal", 0x9003, f"{invented.day():%Y:%m:%d}", " 10:11:12"),
        _ascii("ImageUniqueID", 0xA420, invented.accession()),
        _ascii("CameraOwnerName", 0xA430, invented.name()),
        _ascii("BodySerialNumber", 0xA431, invented.serial()),
        _ascii("LensSerialNumber", 0xA435, invented.serial()),
    ]
    note, comment = invented.number(), invented.name()
    found.append(("MakerNote", 0x927C, UNDEFINED, b"MADE\x00\x01" + note.encode() + bytes(9), note))
    value = b"UNICODE\x00" + comment.encode("utf-16-le")
    found.append(("UserComment", 0x9286, UNDEFINED, value, comment))
    return found


def _place(invented: Invented) -> list[Named]:
    where = invented.address()
    return [
        ("GPSProcessingMethod", 27, UNDEFINED, b"ASCII\x00\x00\x00" + where.encode(), where),
        _ascii("GPSDateStamp", 29, f"{invented.day():%Y:%m:%d}"),
    ]


def _ascii(name: str, tag: int, text: str, behind: str = "") -> Named:
    return name, tag, ASCII, ascii_bytes(text + behind), text


def _thumbnail(text: str) -> bytes:
    return encoded(cell(1, height=16, width=16), "JPEG", comment=text.encode())


def planted_xmp(carrier: str, invented: Invented) -> tuple[bytes, list[Fact]]:
    """Return an XMP packet and the facts planted in it."""
    creator, patient, day = invented.name(), invented.number(), invented.day().isoformat()
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:lab="http://lab.example/" lab:patient="{patient}" lab:born="{day}">'
        f"<lab:creator>{creator}</lab:creator></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    where = {"creator": creator, "patient": patient, "born": day}
    return packet.encode(), [go(carrier, f"XMP {name}", text) for name, text in where.items()]


def planted_iptc(carrier: str, invented: Invented) -> tuple[bytes, list[Fact]]:
    """Return IPTC data sets and the facts planted in them."""
    numbers = {"byline": 80, "caption": 120, "contact": 118, "date": 55, "headline": 105}
    texts = {"byline": invented.name(), "caption": invented.number(), "contact": invented.email(),
             "date": f"{invented.day():%Y%m%d}", "headline": invented.name()}  # fmt: skip
    data = b"".join(
        struct.pack(">BBBH", 0x1C, 2, numbers[name], len(text.encode())) + text.encode()
        for name, text in texts.items()
    )
    return data, [go(carrier, f"IPTC {name}", text) for name, text in texts.items()]


def planted_profile(text: str, *, foreign: bool = False) -> bytes:
    """Return an sRGB profile with a text in a tag of its own; a foreign one swaps red and green."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = int.from_bytes(profile[128:132])
    table = profile[132 : 132 + 12 * count]
    entries = [table[at : at + 12] for at in range(0, len(table), 12)]
    if foreign:
        swap = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
        entries = [swap.get(entry[:4], entry[:4]) + entry[4:] for entry in entries]
    moved = [e[:4] + struct.pack(">I", int.from_bytes(e[4:8]) + 12) + e[8:] for e in entries]
    value = b"text\x00\x00\x00\x00" + text.encode() + b"\x00"
    value += bytes(-len(value) % 4)
    own = struct.pack(">4sII", b"WhoM", len(profile) + 12, len(value))
    body = struct.pack(">I", count + 1) + b"".join([*moved, own]) + profile[132 + len(table) :]
    whole = profile[:128] + body + value
    return struct.pack(">I", len(whole)) + whole[4:]
