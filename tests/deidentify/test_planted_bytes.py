"""Whatever is planted where no pixel is: what comes out is the same as without it, to the byte.

A search for planted bytes could only be made for bytes that pixels do not hold by chance; that the
output does not depend on them says more, and holds for any bytes.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from curation.curate import CurateConfig, curate
from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.vault import Vault
from curation.errors import ImageError, SmearkitError
from curation.pixels import Limits, release_image, release_pixels
from curation.sources import Source
from curation.sources.box_source import open_boxes
from curation.sources.slide_file import open_slide
from curation.sources.slide_text import PUBLIC_KEYS
from tests.deidentify.planted.cells import cell, encoded
from tests.deidentify.planted.dicom_header import (
    DEVICES,
    NAMES,
    PLACES,
    SEQUENCES,
    WORDS,
    set_below,
)
from tests.deidentify.planted.exif import ASCII, BYTE, UNDEFINED
from tests.deidentify.planted.export import write_vault
from tests.deidentify.planted.fact import Array
from tests.deidentify.planted.jpeg import ANEW, KEPT, parts_of
from tests.deidentify.planted.people import dropped_columns
from tests.deidentify.planted.png import CHUNKS, chunk, with_chunk
from tests.deidentify.planted.tiff import tiff

LIMITS = Limits()
CELL = cell(0)
ANY_BYTES = st.binary(min_size=1, max_size=120) | st.text(min_size=1, max_size=60).map(
    lambda text: text.encode("utf-8", "replace")
)
QUICK = settings(max_examples=15, deadline=None)
Plant = Callable[[bytes], bytes]


@cache
def allowed(kept: bytes) -> tuple[bytes, ...]:
    """Return what may come out of a file with nothing planted: as it is kept, or encoded anew."""
    plain = release_image(kept, LIMITS)
    return plain.data, release_pixels(plain.pixels, LIMITS).data


def released(data: bytes) -> bytes | str:
    """Return what comes out of an image file, or the words of its refusal."""
    try:
        return release_image(data, LIMITS).data
    except ImageError as error:
        return str(error)


def is_refused(found: object) -> bool:
    """Return whether it is a refusal, in words that are the product's own."""
    return isinstance(found, str) and found.isascii() and found.isprintable()


JPEG = encoded(CELL, "JPEG", quality=90)
# A table that is in use is part of the picture.
NO_PIXELS = {name: plant for name, plant in ANEW.items() if name != "used quantisation table"}


@pytest.mark.parametrize("where", KEPT)
@QUICK
@given(planted=ANY_BYTES)
def test_a_jpeg_keeps_its_scan_and_nothing_else(where: str, planted: bytes) -> None:
    plant = KEPT[where]
    scan, anew = allowed(JPEG)
    found = released(plant(parts_of(JPEG), planted))
    # What looks like a second image makes it uncertain which one is meant.
    assert found == scan or (b"\xff\xd8" in planted and (found == anew or is_refused(found)))


@pytest.mark.parametrize("where", NO_PIXELS)
@QUICK
@given(planted=ANY_BYTES)
def test_an_odd_jpeg_is_released_as_its_pixels_or_refused(where: str, planted: bytes) -> None:
    plant = NO_PIXELS[where]
    found = released(plant(parts_of(JPEG), planted))
    assert found in allowed(JPEG) or is_refused(found)


PNG = encoded(CELL, "PNG")


@pytest.mark.parametrize("place", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("where", CHUNKS)
@QUICK
@given(planted=ANY_BYTES)
def test_no_chunk_of_a_png_comes_out(where: str, place: bytes, planted: bytes) -> None:
    found = released(with_chunk(PNG, CHUNKS[where](planted), place))
    assert found == allowed(PNG)[0] or is_refused(found)


def webp_chunk(kind: bytes) -> Plant:
    """Return a plant of a chunk at the end of a WebP file."""
    data = encoded(CELL, "WEBP", lossless=True, exif=b"Exif\x00\x00")

    def plant(planted: bytes) -> bytes:
        added = kind + struct.pack("<I", len(planted)) + planted + bytes(len(planted) % 2)
        size = struct.pack("<I", len(data) - 8 + len(added))
        return data[:4] + size + data[8:] + added

    return plant


def gif(head: bytes, data: bytes) -> Plant:
    """Return a plant of an extension in front of a GIF's pixels."""
    place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return lambda t: data[:place] + head + bytes([len(t)]) + t + b"\x00" + data[place:]


def tag(number: int, kind: int, end: bytes = b"") -> Plant:
    """Return a plant of a TIFF tag."""
    return lambda t: tiff(CELL, [(number, kind, t + end)])


GIF, BMP, TIFF = encoded(CELL, "GIF"), encoded(CELL, "BMP"), tiff(CELL, [])
OTHERS: Mapping[str, tuple[bytes, Plant]] = {
    "PNG, behind the end": (PNG, lambda t: PNG + t),
    "PNG, behind the stream": (
        PNG, lambda t: with_chunk(PNG, chunk(b"IDAT", t), b"IEND")
    ),
    "PNG, compressed text": (
        PNG, lambda t: with_chunk(PNG, chunk(b"zTXt", b"a\x00\x00" + zlib.compress(t)))
    ),
    "TIFF, behind the end": (TIFF, lambda t: TIFF + t),
    "TIFF, a gap": (TIFF, lambda t: tiff(CELL, [], gap=t + bytes(len(t) % 2))),
    **{
        f"TIFF, tag {number}": (TIFF, tag(number, ASCII, b"\x00"))
        for number in (270, 271, 305, 306, 315, 316, 33432, 65000)
    },
    **{f"TIFF, tag {n}": (TIFF, tag(n, UNDEFINED)) for n in (700, 33723, 34377, 65001)},
    "TIFF, tag 40093": (TIFF, tag(40093, BYTE)),
    "WebP, EXIF": (encoded(CELL, "WEBP", lossless=True), webp_chunk(b"EXIF")),
    "WebP, XMP": (encoded(CELL, "WEBP", lossless=True), webp_chunk(b"XMP ")),
    "WebP, unknown": (encoded(CELL, "WEBP", lossless=True), webp_chunk(b"prvt")),
    "GIF, comment": (GIF, gif(b"!\xfe", GIF)),
    "GIF, application": (GIF, gif(b"!\xff\x0bQUILL LABOR", GIF)),
    "GIF, unknown": (GIF, gif(b"!\xaa", GIF)),
    "GIF, behind the end": (GIF, lambda t: GIF + t),
    "BMP, behind the end": (BMP, lambda t: BMP + t),
    "BMP, a gap": (BMP, lambda t: moved_pixels(BMP, t)),
}  # fmt: skip


def moved_pixels(data: bytes, planted: bytes) -> bytes:
    """Return a BMP with something between its header and its pixels."""
    offset = int.from_bytes(data[10:14], "little")
    head = data[:10] + struct.pack("<I", offset + len(planted)) + data[14:offset]
    return head + planted + data[offset:]


@pytest.mark.parametrize("where", OTHERS)
@QUICK
@given(planted=ANY_BYTES)
def test_other_formats_come_out_as_pixels(where: str, planted: bytes) -> None:
    plain, plant = OTHERS[where]
    found = released(plant(planted))
    assert found == allowed(plain)[0] or is_refused(found)


# DICOM: the cleaned data set is the same, whatever an element says that does not stay.

KEYS = Vault(Path("no vault"), bytes(range(32)))
REMOVED = (*NAMES, *WORDS, *PLACES, *DEVICES, *(p for kind in ("person",) for p in SEQUENCES[kind]))
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)


def header(**said: Any) -> Dataset:
    dataset = Dataset()
    elements = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.2", "SOPInstanceUID": "1.2.3.4",
        "PatientID": "4711", "StudyDate": "20200304", "Modality": "GM", "Rows": 40, "Columns": 40,
        "SpecificCharacterSet": "ISO_IR 192", **said,
    }  # fmt: skip
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def cleaned(dataset: Dataset) -> bytes | str:
    """Return the bytes of a cleaned data set, or the words of its refusal."""
    out = io.BytesIO()
    try:
        clean = deidentify_dataset(dataset, KEYS).dataset
    except ImageError as error:
        return str(error)
    dcmwrite(out, clean, enforce_file_format=True)
    return out.getvalue()


def plant_element(dataset: Dataset, place: str, text: str) -> None:
    """Set an element, in a sequence if need be, to a text that its VR may not allow."""
    set_below(dataset, place, "")
    *sequences, name = place.split(".")
    for sequence in sequences:
        dataset = dataset[sequence][0]
    vr = dataset[name].VR
    dataset[name] = DataElement(name, vr, text, validation_mode=pydicom_config.IGNORE)


@settings(max_examples=25, deadline=None)
@given(place=st.sampled_from(REMOVED), text=ANY_TEXT)
def test_no_element_that_goes_leaves_a_trace(place: str, text: str) -> None:
    dataset, other = header(), header()
    plant_element(dataset, place, text)
    plant_element(other, place, "nothing")
    found = cleaned(dataset)
    assert found == cleaned(other) or is_refused(found)


PRIVATE = (0x00091001, 0x00110010, 0x50000022, 0x50003000, 0x60000022, 0x60003000, 0xFFFCFFFC)


@settings(max_examples=25, deadline=None)
@given(place=st.sampled_from(PRIVATE), vr=st.sampled_from(["OB", "UN", "LO", "UT"]), raw=ANY_BYTES)
def test_no_private_element_leaves_a_trace(place: int, vr: str, raw: bytes) -> None:
    dataset = header()
    value = raw if vr in ("OB", "UN") else raw.decode("latin-1")
    dataset[place] = DataElement(place, vr, value, validation_mode=pydicom_config.IGNORE)
    found = cleaned(dataset)
    assert found == cleaned(header()) or is_refused(found)


# Tables and slides: the whole corpus is the same, to the byte.

COLUMNS = tuple(dropped_columns())
# Not shrunk: a run takes a tenth of a second, and a short text says no more than a long one.
A_RUN = settings(max_examples=4, deadline=None, phases=[Phase.generate])
NAMES_OF_FILES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\x00", exclude_categories=["Cc", "Zs"]),
    min_size=1, max_size=50,
).filter(lambda name: not name.startswith("."))  # fmt: skip


@contextmanager
def export() -> Iterator[Path]:
    """Yield a new folder with two cells and a table of them as Parquet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "export"
        folder.mkdir()
        for number in range(2):
            (folder / f"{number}.png").write_bytes(encoded(cell(number), "PNG"))
        yield folder


def write_table(folder: Path, **columns: list[str]) -> None:
    """Write a table of the two cells; `columns` go over or beside what it says."""
    # Every column that is released in some form: of those that compete with it, none is.
    said = {
        "file_name": ["0.png", "1.png"], "label": ["BA", "MO"], "subject": ["a17", "b18"],
        "slide": ["s1", "s2"], "site": ["x1", "x1"], "age": ["47", "93"], "sex": ["F", "M"],
        "acquired": ["2020-03-04", "2021-05-06"], "stain": ["MGG", "MGG"],
        "magnification": ["100x", "40"], "pixel_size_um": ["0.1", "0.1"],
    }  # fmt: skip
    table = pa.table({**said, **columns})
    pq.write_table(table, folder / "metadata.parquet")


def corpus_of(folder: Path, source: Source | None = None) -> dict[str, bytes] | str:
    """Return path -> bytes of the corpus of a folder, or the words of its refusal."""
    write_vault(folder.parent / "vault")
    try:
        curate([source or folder], folder.parent / "corpus", CurateConfig(text="off"),
               vault=folder.parent / "vault")  # fmt: skip
    except SmearkitError as error:
        return str(error)
    root = folder.parent / "corpus"
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@cache
def corpus_with(column: str) -> dict[str, bytes] | str:
    with export() as folder:
        write_table(folder, **{column: ["nothing", "at all"]})
        return corpus_of(folder)


@A_RUN
@given(column=st.sampled_from(COLUMNS), text=ANY_TEXT)
def test_no_dropped_column_leaves_a_trace(column: str, text: str) -> None:
    with export() as folder:
        write_table(folder, **{column: [text, f"{text} too"]})
        found = corpus_of(folder)
    assert isinstance(found, dict)
    assert found == corpus_with(column)


@A_RUN
@given(name=NAMES_OF_FILES, below=NAMES_OF_FILES)
def test_no_name_of_a_file_leaves_a_trace(name: str, below: str) -> None:
    with export() as folder:
        write_table(folder)
        plain = corpus_of(folder)
    with export() as folder:
        (folder / below).mkdir()
        moved = folder / below / f"{name}.png"
        (folder / "0.png").rename(moved)
        write_table(folder, file_name=[f"{below}/{name}.png", "1.png"])
        found = corpus_of(folder)
    assert isinstance(plain, dict)
    assert found == plain


@A_RUN
@given(key=ANY_TEXT, value=ANY_TEXT)
def test_no_metadata_of_a_table_leaves_a_trace(key: str, value: str) -> None:
    with export() as folder:
        write_table(folder)
        plain = corpus_of(folder)
    with export() as folder:
        write_table(folder)
        table = pq.read_table(folder / "metadata.parquet")
        field = table.schema.field(2).with_metadata({key: value})
        schema = table.schema.set(2, field).with_metadata({key: value})
        pq.write_table(table.cast(schema), folder / "metadata.parquet")
        found = corpus_of(folder)
    assert isinstance(plain, dict)
    assert found == plain


@contextmanager
def slide(description: bytes, private: bytes) -> Iterator[Path]:
    """Yield a slide with a table of the boxes of its cells beside its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "slides"
        folder.mkdir()
        with tifffile.TiffWriter(folder / "x.svs") as file:
            file.write(FIELD, tile=(64, 64), photometric="rgb", metadata=None,
                       description=description.replace(b"\x00", b" ") or b" ",
                       extratags=[(65000, 7, len(private), private, True)])  # fmt: skip
        rows = ["file_name,label,x,y,width,height", "x,BA,20,20,40,40", "x,MO,90,50,40,40"]
        (folder.parent / "boxes.csv").write_text("\n".join(rows) + "\n")
        yield folder


FIELD = cell(7, height=128, width=192)


@A_RUN
@given(description=ANY_BYTES, private=ANY_BYTES)
def test_no_description_of_a_slide_changes_its_pixels(description: bytes, private: bytes) -> None:
    with slide(description, private) as folder:
        found = region_of(folder / "x.svs")
    assert is_refused(found) or np.array_equal(found, FIELD[20:100, 10:150])


def region_of(path: Path) -> Array | str:
    """Return a region of a slide, or the words of its refusal."""
    try:
        with open_slide(path, LIMITS) as opened:
            return opened.read_region((10, 20, 150, 100))
    except ImageError as error:
        return str(error)


@A_RUN
@given(key=ANY_TEXT, value=ANY_TEXT)
def test_no_description_of_a_slide_leaves_a_trace(key: str, value: str) -> None:
    # The names of known keys are shown, what they say is not.
    assume(key.strip() not in PUBLIC_KEYS)
    found = []
    for said in (f"{key} = {value}", "Colour of the curtains = 40"):
        with slide(f"Aperio Image Library\r\n192x128|{said}".encode(), b"private") as folder:
            source = open_boxes(folder, folder.parent / "boxes.csv")
            found.append(corpus_of(folder, source))
    assert isinstance(found[1], dict)
    assert found[0] == found[1]


def test_the_comparison_sees_what_leaves(tmp_path: Path) -> None:
    # Of what does stay, a change is seen: the comparisons above are not of two empty things.
    with export() as folder:
        write_table(folder)
        plain = corpus_of(folder)
    with export() as folder:
        write_table(folder, subject=["other", "b18"])
        found = corpus_of(folder)
    assert isinstance(plain, dict)
    assert found != plain
    assert cleaned(header(Rows=41)) != cleaned(header())
    assert allowed(encoded(cell(1), "PNG")) != allowed(PNG)
    assert is_refused(released(b"no image"))
