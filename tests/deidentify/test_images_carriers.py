"""Any bytes, in any carrier of any format: what is released is the same as without them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from curation.errors import ImageError
from curation.pixels import Limits, release_image

Plant = Callable[[bytes], bytes]
LIMITS = Limits()
JANE = b"Jane Roe 1961-04-05"


@cache
def picture(seed: int = 0, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((40, 32), Image.Resampling.BICUBIC)
    return (
        image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    )


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or picture()).save(out, kind, **options)
    return out.getvalue()


def lossless(kind: str, **options: Any) -> bytes:
    return encoded(kind, lossless=True, **options) if kind == "WEBP" else encoded(kind, **options)


# JPEG


def jpeg_segment(marker: int, head: bytes, text: bytes) -> bytes:
    data = encoded("JPEG")
    body = head + text
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def jpeg_thumbnail(text: bytes) -> bytes:
    thumbnail = encoded("JPEG", picture(7).resize((20, 16)), comment=text)
    # IFD0 is empty; IFD1 points to the thumbnail.
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HI", 0, 14)
    exif += struct.pack("<H", 2) + struct.pack(
        "<HHIIHHII", 513, 4, 1, 44, 514, 4, 1, len(thumbnail)
    )
    return jpeg_segment(0xE1, exif + bytes(4), thumbnail)


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_chunk(
    kind: bytes, head: bytes, text: bytes, *, at: int = 33, packed: bool = False
) -> bytes:
    data = encoded("PNG")
    return data[:at] + chunk(kind, head + (zlib.compress(text) if packed else text)) + data[at:]


def png_behind_the_stream(text: bytes) -> bytes:
    """Bytes inside IDAT, behind the end of the compressed stream."""
    data = encoded("PNG")
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4])
    body = data[start + 8 : start + 8 + length] + text
    return data[:start] + chunk(b"IDAT", body) + data[start + 12 + length :]


def exif_of(text: bytes) -> bytes:
    entry = struct.pack("<HHHII", 1, 0x010E, 7, len(text), 26)
    return b"II*\0\x08\0\0\0" + entry + bytes(4) + text


# TIFF


def tiff_tag(tag: int, text: bytes) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info.tagtype[tag] = 7
    info[tag] = text
    return encoded("TIFF", tiffinfo=info)


def tiff_sub_directory(text: bytes) -> bytes:
    """A SubIFD that holds a small picture, uncompressed, with the text as its pixels."""
    place = 4096
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[330] = place
    data = encoded("TIFF", tiffinfo=info).ljust(place, b"\0")
    fields = {
        254: 1,
        256: len(text),
        257: 1,
        258: 8,
        259: 1,
        262: 1,
        273: place + 102,
        279: len(text),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
    return data + struct.pack("<H", 8) + entries + bytes(4) + text


def tiff_jpeg_comment(text: bytes) -> bytes:
    """A comment in the JPEG stream of a TIFF; the strip grows by it."""
    data = bytearray(encoded("TIFF", compression="jpeg"))
    start = struct.unpack_from("<I", data, 4)[0]
    fields = {}
    for number in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * number
        fields[struct.unpack_from("<H", data, at)[0]] = at + 8
    offset, count = (struct.unpack_from("<I", data, fields[tag])[0] for tag in (273, 279))
    strip = bytes(data[offset : offset + count])
    strip = strip[:2] + struct.pack(">BBH", 0xFF, 0xFE, len(text) + 2) + text + strip[2:]
    struct.pack_into("<I", data, fields[273], len(data))
    struct.pack_into("<I", data, fields[279], len(strip))
    data[offset : offset + count] = bytes(count)
    return bytes(data) + strip


# The others


def webp_chunk(kind: bytes, text: bytes) -> bytes:
    data = encoded("WEBP", lossless=True, xmp=b"made")
    body = data[12:] + kind + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def gif_extension(head: bytes, text: bytes) -> bytes:
    data = encoded("GIF", picture(mode="P"))
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    blocks = b"".join(
        bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255)
    )
    return data[:place] + head + blocks + b"\0" + data[place:]


def bmp_gap(text: bytes) -> bytes:
    data = encoded("BMP")
    return data[:10] + struct.pack("<I", 54 + len(text)) + data[14:54] + text + data[54:]


def behind(kind: str, text: bytes) -> bytes:
    return lossless(kind) + text


CARRIERS: dict[str, Plant] = {
    "JPEG comment": partial(jpeg_segment, 0xFE, b""),
    "JPEG EXIF": lambda text: jpeg_segment(0xE1, b"Exif\0\0", exif_of(text)),
    "JPEG EXIF thumbnail": jpeg_thumbnail,
    "JPEG XMP": partial(jpeg_segment, 0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    "JPEG IPTC": partial(jpeg_segment, 0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
    "JPEG maker": partial(jpeg_segment, 0xE7, b""),
    "JPEG Adobe": partial(jpeg_segment, 0xEE, b"Adobe\0d\0\0\0\0\x01"),
    "PNG tEXt": partial(png_chunk, b"tEXt", b"patient\0"),
    "PNG tEXt behind the pixels": partial(png_chunk, b"tEXt", b"patient\0", at=-12),
    "PNG zTXt": partial(png_chunk, b"zTXt", b"patient\0\0", packed=True),
    "PNG iTXt": partial(png_chunk, b"iTXt", b"patient\0\1\0\0\0", packed=True),
    "PNG eXIf": lambda text: png_chunk(b"eXIf", b"", exif_of(text)),
    "PNG eXIf behind the pixels": lambda text: png_chunk(b"eXIf", b"", exif_of(text), at=-12),
    "PNG private chunk": partial(png_chunk, b"prVt", b""),
    "PNG private chunk behind the pixels": partial(png_chunk, b"prVt", b"", at=-12),
    "PNG IDAT": png_behind_the_stream,
    "TIFF description": partial(tiff_tag, 270),
    "TIFF software": partial(tiff_tag, 305),
    "TIFF artist": partial(tiff_tag, 315),
    "TIFF copyright": partial(tiff_tag, 33432),
    "TIFF XMP": partial(tiff_tag, 700),
    "TIFF IPTC": partial(tiff_tag, 33723),
    "TIFF Photoshop": partial(tiff_tag, 34377),
    "TIFF private tag": partial(tiff_tag, 65000),
    "TIFF SubIFD": tiff_sub_directory,
    "WebP EXIF": lambda text: webp_chunk(b"EXIF", exif_of(text)),
    "WebP XMP": partial(webp_chunk, b"XMP "),
    "WebP unknown chunk": partial(webp_chunk, b"prvt"),
    "GIF comment": partial(gif_extension, b"!\xfe"),
    "GIF application": partial(gif_extension, b"!\xff\x0bXMP DataXMP"),
    "GIF unknown extension": partial(gif_extension, b"!\xaa"),
    "BMP gap": bmp_gap,
    "JPEG end": partial(behind, "JPEG"),
    "PNG end": partial(behind, "PNG"),
    "TIFF end": partial(behind, "TIFF"),
    "WebP end": partial(behind, "WEBP"),
    "BMP end": partial(behind, "BMP"),
    "GIF end": lambda text: encoded("GIF", picture(mode="P")) + text,
}  # fmt: skip


@cache
def released_plain(carrier: str) -> bytes:
    kind = carrier.split()[0].upper()
    plain = encoded("GIF", picture(mode="P")) if kind == "GIF" else lossless(kind)
    return release_image(plain, LIMITS).data


@pytest.mark.parametrize("carrier", CARRIERS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.binary(min_size=5, max_size=300))
def test_the_release_does_not_depend_on_planted_bytes(carrier: str, text: bytes) -> None:
    planted = CARRIERS[carrier](text)
    assert release_image(planted, LIMITS).data == released_plain(carrier)


def test_a_comment_in_the_jpeg_of_a_tiff_goes() -> None:
    plain = release_image(encoded("TIFF", compression="jpeg"), LIMITS)
    planted = tiff_jpeg_comment(JANE)
    assert planted.count(JANE) == 1
    assert release_image(planted, LIMITS).data == plain.data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_truncated_files_are_named_errors(kind: str) -> None:
    data = encoded("GIF", picture(mode="P")) if kind == "GIF" else lossless(kind)
    whole = release_image(data, LIMITS).data
    for end in range(0, len(data), 1 if len(data) < 1500 else 7):
        try:
            released = release_image(data[:end], LIMITS)
        except ImageError as error:
            assert error.reason in {"unreadable", "too_small"}  # noqa: PT017
            continue
        # Only what comes behind the pixels was cut off: checksums, end marks, directories of TIFF.
        assert released.data == whole


POLYGLOTS: dict[str, tuple[str, Plant]] = {
    "JPEG and ZIP": ("jpeg", lambda text: encoded("JPEG") + b"PK\x03\x04" + text + b"PK\x05\x06"),
    "PNG and ZIP": ("png", lambda text: encoded("PNG") + b"PK\x03\x04" + text + b"PK\x05\x06"),
    "GIF and script": ("png", lambda text: gif_extension(b"!\xfe", b"*/alert('" + text + b"');/*")),
    "JPEG and PDF": ("jpeg", lambda text: encoded("JPEG") + b"%PDF-1.7 " + text + b"%%EOF"),
    "JPEG in a PDF's comment": ("jpeg", partial(jpeg_segment, 0xFE, b"%PDF-1.7 ")),
    "two JPEG": ("png", lambda text: encoded("JPEG") + encoded("JPEG", picture(3), comment=text)),
}  # fmt: skip


@pytest.mark.parametrize("polyglot", POLYGLOTS)
def test_polyglots_are_released_as_the_image_alone(polyglot: str) -> None:
    codec, plant = POLYGLOTS[polyglot]
    released = release_image(plant(JANE), LIMITS)
    assert released.codec == codec
    assert not any(JANE[i : i + 5] in released.data for i in range(len(JANE) - 4))
    for sign in (b"PK\x03\x04", b"PDF", b"alert"):
        assert sign not in released.data


@pytest.mark.parametrize("head", [b"%PDF-1.7\n", b"PK\x03\x04", b"MZ", b"<html>", b"\x7fELF"])
def test_other_files_with_an_image_inside_are_refused(head: bytes) -> None:
    for kind in ("JPEG", "PNG", "TIFF"):
        with pytest.raises(ImageError, match="unreadable"):
            release_image(head + encoded(kind), LIMITS)


def test_the_first_image_of_an_mpo_is_encoded_anew() -> None:
    data = encoded("MPO", save_all=True, append_images=[picture(5)])
    released = release_image(data, LIMITS)
    assert released.codec == "png"
    with Image.open(io.BytesIO(data)) as first:
        np.testing.assert_array_equal(released.pixels, np.asarray(first))


@pytest.mark.parametrize("pages", [2, 3])
def test_a_tiff_with_a_label_page_is_refused(pages: int) -> None:
    label = picture(9).resize((20, 20))
    data = encoded("TIFF", save_all=True, append_images=[label] * (pages - 1))
    with pytest.raises(ImageError, match="several_images"):
        release_image(data, LIMITS)


def test_an_orientation_in_xmp_turns_nothing() -> None:
    xmp = b'<x:xmpmeta xmlns:tiff="t"><r tiff:Orientation="6"/></x:xmpmeta>'
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for data in (
        tiff_tag(700, xmp),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0", xmp, at=-12),
        encoded("PNG", pnginfo=info),
        encoded("WEBP", lossless=True, xmp=xmp),
        jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0", xmp),
    ):
        assert release_image(data, LIMITS).pixels.shape[:2] == (32, 40)


def test_an_orientation_behind_the_pixels_of_a_png_counts() -> None:
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + bytes(4)
    released = release_image(png_chunk(b"eXIf", b"", exif, at=-12), LIMITS)
    upright = picture().transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(released.pixels, np.asarray(upright))
