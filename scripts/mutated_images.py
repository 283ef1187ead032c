"""Made images of every format, and damaged, spliced and booby-trapped versions of them.

`mutated(seed, number)` is a pure function: the same numbers make the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

Random = np.random.Generator
_LETTERS = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", np.uint8
)


@dataclass(frozen=True, slots=True)
class Mutated:
    """An input, how it was made, and the text planted where no pixel is (empty: none).

    `damaged` says that something happened after the planting, so that the text may have got into
    the pixels.
    """

    data: bytes
    recipe: str
    canary: bytes
    damaged: bool


def mutated(seed: int, number: int) -> Mutated:
    """Return one input of a fuzzing run."""
    rng = np.random.default_rng([seed, number])
    return mutated_image(*_pick(rng), rng)


def mutated_image(name: str, data: bytes, rng: Random) -> Mutated:
    """Return an image with a text planted, or damaged, or both, or neither."""
    canary = bytes(rng.choice(_LETTERS, int(rng.integers(8, 24))))
    recipe = [name]
    planted = b""
    if rng.random() < 0.6:
        plant = rng.choice(np.array(_PLANTS[_format(data)], dtype=object))
        data = plant(data, canary, rng)
        planted = canary if canary[:5] in data else b""
        recipe.append(plant.__name__)
    damages = int(rng.choice(4, p=(0.45, 0.35, 0.12, 0.08)))
    for _ in range(damages):
        damage = rng.choice(np.array(_DAMAGES, dtype=object))
        data = damage(data, rng)
        recipe.append(damage.__name__)
    return Mutated(data, " ".join(recipe), planted, damages > 0)


def _pick(rng: Random) -> tuple[str, bytes]:
    images = _made_images()
    name = sorted(images)[int(rng.integers(len(images)))]
    return name, images[name]


@cache
def _made_images() -> dict[str, bytes]:
    """Return small images: what exporting programs write, and some of what they could."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "made"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngInfo()
    text.add_text("made", "text")
    text.add_itxt("made", "text", zip=True)
    rgb, grey = _cell(1, "RGB"), _cell(2, "L")
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
    more: dict[str, Any] = {"save_all": True, "append_images": [_cell(3, "RGB")]}
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    made: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (rgb, "JPEG", {}),
        "jpeg 4:4:4": (rgb, "JPEG", {"subsampling": 0, "quality": 95}),
        "jpeg 4:2:2": (rgb, "JPEG", {"subsampling": 1, "quality": 40}),
        "jpeg progressive": (rgb, "JPEG", {"progressive": True}),
        "jpeg optimised": (rgb, "JPEG", {"optimize": True}),
        "jpeg restarts": (rgb, "JPEG", {"restart_marker_blocks": 2}),
        "jpeg grey": (grey, "JPEG", {}),
        "jpeg grey progressive": (grey, "JPEG", {"progressive": True}),
        "jpeg turned": (rgb, "JPEG", {"exif": exif}),
        "jpeg profile": (rgb, "JPEG", {"icc_profile": srgb}),
        "jpeg kept rgb": (rgb, "JPEG", {"keep_rgb": True}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "png": (rgb, "PNG", {"pnginfo": text}),
        "png alpha": (_cell(4, "RGBA"), "PNG", {"exif": exif}),
        "png palette": (palette, "PNG", {"icc_profile": srgb}),
        "png deep": (deep, "PNG", {}),
        "png frames": (rgb, "PNG", more),
        "tiff": (rgb, "TIFF", {}),
        "tiff deflate": (rgb, "TIFF", {"compression": "tiff_adobe_deflate", "exif": exif}),
        "tiff lzw": (grey, "TIFF", {"compression": "tiff_lzw"}),
        "tiff jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "tiff pages": (rgb, "TIFF", more),
        "bmp": (rgb, "BMP", {}),
        "bmp palette": (palette, "BMP", {}),
        "webp": (rgb, "WEBP", {"exif": exif}),
        "webp lossless": (rgb, "WEBP", {"lossless": True}),
        "webp frames": (rgb, "WEBP", more),
        "gif": (palette, "GIF", {"comment": b"made"}),
        "gif frames": (palette, "GIF", more),
    }
    images = {name: _saved(*parts) for name, parts in made.items()}
    images["jpeg two images"] = images["jpeg"] + images["jpeg grey"]
    images["jpeg and zip"] = images["jpeg"] + b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
    return images


def _cell(seed: int, mode: str) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((33, 25), Image.Resampling.BICUBIC).convert(mode)


def _saved(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _format(data: bytes) -> str:
    heads = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"BM": "bmp", b"RI": "webp", b"GI": "gif"}
    return heads.get(data[:2], "tiff")


# Damage: anything anywhere.


def flip_bits(data: bytes, rng: Random) -> bytes:
    """Flip one to three bits, half of the time near the beginning, where headers are."""
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.5 else min(len(out), 128)
    for place in rng.integers(0, reach, int(rng.integers(1, 4))) if out else []:
        out[place] ^= 1 << int(rng.integers(8))
    return bytes(out)


def set_bytes(data: bytes, rng: Random) -> bytes:
    """Overwrite a place with an extreme value of one, two or four bytes."""
    out = bytearray(data)
    extremes = (b"\0", b"\xff", b"\0\0", b"\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff")
    value = extremes[int(rng.integers(len(extremes)))]
    place = int(rng.integers(len(out) + 1))
    out[place : place + len(value)] = value
    return bytes(out)


def cut_off(data: bytes, rng: Random) -> bytes:
    """Keep the beginning."""
    return data[: int(rng.integers(len(data) + 1))]


def remove_slice(data: bytes, rng: Random) -> bytes:
    """Take out up to 64 bytes."""
    place = int(rng.integers(len(data) + 1))
    return data[:place] + data[place + int(rng.integers(1, 65)) :]


def repeat_slice(data: bytes, rng: Random) -> bytes:
    """Write up to 200 bytes twice."""
    place = int(rng.integers(len(data) + 1))
    end = place + int(rng.integers(1, 201))
    return data[:end] + data[place:]


def insert_noise(data: bytes, rng: Random) -> bytes:
    """Put up to 40 random bytes somewhere."""
    place = int(rng.integers(len(data) + 1))
    return data[:place] + rng.bytes(int(rng.integers(1, 41))) + data[place:]


def splice(data: bytes, rng: Random) -> bytes:
    """Go on with the end of another file, most often one of the same format."""
    other = _pick(rng)[1]
    for _ in range(8):
        if _format(other) == _format(data):
            break
        other = _pick(rng)[1]
    return data[: int(rng.integers(len(data) + 1))] + other[int(rng.integers(len(other))) :]


def move_segment(data: bytes, rng: Random) -> bytes:
    """Remove, repeat or move a segment of a JPEG, or a slice of another file."""
    if _format(data) != "jpeg":
        return repeat_slice(data, rng)
    parts = _jpeg_parts(data)
    here = int(rng.integers(len(parts)))
    part = parts.pop(here)
    for _ in range(int(rng.integers(0, 3))):
        parts.insert(int(rng.integers(len(parts) + 1)), part)
    return b"".join(parts)


_DAMAGES = (
    flip_bits, set_bytes, cut_off, remove_slice, repeat_slice, insert_noise, splice, move_segment,
)  # fmt: skip


# Plants: a text where no pixel is.


def behind_the_end(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Append the text, after up to 8 other bytes."""
    return data + rng.bytes(int(rng.integers(0, 9))) + canary


def jpeg_segment(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Add a segment of any kind that holds the text, anywhere between segments."""
    marker = int(rng.choice((*range(0xC0, 0xD0), *range(0xDB, 0xF0), 0xFE, 0x01, 0x02, 0xF0)))
    heads = (
        b"",
        b"Exif\0\0",
        b"ICC_PROFILE\0\1\1",
        b"Adobe\0d\0\0\0\0\1",
        b"JFIF\0",
        b"\0",
        b"\x10",
    )
    body = heads[int(rng.integers(len(heads)))] + canary
    return _insert_part(data, _segment(marker, body), rng)


def jpeg_table(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Add a well-formed table that holds the text, in a slot that may be in use."""
    slot = int(rng.integers(4))
    if rng.random() < 0.5:
        return _insert_part(data, _segment(0xDB, bytes([slot]) + (canary * 8)[:64]), rng)
    symbols = (canary * 20)[: int(rng.integers(len(canary), 163))]
    counts = bytes([0] * 7 + [min(len(symbols), 200), 0, 0, 0, 0, 0, 0, 0, 0])
    kind = int(rng.integers(2)) << 4
    return _insert_part(data, _segment(0xC4, bytes([kind | slot]) + counts + symbols), rng)


def jpeg_in_table(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Overwrite part of a table of the file."""
    parts = _jpeg_parts(data)
    tables = [i for i, part in enumerate(parts) if part[:2] in (b"\xff\xdb", b"\xff\xc4")]
    if not tables:
        return data
    chosen = int(rng.choice(tables))
    part = parts[chosen]
    place = int(rng.integers(4, max(5, len(part) - len(canary))))
    parts[chosen] = (part[:place] + canary + part[place + len(canary) :])[: len(part)]
    return b"".join(parts)


def jpeg_longer(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Make a segment longer by the text than its content."""
    parts = _jpeg_parts(data)
    long = [i for i, part in enumerate(parts) if len(part) >= 4 and part[1] not in (0xD8, 0xD9)]
    chosen = int(rng.choice(long)) if long else 0
    part = parts[chosen]
    length = struct.unpack(">H", part[2:4])[0] if len(part) >= 4 else 0
    grown = struct.pack(">H", min(length + len(canary), 65535))
    parts[chosen] = part[:2] + grown + part[4 : 2 + length] + canary + part[2 + length :]
    return b"".join(parts)


def jpeg_behind_scan(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Put part of the text between the last code of a scan or restart interval and a marker."""
    parts = _jpeg_parts(data)
    scans = [i for i, part in enumerate(parts) if part[:2] == b"\xff\xda"]
    if not scans:
        return data
    chosen = int(rng.choice(scans))
    scan = parts[chosen]
    ends = [i for i in range(len(scan) - 1) if scan[i] == 0xFF and 0xD0 <= scan[i + 1] <= 0xD7]
    place = int(rng.choice([*ends, len(scan)]))
    # A decoder hides seven bytes; more are seen by any.
    text = canary[: int(rng.choice((5, 6, 7, len(canary))))]
    parts[chosen] = scan[:place] + text + scan[place:]
    return b"".join(parts)


def jpeg_fill(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Put fill bytes before a segment that holds the text."""
    return _insert_part(data, b"\xff" * int(rng.integers(1, 9)) + _segment(0xFE, canary), rng)


def png_chunk(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Add a chunk of any kind that holds the text, before or behind the pixels."""
    kinds = (
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"eXIf",
        b"iCCP",
        b"prVt",
        b"PLTE",
        b"tRNS",
        b"IDAT",
        b"gAMA",
    )
    kind = kinds[int(rng.integers(len(kinds)))]
    heads = {
        b"tEXt": b"patient\0", b"zTXt": b"patient\0\0", b"iTXt": b"patient\0\0\0\0\0",
        b"iCCP": b"profile\0\0",
    }  # fmt: skip
    body = heads.get(kind, b"") + canary
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    places, position = [33], 33
    while position + 8 <= len(data):
        position += 12 + struct.unpack(">I", data[position : position + 4])[0]
        places.append(position)
    place = int(rng.choice(places[:-1] or places))
    return data[:place] + chunk + data[place:]


def tiff_tag(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Write the image anew with the text in a tag, known or private."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[int(rng.choice((270, 271, 305, 306, 315, 316, 33432, 65000)))] = canary.decode()
    return _saved(_cell(int(rng.integers(9)), "RGB"), "TIFF", {"tiffinfo": info})


def tiff_directory(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Point one field of the first directory, or the next directory, somewhere else."""
    data = tiff_tag(data, canary, rng)
    out = bytearray(data)
    start = int(struct.unpack_from("<I", data, 4)[0])
    count = int(struct.unpack_from("<H", data, start)[0])
    targets = [start + 2 + 12 * i + 8 for i in range(count)] + [start + 2 + 12 * count]
    value = int(rng.choice((0, 8, start, len(data), 2**31, int(rng.integers(len(data))))))
    struct.pack_into("<I", out, int(rng.choice(targets)), value)
    return bytes(out)


def tiff_jpeg_comment(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Put a comment into the JPEG stream of a TIFF, over its first bytes and beyond."""
    data = _made_images()["tiff jpeg"] + canary
    place = data.find(b"\xff\xd8\xff", 8)
    return data[: place + 2] + _segment(0xFE, canary) + data[place + 2 :]


def webp_chunk(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Add a RIFF chunk that holds the text, at the end or at the beginning."""
    kind = (b"EXIF", b"XMP ", b"ICCP", b"prvt")[int(rng.integers(4))]
    chunk = kind + struct.pack("<I", len(canary)) + canary + b"\0" * (len(canary) % 2)
    body = data[12:] + chunk if rng.random() < 0.7 else chunk + data[12:]
    return data[:4] + struct.pack("<I", len(body) + 4) + data[8:12] + body


def gif_extension(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Add a comment, plain text or application extension that holds the text."""
    block = bytes([len(canary)]) + canary + b"\0"
    heads = (b"!\xfe", b"!\x01", b"!\xff\x0bXMP DataXMP", b"!\xaa")
    table = 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0
    place = 13 + table if rng.random() < 0.7 else len(data) - 1
    return data[:place] + heads[int(rng.integers(len(heads)))] + block + data[place:]


def bmp_gap(data: bytes, canary: bytes, rng: Random) -> bytes:
    """Put the text between the header and the pixels."""
    offset = int(struct.unpack_from("<I", data, 10)[0])
    return (
        data[:10]
        + struct.pack("<I", offset + len(canary))
        + data[14:offset]
        + canary
        + data[offset:]
    )


Plant = Callable[[bytes, bytes, Random], bytes]
_PLANTS: dict[str, tuple[Plant, ...]] = {
    "jpeg": (
        jpeg_segment, jpeg_table, jpeg_in_table, jpeg_longer, jpeg_behind_scan, jpeg_fill,
        behind_the_end,
    ),
    "png": (png_chunk, png_chunk, behind_the_end),
    "tiff": (tiff_tag, tiff_directory, tiff_jpeg_comment, behind_the_end),
    "webp": (webp_chunk, behind_the_end),
    "gif": (gif_extension, behind_the_end),
    "bmp": (bmp_gap, behind_the_end),
}  # fmt: skip


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _insert_part(data: bytes, part: bytes, rng: Random) -> bytes:
    parts = _jpeg_parts(data)
    parts.insert(int(rng.integers(1, len(parts) + 1)), part)
    return b"".join(parts)


def _jpeg_parts(data: bytes) -> list[bytes]:
    """Split a JPEG at its markers, scans staying with their headers; damage ends the splitting."""
    parts, position = [data[:2]], 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xD9:
        end = position + 2 + int(struct.unpack_from(">H", data, position + 2)[0])
        if data[position + 1] == 0xDA:
            while end + 1 < len(data) and not _is_marker(data, end):
                end += 1
        parts.append(data[position:end])
        position = max(end, position + 2)
    return [*parts, data[position:]]


def _is_marker(data: bytes, at: int) -> bool:
    return data[at] == 0xFF and data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7
