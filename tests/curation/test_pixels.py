from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms, ImageOps

from curation.deidentify.jpeg import clean_jpeg
from curation.errors import ImageError
from curation.pixels import (
    Limits,
    Pixels,
    decode_rgb,
    encode_png,
    pixel_id,
    release_image,
    release_pixels,
)

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
LIMITS = Limits()


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def png(head: bytes, pixels: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_header(width: int, height: int, depth: int = 1) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return png(head, zlib.compress(bytes(100)))


def png_chunks(data: bytes) -> list[bytes]:
    names, position = [], 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4])
        names.append(data[position + 4 : position + 8])
        position += 12 + length
    return names


def refused(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        release_image(data, LIMITS)
    return caught.value.reason


def test_unusable_images_have_reasons(cell: Cell, encoded: Encoded) -> None:
    jpeg, png = encoded(cell()), encoded(cell(), "PNG")
    assert refused(b"") == "unreadable"
    assert refused(b"patient list\n") == "unreadable"
    assert refused(jpeg[: len(jpeg) // 2]) == "unreadable"
    assert refused(jpeg[:30]) == "unreadable"
    assert refused(png[: len(png) // 2]) == "unreadable"
    assert refused(encoded(Image.new("RGB", (1, 1)), "PNG")) == "too_small"
    assert refused(encoded(Image.new("RGB", (1, 1)))) == "too_small"
    assert refused(encoded(Image.new("RGB", (300, 15)))) == "too_small"
    assert refused(png_header(20_000, 20_000)) == "too_large"
    assert refused(png_header(8_000, 8_000)) == "too_large"
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EOF\n") == "unreadable"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_refused(kind: str, cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(1), kind, save_all=True, append_images=[cell(2)])
    assert refused(data) == "several_images"


def test_a_size_at_the_limit_is_taken(encoded: Encoded) -> None:
    data = encoded(Image.new("RGB", (16, 20)), "PNG")
    assert release_image(data, Limits(max_pixels=320)).width == 16
    with pytest.raises(ImageError, match="17"):
        release_image(data, Limits(min_side_px=17))
    with pytest.raises(ImageError, match="319"):
        release_image(data, Limits(max_pixels=319))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_stays_one(mode: str, options: dict[str, int], cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(4, 50, mode), **options)
    released = release_image(data, LIMITS)
    assert released.codec == "jpeg"
    assert released.data == clean_jpeg(data).data
    assert (released.width, released.height) == (50, 58)
    with Image.open(io.BytesIO(released.data)) as image:
        assert image.mode == mode
    assert released.image_id == pixel_id(decoded(data))


def test_16_bit_grey_is_scaled(encoded: Encoded) -> None:
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    released = release_image(encoded(Image.fromarray(values), "PNG"), LIMITS)
    np.testing.assert_array_equal(decoded(released.data), np.round(values / 257).astype(np.uint8))
    tiff = encoded(Image.fromarray(values.astype(np.int32) * 2), "TIFF")
    assert refused(tiff) == "unreadable"
    floats = encoded(Image.fromarray(values.astype(np.float32)), "TIFF")
    assert refused(floats) == "unreadable"


def test_16_bit_colour_is_scaled(cell: Cell) -> None:
    deep = np.asarray(cell()).astype(np.uint16) * 257
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 48, 56, 16, 2, 0, 0, 0)
    data = png(head, zlib.compress(rows))
    np.testing.assert_array_equal(decoded(release_image(data, LIMITS).data), np.asarray(cell()))


def test_16_bit_grey_that_a_png_hides_is_white(encoded: Encoded) -> None:
    values = np.full((20, 20), 1000, np.uint16)
    values[3, 4] = 60_000
    released = release_image(encoded(Image.fromarray(values), "PNG", transparency=1000), LIMITS)
    assert (decoded(released.data) == 255).sum() == 399


def test_palette_and_bilevel(cell: Cell, encoded: Encoded) -> None:
    palette = cell().convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
    for kind in ("PNG", "GIF", "BMP"):
        released = release_image(encoded(palette, kind), LIMITS)
        np.testing.assert_array_equal(decoded(released.data), np.asarray(palette.convert("RGB")))
    bilevel = cell().convert("1")
    released = release_image(encoded(bilevel, "PNG"), LIMITS)
    np.testing.assert_array_equal(decoded(released.data), np.asarray(bilevel.convert("L")))


def test_what_transparency_hides_is_not_released(cell: Cell, encoded: Encoded) -> None:
    hidden = cell(mode="RGBA")
    hidden.putalpha(0)
    assert (decoded(release_image(encoded(hidden, "PNG"), LIMITS).data) == 255).all()
    grey = cell(mode="LA")
    grey.putalpha(0)
    assert (decoded(release_image(encoded(grey, "PNG"), LIMITS).data) == 255).all()
    palette = Image.new("P", (20, 20), 3)
    palette.putpalette([9, 9, 9] * 8)
    data = encoded(palette, "PNG", transparency=3)
    assert (decoded(release_image(data, LIMITS).data) == 255).all()
    opaque = cell(mode="RGBA")
    released = release_image(encoded(opaque, "PNG"), LIMITS)
    np.testing.assert_array_equal(decoded(released.data), np.asarray(cell()))


def test_cmyk_becomes_rgb_png(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(mode="CMYK"), quality=95)
    released = release_image(data, LIMITS)
    assert released.codec == "png"
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decoded(released.data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["progressive JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int, cell: Cell, encoded: Encoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "planted"
    coding = {"progressive": True} if "progressive" in kind else {}
    data = encoded(cell(), kind.split()[-1], exif=exif, **coding)
    released = release_image(data, LIMITS)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decoded(released.data), upright)
    assert (released.height, released.width) == upright.shape[:2]
    assert released.codec == ("jpeg" if coding and orientation == 1 else "png")
    assert b"planted" not in released.data


def test_damaged_exif_orients_nothing(cell: Cell, encoded: Encoded) -> None:
    for exif in (b"Exif\x00\x00garbage", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00"):
        released = release_image(encoded(cell(), exif=exif), LIMITS)
        assert released.codec == "jpeg"
        released = release_image(encoded(cell(), "PNG", exif=exif), LIMITS)
        np.testing.assert_array_equal(decoded(released.data), np.asarray(cell()))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_damaged_anywhere_costs_no_image(kind: str, cell: Cell, encoded: Encoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x010E] = "a description"
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    payload = exif.tobytes()
    rng = np.random.default_rng(3)
    image = cell(side=16)
    for _ in range(150):
        damaged = bytearray(payload)
        for place in rng.integers(6, len(damaged), 2):
            damaged[place] = rng.integers(0, 256)
        assert release_image(encoded(image, kind, exif=bytes(damaged)), LIMITS).width == 16


def swapped_profile() -> bytes:
    """A valid profile of no known name whose red and blue primaries are exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "scan".encode("utf-16-be"))
    tags, body = profile[:600], profile[600:]
    tags = tags.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    return tags + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_foreign_profile_is_applied(kind: str, cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(), kind, icc_profile=swapped_profile())
    plain = encoded(cell(), kind)
    released = release_image(data, LIMITS)
    assert released.codec == "png"
    expected = decoded(plain)[:, :, ::-1].astype(int)
    assert np.abs(decoded(released.data).astype(int) - expected).max() <= 2
    assert png_chunks(released.data) == [b"IHDR", b"IDAT", b"IEND"]


def test_srgb_profile_is_only_dropped(cell: Cell, encoded: Encoded) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(cell(), icc_profile=srgb)
    released = release_image(data, LIMITS)
    assert released.codec == "jpeg"
    assert released.image_id == pixel_id(decoded(data))
    assert refused(encoded(cell(), icc_profile=b"no profile at all")) == "unreadable"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_reencode_makes_a_png_of_the_same_pixels(mode: str, cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(mode=mode))
    kept, anew = release_image(data, LIMITS), release_image(data, LIMITS, reencode=True)
    assert (kept.codec, anew.codec) == ("jpeg", "png")
    assert kept.image_id == anew.image_id
    assert png_chunks(anew.data) == [b"IHDR", b"IDAT", b"IEND"]
    for released in (kept, anew):
        np.testing.assert_array_equal(released.pixels, decoded(data))
    assert "pixels" not in repr(anew)


def test_pixels_that_a_source_decoded(cell: Cell) -> None:
    for mode in ("RGB", "L"):
        pixels = np.asarray(cell(mode=mode))
        released = release_pixels(pixels, LIMITS)
        assert (released.codec, released.width, released.height) == ("png", 48, 56)
        assert released.image_id == pixel_id(pixels)
        np.testing.assert_array_equal(decoded(released.data), pixels)
        assert released.pixels is pixels


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((20, 20), np.uint16), "unreadable"),
        (np.zeros((20, 20, 4), np.uint8), "unreadable"),
        (np.zeros((20, 20, 1), np.uint8), "unreadable"),
        (np.zeros((20,), np.uint8), "unreadable"),
        (np.zeros((2, 20, 20, 3), np.uint8), "unreadable"),
        (np.zeros((15, 20, 3), np.uint8), "too_small"),
        (np.zeros((40, 40, 3), np.uint8), "too_large"),
    ],
)
def test_pixels_of_a_wrong_kind_are_refused(pixels: Pixels, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        release_pixels(pixels, Limits(max_pixels=1000))
    assert caught.value.reason == reason


def test_png_holds_nothing_but_pixels(cell: Cell, encoded: Encoded) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("patient", "Jane Roe")
    info.add_itxt("more", "Jane Roe", zip=False)
    data = encoded(cell(), "PNG", pnginfo=info, dpi=(300, 300), exif=b"Exif\x00\x00Jane Roe")
    assert b"Jane Roe" in data
    released = release_image(data + b"Jane Roe", LIMITS)
    assert b"Jane" not in released.data
    assert set(png_chunks(released.data)) == {b"IHDR", b"IDAT", b"IEND"}
    np.testing.assert_array_equal(decoded(released.data), np.asarray(cell()))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_damage_is_an_image_error(kind: str, cell: Cell, encoded: Encoded) -> None:
    original = encoded(cell(6, 24), kind, **({"lossless": True} if kind == "WEBP" else {}))
    rng = np.random.default_rng(11)
    limits = Limits(max_pixels=20_000)
    reasons = set()
    for number in range(250):
        data = bytearray(original)
        # The header and directories decide most; damage falls there every other time.
        reach = 64 if number % 2 else len(data)
        for place in rng.integers(0, reach, rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        cut = len(data) if number % 3 else int(rng.integers(0, len(data)))
        try:
            release_image(bytes(data[:cut]), limits)
        except ImageError as error:
            reasons.add(error.reason)
    assert reasons <= {"unreadable", "too_small", "too_large", "several_images"}


def test_an_unforeseen_error_of_a_decoder_costs_one_image(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, encoded: Encoded
) -> None:
    def broken(image: Image.Image) -> Pixels:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr("curation.pixels._to_array", broken)
    assert refused(encoded(cell(), "PNG")) == "unreadable"


def test_pixel_id_depends_on_shape_mode_and_pixels() -> None:
    grey = np.arange(96, dtype=np.uint8)
    colour = grey.reshape(8, 4, 3)
    ids = [
        pixel_id(grey.reshape(8, 12)),
        pixel_id(grey.reshape(12, 8)),
        pixel_id(colour),
        pixel_id(grey.reshape(4, 8, 3)),
        pixel_id(colour[::-1]),
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(name) == 32 for name in ids)
    assert pixel_id(colour.copy()) == pixel_id(np.asfortranarray(colour))
    blank = np.zeros((2, 3), np.uint8)
    assert pixel_id(decoded(encode_png(blank))) == pixel_id(blank)
    # Frozen: published corpora name their rows so.
    assert pixel_id(blank) == "a8a98f4fd9e8ab4b52778a6c6831c5fd"


def test_formats_of_equal_pixels_are_one_image(cell: Cell, encoded: Encoded) -> None:
    ids = {release_image(encoded(cell(), kind), LIMITS).image_id for kind in ("PNG", "BMP", "TIFF")}
    assert ids == {pixel_id(np.asarray(cell()))}


def test_decode_rgb_repeats_grey(cell: Cell, encoded: Encoded) -> None:
    for kind in ("JPEG", "PNG"):
        pixels = decode_rgb(encoded(cell(mode="L"), kind))
        assert pixels.shape == (56, 48, 3)
        assert (pixels[:, :, 0] == pixels[:, :, 2]).all()


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}]
)
def test_both_decoders_agree(options: dict[str, int], cell: Cell, encoded: Encoded) -> None:
    for seed in range(5):
        data = encoded(cell(seed, 61), **options)
        np.testing.assert_array_equal(simplejpeg.decode_jpeg(data, "RGB"), decoded(data))


@pytest.mark.real
def test_real_files_keep_their_pixels(shared_data: Path) -> None:
    files = sorted((shared_data / "pbc_raw").rglob("*.jpg"))[::40]
    assert files
    for file in files:
        data = file.read_bytes()
        released = release_image(data, LIMITS)
        assert released.codec == "jpeg"
        np.testing.assert_array_equal(decode_rgb(released.data), decoded(data))
        assert released.image_id == pixel_id(decoded(data))
