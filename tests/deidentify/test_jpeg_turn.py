"""JPEGs that EXIF turns: their coefficients turned, exactly or not at all, and nothing else kept.

Pixels are compared within `TURNED_LEVELS`: what a decoder computes of mirrored or transposed blocks
and of chroma between them is rounded otherwise. Coefficients are compared for equality.
"""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from curation.deidentify import jpeg_turn
from curation.deidentify.jpeg import CleanJpeg, MalformedJpegError, clean_jpeg
from curation.deidentify.jpeg_codes import layout
from curation.deidentify.jpeg_scan_read import read_scan
from curation.deidentify.jpeg_scan_write import write_scan
from curation.deidentify.jpeg_tables import TRANSPOSED, ZIGZAG
from curation.deidentify.jpeg_turn import TURNS, turned_jpeg
from curation.deidentify.jpeg_walk import walk_jpeg
from curation.errors import ImageError
from curation.pixels import Limits, release_image
from scripts.fuzz_images import TURNED_LEVELS, check
from scripts.mutated_images import mutated_image
from tests.deidentify.planted.jpeg import TURNS as TURNED_ARRAY
from tests.deidentify.planted.jpeg import parts_of, segment

LIMITS = Limits()
BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
CODINGS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "grey": {},
    "RGB": {"keep_rgb": True},
    "restarts": {"restart_marker_blocks": 5},
    "own codes": {"optimize": True, "subsampling": 0},
    "coarse": {"quality": 20},
    "fine": {"quality": 99},
}
ORIENTATIONS = sorted(TURNS)
MIRRORS_WIDTH, MIRRORS_HEIGHT = {2, 3, 7, 8}, {3, 4, 6, 7}
Array = NDArray[Any]


@cache
def made(coding: str, width: int = 96, height: int = 64, orientation: int = 1) -> bytes:
    """A JPEG of smooth colours with some noise, and with EXIF that holds more than a turn."""
    rng = np.random.default_rng(len(coding))
    coarse = rng.integers(0, 256, (height // 6, width // 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.asarray(image) + rng.normal(0, 4, (height, width, 3))
    image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "planted"
    out = io.BytesIO()
    options = {"quality": 85, **CODINGS[coding], "exif": exif}
    (image.convert("L") if coding == "grey" else image).save(out, "JPEG", **options)
    return out.getvalue()


def coefficients(jpeg: CleanJpeg) -> list[Array]:
    """(rows, columns, 8, 8) for each component, in natural order: [vertical, horizontal]."""
    walk = walk_jpeg(jpeg.data)
    out = []
    for plane in read_scan(walk.scans[0], jpeg.frame, jpeg.restarts):
        natural = np.zeros((*plane.shape[:2], 8, 8), np.int16)
        for place, (row, column) in enumerate(ZIGZAG):
            natural[:, :, row, column] = plane[:, :, place]
        out.append(natural)
    return out


def quantisation(jpeg: CleanJpeg) -> list[Array]:
    """(8, 8) for each component, in natural order."""
    tables = walk_jpeg(jpeg.data).quantisation
    out = []
    for part in jpeg.frame.components:
        natural = np.zeros((8, 8), np.int64)
        for place, (row, column) in enumerate(ZIGZAG):
            natural[row, column] = tables[part.quantisation][place]
        out.append(natural)
    return out


def decoded(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def turned(jpeg: CleanJpeg, orientation: int) -> CleanJpeg:
    out = turned_jpeg(jpeg, orientation)
    assert out is not None
    return out


def expected(plane: Array, orientation: int) -> Array:
    """Turn the grid of blocks as an image is, then each block as its cosines are."""
    turn = TURNED_ARRAY[orientation]
    places = turn(np.arange(plane.shape[0] * plane.shape[1]).reshape(plane.shape[:2]))
    blocks = plane.reshape(-1, 8, 8)[places].astype(np.int64)
    odd = (-1) ** np.arange(8)
    if orientation in MIRRORS_WIDTH:
        blocks = blocks * odd
    if orientation in MIRRORS_HEIGHT:
        blocks = blocks * odd[:, None]
    return blocks.swapaxes(2, 3) if orientation >= 5 else blocks


@pytest.mark.parametrize("coding", CODINGS)
def test_coefficients_are_those_that_a_decoder_sees(coding: str) -> None:
    jpeg = clean_jpeg(made(coding, 70, 45))
    with Image.open(io.BytesIO(jpeg.data)) as image:
        if coding != "RGB":
            # As it is coded: the way over RGB loses more than a level.
            image.draft("YCbCr", None)
        shown = np.asarray(image)
    luma = shown if shown.ndim == 2 else shown[:, :, 0]
    values = coefficients(jpeg)[0] * quantisation(jpeg)[0]
    blocks = fft.idctn(values.astype(float), axes=(2, 3), norm="ortho")
    rows, columns = blocks.shape[:2]
    pixels = blocks.swapaxes(1, 2).reshape(8 * rows, 8 * columns)[:45, :70] + 128
    assert np.abs(pixels.clip(0, 255) - luma).max() <= 1


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_coefficients_and_tables_are_turned_exactly(coding: str, orientation: int) -> None:
    jpeg = clean_jpeg(made(coding))
    out = turned(jpeg, orientation)
    for before, after in zip(coefficients(jpeg), coefficients(out), strict=True):
        np.testing.assert_array_equal(after, expected(before, orientation))
    for old, new in zip(quantisation(jpeg), quantisation(out), strict=True):
        np.testing.assert_array_equal(new, old.T if orientation >= 5 else old)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_back_gives_the_same_bits(coding: str, orientation: int) -> None:
    jpeg = clean_jpeg(made(coding))
    back = turned(turned(jpeg, orientation), BACK[orientation])
    named = [replace(part, name=i) for i, part in enumerate(jpeg.frame.components, 1)]
    assert back.frame == replace(jpeg.frame, components=tuple(named))
    assert walk_jpeg(back.data).quantisation == walk_jpeg(jpeg.data).quantisation
    for before, after in zip(coefficients(jpeg), coefficients(back), strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_it_is_released_upright_as_a_jpeg_of_pixels_only(coding: str, orientation: int) -> None:
    data = made(coding, orientation=orientation)
    released = release_image(data, LIMITS)
    assert released.codec == "jpeg"
    assert b"planted" in data
    assert not any(word in released.data for word in (b"planted", b"Exif"))
    np.testing.assert_array_equal(decoded(released.data), released.pixels)
    shown = TURNED_ARRAY[orientation](decoded(data))
    apart = np.abs(released.pixels.astype(int) - shown)
    assert released.pixels.shape == shown.shape
    assert apart.max() <= (1 if coding in ("grey", "RGB") else TURNED_LEVELS)
    assert apart.mean() < 0.5


@pytest.mark.parametrize("wrong", ["_ROW", "_COLUMN", "TRANSPOSED"])
def test_a_wrong_turn_is_seen(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    none: Any = tuple(range(64)) if wrong == "TRANSPOSED" else np.zeros(64, np.int64)
    monkeypatch.setattr(jpeg_turn, wrong, none)
    data = made("4:4:4", orientation=7)
    released = release_image(data, LIMITS)
    apart = np.abs(released.pixels.astype(int) - TURNED_ARRAY[7](decoded(data)))
    assert apart.max() > 10 * TURNED_LEVELS


@pytest.mark.parametrize("size", [(90, 64), (96, 60), (90, 60)])
@pytest.mark.parametrize("coding", ["4:2:0", "4:4:4", "grey"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_size_that_does_not_allow_it_becomes_png(
    size: tuple[int, int], coding: str, orientation: int
) -> None:
    data = made(coding, *size, orientation=orientation)
    released = release_image(data, LIMITS)
    blocked = (size[0] == 90 and orientation in MIRRORS_WIDTH) or (
        size[1] == 60 and orientation in MIRRORS_HEIGHT
    )
    assert released.codec == ("png" if blocked else "jpeg")
    shown = TURNED_ARRAY[orientation](decoded(data))
    apart = np.abs(released.pixels.astype(int) - shown)
    assert apart.max() <= (0 if blocked else TURNED_LEVELS)


def test_chroma_of_half_the_size_needs_whole_units_of_16() -> None:
    for side, codec in ((88, "png"), (96, "jpeg")):
        assert release_image(made("4:2:0", side, 64, 2), LIMITS).codec == codec
    assert release_image(made("4:4:4", 88, 64, 2), LIMITS).codec == "jpeg"


def test_what_cannot_be_turned_is_left_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = clean_jpeg(made("4:2:0"))
    assert turned_jpeg(jpeg, 3) is not None
    luma, *chroma = jpeg.frame.components
    odd = replace(jpeg.frame, components=(replace(luma, across=3), replace(chroma[0], across=2)))
    out = io.BytesIO()
    Image.open(io.BytesIO(made("4:2:0"))).save(out, "JPEG", progressive=True)
    assert turned_jpeg(clean_jpeg(out.getvalue()), 3) is None
    assert turned_jpeg(replace(jpeg, frame=odd), 3) is None
    assert turned_jpeg(replace(jpeg, scans=jpeg.scans * 2), 3) is None
    for limit, value in (("MAX_CODED_BYTES", 100), ("MAX_BLOCKS", 96 * 64 // 64 * 3 // 2 - 1)):
        with monkeypatch.context() as patch:
            patch.setattr(jpeg_turn, limit, value)
            assert turned_jpeg(jpeg, 3) is None
            patch.setattr(jpeg_turn, limit, 100_000)
            assert turned_jpeg(jpeg, 3) is not None


def test_a_table_that_spells_text_once_transposed_becomes_png() -> None:
    parts = parts_of(made("grey", orientation=5))
    values = [16] * 64
    for place, letter in zip(range(8, 13), b"KRUPA", strict=True):
        values[TRANSPOSED[place]] = letter
    data = b"".join(
        (
            b"\xff\xd8",
            *(segment(0xDB, b"\0" + bytes(values)) if p[1] == 0xDB else p for p in parts.head),
            parts.scan,
            b"\xff\xd9",
        )
    )
    assert turned_jpeg(clean_jpeg(data), 3) is not None
    assert turned_jpeg(clean_jpeg(data), 5) is None
    released = release_image(data, LIMITS)
    assert released.codec == "png"
    assert b"KRUPA" not in released.data


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_scaled_tables_of_any_quality_may_be_turned(orientation: int) -> None:
    image = Image.open(io.BytesIO(made("4:2:0")))
    for quality in range(1, 101, 3):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        assert turned_jpeg(clean_jpeg(out.getvalue()), orientation) is not None


def with_scan(data: bytes, scan: bytes) -> bytes:
    return b"".join((b"\xff\xd8", *parts_of(data).head, scan, b"\xff\xd9"))


@pytest.mark.parametrize("more", [b"Roe", b"Jane Roe 1961", b"\x00\x01\x02", b"R"])
def test_bytes_behind_the_last_code_are_not_kept(more: bytes) -> None:
    data = made("4:4:4", orientation=3)
    longer = with_scan(data, parts_of(data).scan + more)
    jpeg = clean_jpeg(longer)
    scan = walk_jpeg(jpeg.data).scans[0]
    with pytest.raises(MalformedJpegError, match="behind its last code"):
        read_scan(scan, jpeg.frame, 0)
    released = release_image(longer, LIMITS)
    assert released.codec == "png"
    assert len(more) < 3 or more not in released.data


@pytest.mark.parametrize("coding", ["4:2:0", "grey", "restarts"])
def test_a_scan_that_is_cut_is_not_read(coding: str) -> None:
    jpeg = clean_jpeg(made(coding))
    scan = walk_jpeg(jpeg.data).scans[0]
    for kept in range(0, len(scan.coded) - 1, 97):
        with pytest.raises(MalformedJpegError):
            read_scan(replace(scan, coded=scan.coded[:kept]), jpeg.frame, jpeg.restarts)


def test_a_header_of_any_size_takes_no_memory() -> None:
    jpeg = clean_jpeg(made("4:2:0"))
    vast = replace(jpeg.frame, width=65_496, height=65_496)
    with pytest.raises(MalformedJpegError, match="too short for its size"):
        read_scan(walk_jpeg(jpeg.data).scans[0], vast, 0)


def test_values_beyond_the_codes_are_refused() -> None:
    order = layout(clean_jpeg(made("grey", 16, 16)).frame)
    for place, most in ((0, 2047), (5, 1023)):
        for value in (most, -most):
            plane = np.zeros((2, 2, 64), np.int16)
            plane[1, 1, place] = value
            assert write_scan([plane], order)
            plane[1, 1, place] = value + (1 if value > 0 else -1)
            with pytest.raises(MalformedJpegError, match="larger than"):
                write_scan([plane], order)


def test_long_runs_and_extremes_are_written_and_read() -> None:
    jpeg = clean_jpeg(made("grey", 64, 64))
    rng = np.random.default_rng(7)
    plane = np.zeros((8, 8, 64), np.int16)
    for block in plane.reshape(-1, 64):
        places = rng.choice(np.arange(1, 64), int(rng.integers(0, 5)), replace=False)
        block[places] = rng.choice([-1023, -512, -1, 1, 2, 511, 1023], len(places))
        block[0] = rng.integers(-1000, 1000)
    plane[0, 0, 1:] = 0
    plane[0, 0, 63] = 1  # behind three runs of sixteen zeros
    scan = replace(walk_jpeg(jpeg.data).scans[0], coded=write_scan([plane], layout(jpeg.frame)))
    standard = walk_jpeg(turned(jpeg, 3).data).scans[0]
    (read,) = read_scan(replace(scan, tables=standard.tables), jpeg.frame, 0)
    np.testing.assert_array_equal(read, plane)


def test_two_thousand_damaged_files_neither_crash_nor_leak() -> None:
    rng = np.random.default_rng(11)
    outcomes: dict[str, int] = {}
    codings = sorted(CODINGS)
    for number in range(2000):
        coding = codings[number % len(codings)]
        orientation = ORIENTATIONS[number % len(ORIENTATIONS)]
        image = made(coding, 48, 32, orientation)
        outcome, _ = check(mutated_image(f"{coding} turned {orientation}", image, rng))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert outcomes["released: jpeg"] > 300
    assert outcomes["released: png"] > 300


def test_damage_in_the_scan_alone_is_refused_or_coded_anew() -> None:
    """What the reader takes, a decoder takes: nothing is released that it would complain of."""
    data = made("4:4:4", 48, 32, 6)
    scan = parts_of(data).scan
    rng = np.random.default_rng(5)
    taken = 0
    for _ in range(300):
        broken = bytearray(scan)
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        try:
            released = release_image(with_scan(data, bytes(broken)), LIMITS)
        except ImageError:
            continue
        taken += released.codec == "jpeg"
        assert released.pixels.shape == (48, 32, 3)
    assert taken > 50


def test_an_orientation_behind_the_scan_turns_nothing() -> None:
    data = made("4:2:0", orientation=3)
    parts = parts_of(data)
    exif = [part for part in parts.head if part[1] == 0xE1]
    others = [part for part in parts.head if part[1] != 0xE1]
    assert len(exif) == 1
    moved = b"".join((b"\xff\xd8", *others, parts.scan, *exif, b"\xff\xd9"))
    np.testing.assert_array_equal(release_image(moved, LIMITS).pixels, decoded(data))


def test_a_turn_that_is_no_turn_stays_bit_for_bit() -> None:
    data = made("4:2:0", orientation=1)
    assert release_image(data, LIMITS).data == clean_jpeg(data).data
    assert struct.pack(">H", 0x0112) in data
