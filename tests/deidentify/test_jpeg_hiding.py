"""Every place of a JPEG in which bytes can hide from a decoder: planted, and not in the output."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.deidentify.jpeg import MAX_SCANS, MalformedJpegError, clean_jpeg
from curation.deidentify.jpeg_slack import may_hide_text
from curation.deidentify.jpeg_tables import STANDARD_CODES, read_huffman, read_quantisation
from curation.errors import ImageError
from curation.pixels import Limits, release_image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
TEXT = b"Jane Roe 1961-04-05"
LIMITS = Limits()
DQT, DHT, SOF, DRI, SOS, COM = 0xDB, 0xC4, 0xC0, 0xDD, 0xDA, 0xFE
RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def parts_of(data: bytes) -> list[bytes]:
    """SOI, the segments (a scan with its header), and EOI with what follows it."""
    parts, position = [data[:2]], 2
    while data[position + 1] != 0xD9:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if data[position + 1] == SOS:
            following = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, end)
            assert following is not None
            end = following.start()
        parts.append(data[position:end])
        position = end
    return [*parts, data[position:]]


def index_of(parts: list[bytes], marker: int) -> int:
    return next(i for i, part in enumerate(parts) if part[1] == marker)


def before(marker: int, added: bytes) -> Callable[[bytes], bytes]:
    def plant(data: bytes) -> bytes:
        parts = parts_of(data)
        parts.insert(index_of(parts, marker), added)
        return b"".join(parts)

    return plant


def grown(marker: int) -> Callable[[bytes], bytes]:
    """Text behind the content of a segment, inside its length."""

    def plant(data: bytes) -> bytes:
        parts = parts_of(data)
        place = index_of(parts, marker)
        part = parts[place]
        length = int.from_bytes(part[2:4])
        body = part[4 : 2 + length] + TEXT
        parts[place] = segment(marker, body) + part[2 + length :]
        return b"".join(parts)

    return plant


def changed(marker: int, offset: int, new: bytes) -> Callable[[bytes], bytes]:
    """Bytes of a segment's body overwritten."""

    def plant(data: bytes) -> bytes:
        parts = parts_of(data)
        place = index_of(parts, marker)
        part, at = parts[place], 4 + offset
        parts[place] = part[:at] + new + part[at + len(new) :]
        return b"".join(parts)

    return plant


def between_scans(data: bytes) -> bytes:
    parts = parts_of(data)
    parts.insert(index_of(parts, SOS) + 1, segment(COM, TEXT))
    return b"".join(parts)


def fill_with_comment(data: bytes) -> bytes:
    return before(SOF, b"\xff" * 5 + segment(COM, TEXT))(data)


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@cache
def made(seed: int, **options: Any) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    picture = Image.fromarray(coarse).resize((32, 40), Image.Resampling.BICUBIC)
    picture.save(out, "JPEG", quality=60 + seed, **options)
    return out.getvalue()


QUANTISATION = (TEXT * 4)[:64]
TEXT_SYMBOLS = bytes([0] * 7 + [len(set(TEXT))] + [0] * 8) + bytes(sorted(set(TEXT)))
POSSIBLE_SYMBOLS = bytes([0] * 7 + [5] + [0] * 8) + b"Fgirt"
KEPT: dict[str, tuple[dict[str, Any], Callable[[bytes], bytes]]] = {
    "comment between scans": ({"progressive": True}, between_scans),
    "fill bytes before a segment": ({}, fill_with_comment),
    "bytes behind EOI": ({}, lambda data: data + TEXT),
    "zip behind EOI": ({}, lambda data: data + b"PK\x03\x04" + TEXT),
    "Huffman table in no use": ({}, before(SOS, segment(DHT, b"\x13" + POSSIBLE_SYMBOLS))),
    "Huffman table for no scan": ({}, before(0xD9, segment(DHT, b"\x10" + TEXT))),
}


@pytest.mark.parametrize("place", KEPT)
def test_what_no_decoder_looks_at_is_left_out(place: str, cell: Cell, encoded: Encoded) -> None:
    options, plant = KEPT[place]
    clean = encoded(cell(), **options)
    planted = plant(clean)
    assert planted != clean
    released = release_image(planted, LIMITS)
    assert released.codec == "jpeg"
    assert released.data == release_image(clean, LIMITS).data


REENCODED: dict[str, tuple[dict[str, Any], Callable[[bytes], bytes]]] = {
    "quantisation table in no use": ({}, before(SOF, segment(DQT, b"\x03" + QUANTISATION))),
    "quantisation table twice": ({}, before(DQT, segment(DQT, b"\x00" + QUANTISATION))),
    "Huffman table in no use": ({}, before(SOS, segment(DHT, b"\x13" + TEXT_SYMBOLS))),
    "behind the quantisation": ({}, grown(DQT)),
    "behind the codes": ({}, grown(DHT)),
    "behind the restart interval": ({"restart_marker_blocks": 2}, grown(DRI)),
    "behind the frame": ({}, grown(SOF)),
    "behind the scan header": ({}, grown(SOS)),
    "in the last quantisation values": ({}, changed(DQT, 40, b"patient")),
    "in the unused codes": ({"optimize": False}, changed(DHT, 17, TEXT)),
    "reserved marker": ({}, before(SOF, segment(0x02, TEXT))),
    "JPEG extension": ({}, before(SOF, segment(0xF7, TEXT))),
    "arithmetic conditioning": ({}, before(SOF, segment(0xCC, TEXT))),
    "number of lines": ({}, before(0xD9, segment(0xDC, TEXT))),
    "hierarchical frame": ({}, before(SOF, segment(0xDE, TEXT))),
    "second frame": ({}, before(SOS, segment(SOF, TEXT))),
    "data between segments": ({}, before(SOF, TEXT)),
    "second image": ({}, lambda data: data + data[:2] + segment(COM, TEXT) + data[2:]),
    "scan for no component": ({}, before(0xD9, segment(SOS, b"\x01\x01\x00\x00\x3f\x00") + TEXT)),
}


# Of these no decoder makes pixels either.
BROKEN = {
    "behind the quantisation", "behind the codes", "behind the restart interval",
    "behind the frame", "behind the scan header", "in the unused codes", "reserved marker",
    "JPEG extension", "arithmetic conditioning", "hierarchical frame", "second frame",
    "scan for no component",
}  # fmt: skip


@pytest.mark.parametrize("place", REENCODED)
def test_what_cannot_be_told_apart_is_encoded_from_the_pixels(
    place: str, cell: Cell, encoded: Encoded
) -> None:
    options, plant = REENCODED[place]
    clean = encoded(cell(), **options)
    planted = plant(clean)
    with pytest.raises(MalformedJpegError):
        clean_jpeg(planted)
    if place in BROKEN:
        with pytest.raises(ImageError, match="unreadable"):
            release_image(planted, LIMITS)
        return
    released = release_image(planted, LIMITS)
    assert released.codec == "png"
    assert not any(TEXT[i : i + 5] in released.data for i in range(len(TEXT) - 4))
    np.testing.assert_array_equal(decoded(released.data), decoded(planted))


ODD: dict[str, Callable[[bytes], bytes]] = {
    "12 bits": changed(SOF, 0, b"\x0c"),
    "height left to DNL": changed(SOF, 1, b"\x00\x00"),
    "two components": changed(SOF, 5, b"\x02"),
    "sampling 0": changed(SOF, 7, b"\x00"),
    "sampling 4x4": changed(SOF, 7, b"\x44"),
    "slot 4": changed(SOF, 8, b"\x04"),
    "one name twice": changed(SOF, 9, b"\x01"),
    "scan of an unknown name": changed(SOS, 1, b"J"),
    "scan with a name twice": changed(SOS, 3, b"\x01"),
    "scan with table 4": changed(SOS, 2, b"\x44"),
    "scan with table 2": changed(SOS, 2, b"\x22"),
    "scan of some frequencies": changed(SOS, 7, b"\x01"),
    "scan with approximation": changed(SOS, 9, b"\x01"),
    "codes that do not fit": changed(DHT, 1, b"\x03"),
    "more codes than symbols": changed(DHT, 16, b"\xff"),
    "class 2": changed(DHT, 0, b"\x20"),
    "quantisation by 0": changed(DQT, 1, b"\x00"),
    "quantisation of 24 bits": changed(DQT, 0, b"\x20"),
    "restart interval twice": before(SOS, segment(DRI, b"\x00\x02") * 2),
    "restart interval of a byte": before(SOS, segment(DRI, b"\x02")),
    "no quantisation": lambda data: data.replace(b"\xff\xdb", b"\xff\xfe"),
    "no codes": lambda data: data.replace(b"\xff\xc4", b"\xff\xfe"),
}


@pytest.mark.parametrize("oddity", ODD)
def test_oddities_are_malformed(oddity: str, cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(), subsampling=0)
    odd = ODD[oddity](data)
    assert odd != data
    with pytest.raises(MalformedJpegError):
        clean_jpeg(odd)


def test_a_height_that_hides_rows_is_not_kept(cell: Cell, encoded: Encoded) -> None:
    data = changed(SOF, 1, b"\x00\x18")(encoded(cell()))
    assert clean_jpeg(data).height == 24
    assert release_image(data, LIMITS).codec == "png"


# What could be a letter, a digit or a sign in some 8-bit character set.
CHARACTERS = st.binary(min_size=5, max_size=7).map(
    lambda drawn: bytes(
        byte if 0x20 <= byte < 0x7F or 0xA0 <= byte < 0xFF else 65 for byte in drawn
    )
)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 1}])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 30), text=CHARACTERS, after=st.binary(max_size=2))
def test_text_behind_the_last_code_is_seen(
    options: dict[str, int], seed: int, text: bytes, after: bytes
) -> None:
    data = made(seed, **options)
    assert not may_hide_text(clean_jpeg(data))
    after = after.replace(b"\xff", b"\xff\x00")[: 7 - len(text)].rstrip(b"\xff")
    hidden = data[:-2] + text + after + data[-2:]
    assert may_hide_text(clean_jpeg(hidden))
    released = release_image(hidden, LIMITS)
    assert released.codec == "png"
    np.testing.assert_array_equal(released.pixels, decoded(data))


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 1}, {"progressive": True}])
def test_eight_bytes_of_any_kind_are_seen_by_the_decoder(options: dict[str, int]) -> None:
    for seed in range(30):
        data = made(seed, **options)
        assert release_image(
            data[:-2] + bytes(range(1, 8)) + b"\x08" + data[-2:], LIMITS
        ).codec == ("png")


def test_text_before_a_restart_is_seen() -> None:
    data = made(1, restart_marker_blocks=2)
    places = [found.start() for found in RESTART.finditer(data)]
    assert len(places) == 2
    for place in places:
        for count in (5, 6, 7):
            assert may_hide_text(clean_jpeg(data[:place] + TEXT[:count] + data[place:]))


def test_text_behind_any_scan_is_seen() -> None:
    clean = clean_jpeg(made(2, progressive=True))
    assert len(clean.scans) > 5
    assert not may_hide_text(clean)
    for _, end in clean.scans:
        hidden = clean_jpeg(clean.data[:end] + TEXT[:5] + clean.data[end:])
        assert may_hide_text(hidden)


@pytest.mark.parametrize(("mode", "side"), [("L", 100), ("RGB", 100), ("RGB", 31)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("every", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}])
def test_restart_intervals_of_any_shape_are_kept(
    mode: str, side: int, subsampling: int, every: dict[str, int], cell: Cell, encoded: Encoded
) -> None:
    data = encoded(cell(3, side, mode), subsampling=subsampling, **every)
    assert RESTART.search(data)
    released = release_image(data, LIMITS)
    assert released.codec == "jpeg"
    np.testing.assert_array_equal(decoded(released.data), decoded(data))


def test_too_many_intervals_to_prove_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, encoded: Encoded
) -> None:
    data = encoded(cell(), restart_marker_blocks=2)
    assert release_image(data, LIMITS).codec == "jpeg"
    monkeypatch.setattr("curation.deidentify.jpeg_slack._MAX_INTERVALS", 3)
    assert release_image(data, LIMITS).codec == "png"


def test_a_scan_may_end_in_a_stuffed_byte(encoded: Encoded) -> None:
    # Noise has a last coefficient in its last block, whose bits may all be ones.
    noise = np.random.default_rng(0).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    files = [encoded(Image.fromarray(block), quality=100) for block in noise]
    stuffed = [data for data in files if data.endswith(b"\xff\x00\xff\xd9")]
    assert stuffed
    for data in stuffed:
        assert not may_hide_text(clean_jpeg(data))
        assert may_hide_text(clean_jpeg(data[:-2] + TEXT[:5] + b"\xff\x00" + data[-2:]))


def test_restarts_must_be_announced_and_in_order(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(), restart_marker_blocks=2)
    first = data.index(b"\xff\xd0")
    wrong = {
        "another number": data[: first + 1] + b"\xd3" + data[first + 2 :],
        "one more": data[:-2] + b"\xff\xd5" + data[-2:],
        "not announced": b"".join(part for part in parts_of(data) if part[1] != DRI),
        "interval 0": data.replace(segment(DRI, b"\x00\x02"), segment(DRI, b"\x00\x00")),
    }
    for data in wrong.values():
        with pytest.raises(MalformedJpegError, match="restart"):
            clean_jpeg(data)


def test_fill_bytes_in_or_behind_a_scan_are_malformed(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell())
    for hidden in (data[:-2] + b"\xff" * 3 + data[-2:], data[:-20] + b"\xff\xff\x00" + data[-18:]):
        with pytest.raises(MalformedJpegError):
            clean_jpeg(hidden)


def test_selectors_that_a_scan_does_not_use_are_zero(cell: Cell, encoded: Encoded) -> None:
    data = encoded(cell(), progressive=True)
    parts = parts_of(data)
    first = index_of(parts, SOS)
    assert parts[first][4] == 3
    for at in (6, 8, 10):
        parts[first] = parts[first][:at] + bytes([parts[first][at] | 2]) + parts[first][at + 1 :]
    assert b"".join(parts) != data
    assert clean_jpeg(b"".join(parts)).data == clean_jpeg(data).data


def test_thousands_of_scans_are_refused(cell: Cell, encoded: Encoded) -> None:
    parts = parts_of(encoded(cell(), progressive=True))
    bomb = b"".join([*parts[:-1], parts[-2] * 3 * MAX_SCANS, parts[-1]])
    with pytest.raises(MalformedJpegError, match="scans"):
        clean_jpeg(bomb)
    with pytest.raises(ImageError, match="scans"):
        release_image(bomb, LIMITS)


def test_optimised_tables_of_this_encoder_are_vouched_for(cell: Cell, encoded: Encoded) -> None:
    for seed in range(10):
        for options in ({"optimize": True}, {"progressive": True}):
            data = encoded(cell(seed, 64), quality=30 + 7 * seed, **options)
            assert release_image(data, LIMITS).codec == "jpeg"


def test_quantisation_tables() -> None:
    plain = bytes(range(1, 33)) * 2
    assert read_quantisation(b"\x02" + plain) == ((2, plain),)
    assert read_quantisation(b"\x00" + plain + b"\x01" + plain) == ((0, plain), (1, plain))
    wide = b"".join(bytes([0, value]) for value in plain)
    assert read_quantisation(b"\x12" + wide) == ((2, plain),)
    flat = bytes([12] * 10) + b"c" * 54
    assert read_quantisation(b"\x00" + flat) == ((0, flat),)
    for bad in (
        b"\x00" + plain[:-1],
        b"\x00" + plain + b"J",
        b"\x04" + plain,
        b"\x10" + b"\x01" + wide[1:],
        b"\x00" + plain[:-8] + b"Jane Roe",
        b"\x00" + plain[:-5] + b"19610",
    ):
        with pytest.raises(MalformedJpegError):
            read_quantisation(bad)


def test_huffman_tables() -> None:
    def table(counts: list[int], symbols: bytes, slot: int = 0x10) -> bytes:
        return bytes([slot, *counts, *[0] * (16 - len(counts))]) + symbols

    for kind, both in enumerate(STANDARD_CODES):
        for codes in both:
            assert read_huffman(bytes([kind << 4]) + codes, False) == ((kind, 0, codes),)
    assert read_huffman(table([0, 2, 1], b"\x01\x11\x00"), False)
    # Long ends of block belong into progressive scans only.
    assert read_huffman(table([0, 1, 1], b"\x01\x10"), True)
    for bad in (
        table([0, 1, 1], b"\x01\x10"),
        table([0, 2, 1], b"\x11\x01\x00"),
        table([0, 2], b"\x01\x01"),
        table([2], b"\x01\x11"),
        table([0, 4], b"\x01\x11\x21\x31"),
        table([0, 1], b"\x0b"),
        table([0, 1], b"\x0c", slot=0),
        table([0, 1], b"\x01", slot=0x14),
        table([0, 1], b"\x01J"),
        table([0, 2], b"\x01"),
    ):
        with pytest.raises(MalformedJpegError):
            read_huffman(bad, False)
