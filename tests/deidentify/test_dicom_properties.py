"""Whatever is planted wherever in a DICOM file, nothing of it comes out."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from string import ascii_letters, digits

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.dicom.files import deidentify_files
from curation.deidentify.dicom.frames import read_frames
from curation.errors import ImageError
from tests.deidentify.dicom_made import (
    BASELINE,
    EXPLICIT,
    IMPLICIT,
    KEYS,
    LIMITS,
    as_bytes,
    as_file,
    colours,
    item,
    jpeg,
    picture,
    unchecked,
    whole_slide,
    write,
)

# Ten letters and digits never stand in a clean file by chance.
WORDS = st.text(ascii_letters + digits, min_size=10, max_size=14)
TEXT_TAGS = sorted(
    tag
    for tag, (vr, *_) in DicomDictionary.items()
    if vr in ("LO", "SH", "ST", "LT", "UT", "UC", "UR", "PN", "CS", "AE", "UI", "DA", "DT", "TM",
              "IS", "DS", "AS", "UN", "OB", "OW", "US or OW", "OB or OW")
    and tag >> 16 not in (0x0000, 0x0002, 0x7FE0, 0xFFFE)
)  # fmt: skip
VRS = ("LO", "PN", "UT", "CS", "UN", "OB", "UI", "SH", "LT")
FEW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def raw(tag: int, vr: str, value: bytes) -> bytes:
    """Return an element in explicit little endian, whatever its VR and value say of each other."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("OB", "OW", "UN", "UT", "UC", "UR"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def cleaned(data: bytes) -> bytes:
    """Return the clean file of a file, b"" where it is refused."""
    with unchecked():
        dataset = pydicom.dcmread(io.BytesIO(data))
    try:
        return as_bytes(deidentify_dataset(dataset, KEYS))
    except ImageError:
        return b""


def assert_gone(word: str, data: bytes) -> None:
    lower = data.lower()
    for how in ("utf-8", "utf-16-le", "utf-16-be"):
        assert word.lower().encode(how) not in lower
    assert word[::-1].lower().encode() not in lower


@FEW
@given(st.sampled_from(TEXT_TAGS), st.sampled_from(VRS), WORDS)
def test_any_element_of_any_vr(tag: int, vr: str, word: str) -> None:
    data = as_file(picture())
    first = data.index(b"\x08\x00\x16\x00UI")
    assert_gone(word, cleaned(data[:first] + raw(tag, vr, word.encode()) + data[first:]))


@FEW
@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), WORDS)
def test_any_tag_private_unknown_or_graphic(group: int, element: int, word: str) -> None:
    data = as_file(picture())
    first = data.index(b"\x08\x00\x16\x00UI")
    planted = raw(group << 16 | element, "LO", word.encode())
    assert_gone(word, cleaned(data[:first] + planted + data[first:]))


@FEW
@given(st.lists(st.sampled_from(TEXT_TAGS), min_size=1, max_size=4), WORDS, st.booleans())
def test_any_depth_of_sequences(tags: list[int], word: str, in_specimen: bool) -> None:
    inner = item()
    with unchecked():
        for tag in tags:
            vr = DicomDictionary[tag][0]
            value: str | bytes = word
            if "O" in vr or vr == "UN":
                vr, value = "OB", word.encode()
            elif vr in ("DS", "IS"):
                vr = "LO"  # pydicom writes no text as a number
            inner.add_new(tag, vr, value)
    holder = item(SpecimenPreparationStepContentItemSequence=Items([inner]))
    dataset = whole_slide()
    if in_specimen:
        dataset.SpecimenDescriptionSequence[0].SpecimenPreparationSequence.append(holder)
    else:
        dataset.RequestAttributesSequence = Items([holder])
    assert_gone(word, cleaned(as_file(dataset)))


@FEW
@given(WORDS, st.sampled_from(["CodeValue", "CodeMeaning", "CodingSchemeDesignator"]))
def test_any_part_of_a_code(word: str, part: str) -> None:
    said = {"CodeValue": "255803006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "stain"}
    entry = item(**{**said, part: word})
    assert_gone(word, cleaned(as_file(picture(AnatomicRegionSequence=Items([entry])))))


@FEW
@given(WORDS, st.sampled_from(["preamble", "meta", "trailing", "padding", "overlay", "icc"]))
def test_any_carrier_around_the_data_set(word: str, carrier: str) -> None:
    dataset, preamble = picture(), bytes(128)
    value = word.encode() + b" " * (len(word) % 2)
    if carrier == "preamble":
        preamble = value.ljust(128)
    elif carrier == "meta":
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.SourceApplicationEntityTitle = word
        dataset.file_meta.PrivateInformationCreatorUID = UID("1.2.826.8")
        dataset.file_meta.PrivateInformation = value
    elif carrier == "padding":
        dataset.add_new(0xFFFCFFFC, "OB", value)
    elif carrier == "overlay":
        dataset.add_new(0x60003000, "OW", value)
        dataset.add_new(0x60000022, "LO", word)
    elif carrier == "icc":
        dataset.ICCProfile = value
    data = as_file(dataset, preamble=preamble)
    assert_gone(word, cleaned(data + (value if carrier == "trailing" else b"")))


@FEW
@given(st.binary(min_size=8, max_size=8), st.sampled_from(["FD", "FL", "UL", "SL", "US"]))
@example(b"JOHNSMIT", "FD")
def test_no_number_spells_a_text(letters: bytes, vr: str) -> None:
    letters = bytes(65 + byte % 26 for byte in letters)
    names = {"FD": "DistanceBetweenFocalPlanes", "FL": "ImagedVolumeWidth",
             "UL": "TotalPixelMatrixColumns", "SL": "ColumnPositionInTotalImagePixelMatrix",
             "US": "Rows"}  # fmt: skip
    width = {"FD": 8, "US": 2}.get(vr, 4)
    form = {"FD": "<d", "FL": "<f", "UL": "<I", "SL": "<i", "US": "<H"}[vr]
    dataset = picture(**{names[vr]: struct.unpack(form, letters[:width])[0]})
    found = deidentify_dataset(dataset, KEYS).dataset.get(names[vr])
    if found is not None and width > 4:
        assert struct.pack(form, found) != letters[:width]


@settings(max_examples=20, deadline=None)
@given(WORDS, st.sampled_from(["comment", "exif", "xmp", "behind", "table", "item", "padding"]))
def test_any_carrier_in_a_compressed_frame(
    tmp_path_factory: pytest.TempPathFactory, word: str, carrier: str
) -> None:
    folder = tmp_path_factory.mktemp("frame")
    (folder / "in").mkdir()
    value = word.encode()
    scan = jpeg(colours(), comment=value if carrier == "comment" else b"")
    heads = {"exif": b"Exif\x00\x00", "xmp": b"http://ns.adobe.com/xap/1.0/\x00"}
    if carrier in heads:
        body = heads[carrier] + value
        scan = scan[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + scan[2:]
    if carrier == "behind":
        scan += value
    frames = [scan]
    if carrier == "item":
        frames.append(value + b" " * (len(value) % 2))
    dataset = picture(PhotometricInterpretation="YBR_FULL_422")
    path = write(folder / "in" / f"{word}.dcm", dataset, frames, BASELINE)
    if carrier == "padding":
        path.write_bytes(path.read_bytes() + raw(0xFFFCFFFC, "OB", value))
    if carrier == "table":
        data = path.read_bytes()
        at = data.rindex(b"\xfe\xff\x00\xe0\x04\x00\x00\x00")
        room = value + b" " * (-len(value) % 4)
        path.write_bytes(
            data[:at] + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(room)) + room + data[at + 12 :]
        )
    for frame in read_frames(path):
        if isinstance(frame, bytes):
            assert_gone(word, frame)
    deidentify_files(folder / "in", folder / "out", folder / "vault", screen=None)
    for made in (folder / "out").iterdir():
        assert_gone(word, made.read_bytes())
        assert word not in made.name


@settings(max_examples=20, deadline=None)
@given(WORDS, st.sampled_from([IMPLICIT, EXPLICIT]), st.integers(0, 3))
def test_whole_files_through_the_folder(
    tmp_path_factory: pytest.TempPathFactory, word: str, syntax: str, behind: int
) -> None:
    folder: Path = tmp_path_factory.mktemp("whole")
    (folder / "in").mkdir()
    dataset = whole_slide()
    dataset.PatientID = dataset.PatientName = dataset.StudyDescription = word
    dataset.private_block(0x0009, word, create=True).add_new(1, "LO", word)
    pixels = np.stack([colours(n) for n in range(3)]).reshape(-1)
    stored = np.concatenate([pixels, np.frombuffer(word.encode() * behind, np.uint8)])
    write(folder / "in" / f"{word}.dcm", dataset, stored, syntax)
    report = deidentify_files(
        folder / "in", folder / "out", folder / "vault", screen=None, limits=LIMITS
    )
    assert report.written == 1
    for made in (folder / "out").iterdir():
        assert_gone(word, made.read_bytes())
        assert word not in made.name
