from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from curation.codec import codec_of, encode
from curation.errors import GeneratorError
from curation.manifest import Codec
from curation.pixels import decode_rgb
from curation.vocabulary import LABELS
from synth.provenance import (
    SOURCE_TYPE,
    Marker,
    fault_of_real,
    fault_of_synthetic,
    marked,
    packet_of,
    read_marker,
)
from synth.provenance_files import split_xmp, with_xmp
from tests.made import Made, disc, jpeg

MARKER = Marker("0" * 31 + "a", "basophil", 7462046091651373167)
JPEG = codec_of(jpeg(disc("basophil", 1)))
PIXELS = np.asarray(disc("basophil", 3, 40))


def coded(kind: str) -> bytes:
    if kind in ("jpeg", "png"):
        return encode(PIXELS, JPEG if kind == "jpeg" else Codec(format="png"))
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "WEBP", lossless=kind == "webp lossless")
    return out.getvalue()


KINDS = ["jpeg", "png", "webp", "webp lossless"]


def pillow_reads(data: bytes) -> bytes:
    """The packet as Pillow finds it."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_pillow_reads_the_marker(kind: str) -> None:
    data = marked(coded(kind), MARKER)
    packet = pillow_reads(data)
    assert packet == packet_of(MARKER)
    assert data.count(SOURCE_TYPE.encode()) == 1, "as plain bytes, for who searches for it"
    description = ElementTree.fromstring(packet)[0][0]
    iptc = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
    assert description.attrib[f"{iptc}DigitalSourceType"] == SOURCE_TYPE
    assert description.attrib[f"{iptc}AISystemVersionUsed"] == MARKER.generator
    assert read_marker(packet) == MARKER


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_stay_as_they_are_coded(kind: str) -> None:
    plain, data = coded(kind), marked(coded(kind), MARKER)
    with Image.open(io.BytesIO(plain)) as one, Image.open(io.BytesIO(data)) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
        assert one.mode == other.mode
    half = len(plain) // 2
    assert plain[-half:-1] in data, "the coded pixels are copied"


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_the_marker_can_be_taken_out_again(kind: str) -> None:
    plain = coded(kind)
    data = marked(plain, MARKER)
    assert split_xmp(data) == (plain, packet_of(MARKER))
    assert split_xmp(plain) == (plain, None)
    assert codec_of(data) == codec_of(plain)
    assert np.array_equal(decode_rgb(data), decode_rgb(plain))


def test_a_webp_that_is_extended_already_stays_so() -> None:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "WEBP", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00")
    data = marked(out.getvalue(), MARKER)
    assert pillow_reads(data) == packet_of(MARKER)
    assert data.count(b"VP8X") == 1


def test_a_webp_with_transparency_keeps_it() -> None:
    out = io.BytesIO()
    Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]])).save(out, "WEBP", lossless=True)
    with Image.open(io.BytesIO(marked(out.getvalue(), MARKER))) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image)[..., 3], PIXELS[..., 0])


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_faults_of_synthetic_images(kind: str) -> None:
    plain = coded(kind)
    assert fault_of_synthetic(marked(plain, MARKER), MARKER) is None
    assert "does not say" in str(fault_of_synthetic(plain, MARKER))
    for other in (
        Marker("b" * 32, MARKER.label, MARKER.seed),
        Marker(MARKER.generator, "monocyte", MARKER.seed),
        Marker(MARKER.generator, MARKER.label, 1),
    ):
        assert "says in its metadata another" in str(
            fault_of_synthetic(marked(plain, other), MARKER)
        )
    twice = marked(marked(plain, MARKER), MARKER)
    assert "holds more" in str(fault_of_synthetic(twice, MARKER))
    assert "holds more" in str(fault_of_synthetic(marked(plain, MARKER) + b"x", MARKER))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_faults_of_real_images(kind: str) -> None:
    plain = coded(kind)
    assert fault_of_real(plain) is None
    for planted in (with_xmp(plain, b"<x/>"), marked(plain, MARKER), plain + b"\x00"):
        assert fault_of_real(planted) == "holds more than its pixels need"
    assert fault_of_real(plain[:-20]) is not None
    image = Image.open(io.BytesIO(plain))
    out = io.BytesIO()
    image.save(out, kind.upper(), comment=b"Jane Roe", exif=Image.Exif(), dpi=(72, 72))
    assert fault_of_real(out.getvalue()) == "holds more than its pixels need"


def test_other_formats_are_no_released_images() -> None:
    assert fault_of_real(coded("webp")) == "is neither JPEG nor PNG"
    with pytest.raises(ValueError, match="expected a JPEG, PNG or WebP"):
        with_xmp(b"GIF89a", b"")
    with pytest.raises(ValueError, match="holds an XMP packet of 65504 bytes at most"):
        with_xmp(coded("jpeg"), bytes(65505))
    assert pillow_reads(with_xmp(coded("jpeg"), b"x" * 65504)) == b"x" * 65504


@pytest.mark.parametrize("packet", [b"", b"<x/>", b"\xff", b"<x", packet_of(MARKER)[:-30]])
def test_packets_that_are_not_ours(packet: bytes) -> None:
    assert read_marker(packet) is None


def test_only_plain_values_are_written() -> None:
    with pytest.raises(GeneratorError, match="cannot stand in the metadata"):
        packet_of(Marker('a" b="', "basophil", 1))
    assert all(packet_of(Marker("a", label, 0)) for label in LABELS)


def test_every_drawn_cell_is_marked_with_its_row(made: Made) -> None:
    rows = made.synthetic.rows(["generator", "seed", "label"]).to_pylist()
    for row, data in zip(rows, made.synthetic.images(), strict=True):
        marker = Marker(row["generator"], LABELS[row["label"]], row["seed"])
        assert fault_of_synthetic(data, marker) is None
        assert read_marker(pillow_reads(data)) == marker
    assert all(fault_of_real(data) is None for data in made.real.images())
