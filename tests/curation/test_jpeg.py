from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curation.deidentify.jpeg import MalformedJpegError, clean_jpeg
from curation.errors import ImageError
from curation.pixels import Limits, release_image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
SECRET = b"Jane Roe 1961-04-05"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def after_soi(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def without_app0(data: bytes) -> bytes:
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[4 + int.from_bytes(data[4:6]) :]


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def thumbnail(encoded: Encoded, cell: Cell) -> bytes:
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00" + SECRET
    return exif + encoded(cell(99, 16), comment=SECRET)


CARRIERS = {
    "exif": lambda: segment(0xE1, b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00" + SECRET),
    "xmp": lambda: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00<x>" + SECRET + b"</x>"),
    "comment": lambda: segment(0xFE, SECRET),
    "icc": lambda: segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + SECRET),
    "iptc": lambda: segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04" + SECRET),
    "jfif extension": lambda: segment(0xE0, b"JFXX\x00\x10" + SECRET),
    "vendor": lambda: segment(0xEB, SECRET),
    "Adobe tail": lambda: segment(0xEE, b"Adobe\x00\x64\x80\x00\x00\x00\x01" + SECRET),
    "fill bytes": lambda: b"\xff\xff\xff" + segment(0xFE, SECRET),
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_planted_bytes_go_and_pixels_stay(carrier: str, cell: Cell, encoded: Encoded) -> None:
    original = after_soi(encoded(cell()), CARRIERS[carrier]())
    assert SECRET in original
    clean = clean_jpeg(original)
    assert SECRET not in clean.data
    assert b"JFIF" not in clean.data
    np.testing.assert_array_equal(decoded(clean.data), decoded(original))


def test_bytes_after_the_end_and_thumbnails_go(cell: Cell, encoded: Encoded) -> None:
    original = after_soi(encoded(cell()), segment(0xE1, thumbnail(encoded, cell))) + SECRET
    clean = clean_jpeg(original)
    assert SECRET not in clean.data
    assert clean.data.count(b"\xff\xd8") == 1
    assert clean.data.endswith(b"\xff\xd9")
    np.testing.assert_array_equal(decoded(clean.data), decoded(original))


def test_exif_and_icc_are_handed_back(cell: Cell, encoded: Encoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    clean = clean_jpeg(encoded(cell(), exif=exif, icc_profile=b"x" * 70_000))
    assert clean.exif.startswith(b"Exif\x00\x00")
    assert clean.icc == b"x" * 70_000
    assert (clean.width, clean.height, clean.components) == (48, 56, 3)


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("RGB", {}),
    "progressive": ("RGB", {"progressive": True}),
    "4:4:4": ("RGB", {"subsampling": 0}),
    "4:2:2": ("RGB", {"subsampling": 1}),
    "optimised": ("RGB", {"optimize": True, "quality": 97}),
    "restart intervals": ("RGB", {"restart_marker_blocks": 2}),
    "grey": ("L", {}),
    "grey progressive": ("L", {"progressive": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_scan_is_copied_bit_for_bit(kind: str, cell: Cell, encoded: Encoded) -> None:
    mode, options = KINDS[kind]
    original = encoded(cell(3, 64, mode), comment=SECRET, **options)
    clean = clean_jpeg(original)
    tables = clean.data[2:]
    assert tables[tables.index(b"\xff\xc4") :] in original
    scan = original[original.index(b"\xff\xda") :]
    assert scan in clean.data
    assert clean.components == {"RGB": 3, "L": 1}[mode]
    for start, end in clean.scans:
        assert clean.data[start:end] in scan
        assert clean.data[end] == 0xFF
    np.testing.assert_array_equal(decoded(clean.data), decoded(original))
    assert clean_jpeg(clean.data).data == clean.data


def renamed(data: bytes, names: bytes) -> bytes:
    """The components of a 4:4:4 file called otherwise, in its frame and scan headers."""
    frame = data.index(b"\xff\xc0") + 10
    scan = data.index(b"\xff\xda") + 5
    out = bytearray(data)
    for index, name in enumerate(names):
        out[frame + 3 * index] = name
        out[scan + 2 * index] = name
    return bytes(out)


ADOBE_RGB = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")


def test_rgb_that_only_the_names_tell_is_said_by_an_adobe_segment(
    cell: Cell, encoded: Encoded
) -> None:
    plain = without_app0(encoded(cell(), subsampling=0))
    data = renamed(plain, b"RGB")
    assert (decoded(data) != decoded(plain)).any()
    clean = clean_jpeg(data)
    assert ADOBE_RGB in clean.data
    np.testing.assert_array_equal(decoded(clean.data), decoded(data))


def test_jfif_outranks_adobe_and_names(cell: Cell, encoded: Encoded) -> None:
    """A decoder takes JFIF with Adobe's transform 0 for YCbCr; without JFIF it would be RGB."""
    plain = encoded(cell(), subsampling=0)
    both = plain[:20] + ADOBE_RGB + plain[20:]
    for data in (both, renamed(plain, b"RGB")):
        np.testing.assert_array_equal(decoded(data), decoded(plain))
        released = release_image(data, Limits())
        assert released.codec == "jpeg"
        assert b"Adobe" not in released.data
        np.testing.assert_array_equal(decoded(released.data), decoded(plain))
    only_adobe = after_soi(without_app0(plain), ADOBE_RGB)
    kept = release_image(only_adobe, Limits())
    assert kept.codec == "jpeg"
    np.testing.assert_array_equal(decoded(kept.data), decoded(only_adobe))


def test_names_of_components_are_not_copied(cell: Cell, encoded: Encoded) -> None:
    data = renamed(encoded(cell(), subsampling=0), b"Jan")
    clean = clean_jpeg(data)
    assert b"J\x11\x00" not in clean.data
    assert clean.data == clean_jpeg(encoded(cell(), subsampling=0)).data


def test_cmyk_is_left_to_the_pixels(cell: Cell, encoded: Encoded) -> None:
    with pytest.raises(MalformedJpegError, match="components"):
        clean_jpeg(encoded(cell(mode="CMYK")))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_every_truncation_is_refused(options: dict[str, int], cell: Cell, encoded: Encoded) -> None:
    data = after_soi(encoded(cell(), **options), segment(0xFE, SECRET))
    for end in range(len(data)):
        with pytest.raises(MalformedJpegError):
            clean_jpeg(data[:end])


def test_data_hidden_behind_the_scan_is_not_released(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell())
    hidden = data[:-2] + SECRET + data[-2:]
    try:
        released = release_image(hidden, Limits())
    except ImageError:
        return
    assert SECRET not in released.data


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restart intervals", "grey"])
def test_damage_never_raises_anything_else_nor_changes_pixels(
    kind: str, cell: Cell, encoded: Encoded
) -> None:
    mode, options = KINDS[kind]
    original = encoded(cell(5, 32, mode), **options)
    rng = np.random.default_rng(7)
    limits = Limits(max_pixels=20_000)
    kept = 0
    reasons = set()
    for _ in range(500):
        data = bytearray(original)
        for place in rng.integers(2, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        damaged = bytes(data)
        try:
            released = release_image(damaged, limits)
        except ImageError as error:
            reasons.add(error.reason)
            continue
        if released.codec == "jpeg":
            kept += 1
            np.testing.assert_array_equal(decoded(released.data), decoded(damaged))
    assert kept
    assert reasons <= {"unreadable", "too_small", "too_large"}


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "SOI"),
        (b"\xff\xd8", "truncated"),
        (b"\xff\xd8\xff\xd9", "no frame"),
        (b"\xff\xd8\x00\x00", "between segments"),
        (b"\xff\xd8\xff\xe0\x00\x01", "longer than the file"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "scan before frame"),
        (b"\xff\xd8\xff\xc3\x00\x02\xff\xd9", "0xC3 is not vouched for"),
    ],
)
def test_refusals_say_why(data: bytes, match: str) -> None:
    with pytest.raises(MalformedJpegError, match=match):
        clean_jpeg(data)
