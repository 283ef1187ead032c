from __future__ import annotations

import logging
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence as Items

from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.dicom.elements import MOST_LEVELS
from curation.deidentify.dicom.frames import read_frames
from curation.deidentify.dicom.header import read_header
from curation.deidentify.dicom.identifiers import identifiers
from curation.deidentify.dicom.read import is_dicom, open_dicom
from curation.errors import ImageError
from tests.deidentify.dicom_made import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    KEYS,
    LIMITS,
    as_bytes,
    as_file,
    colours,
    item,
    picture,
    unchecked,
    whole_slide,
    write,
)

ROWS_MARK = b"\x28\x00\x10\x00US"


def installed(name: str) -> Path:
    return Path(str(get_testdata_file(name)))


def everything(path: Path) -> None:
    """Do all that is done with a file; a named error is as good as none."""
    try:
        read_header(path, LIMITS)
        list(read_frames(path, limits=LIMITS))
        with open_dicom(path) as opened:
            list(identifiers(opened.dataset))
            as_bytes(deidentify_dataset(opened.dataset, KEYS))
    except ImageError as error:
        said = str(error)
    else:
        said = ""
    assert "Quill" not in said
    assert str(path) not in said


def outcome(path: Path) -> str | None:
    """Return the problem of a file, however it is said."""
    try:
        return read_header(path, LIMITS).problem
    except ImageError as error:
        return error.reason


def inserted(data: bytes, what: bytes, mark: bytes = ROWS_MARK) -> bytes:
    at = data.index(mark)
    return data[:at] + what + data[at:]


# What a header says.


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
def test_a_header_in_any_syntax(tmp_path: Path, syntax: str) -> None:
    dataset = whole_slide()
    dataset.private_block(0x0009, "QuillTec", create=True).add_new(1, "LO", "Berta")
    tiles = np.zeros((3, 24, 32, 3), np.uint8)
    header = read_header(write(tmp_path / "a.dcm", dataset, tiles, syntax))
    assert header.frames == 3
    assert header.problem is None
    assert header.fields["PatientName"] == "Quill^Berta"
    assert header.fields["SpecimenDescriptionSequence.SpecimenIdentifier"] == "S21-5512"
    assert header.fields["OpticalPathSequence.ObjectiveLensPower"] == "100"
    assert header.fields["ImageType"] == "ORIGINAL\\PRIMARY\\VOLUME\\NONE"
    assert header.fields["(0009,0010)"] == "QuillTec"
    assert header.fields["Rows"] == "24"
    assert {"SpecimenDescriptionSequence", "MediaStorageSOPClassUID"} <= set(header.elements)
    assert "PixelData" not in header.elements
    assert "SpecimenDescriptionSequence" not in header.fields


def test_of_several_items_a_field_is_what_the_first_says_that_says_it(tmp_path: Path) -> None:
    items = [
        item(SpecimenUID="1.2.3"),
        item(SpecimenIdentifier="one"),
        item(SpecimenIdentifier="two"),
    ]
    dataset = picture(SpecimenDescriptionSequence=Items(items))
    header = read_header(write(tmp_path / "a.dcm", dataset))
    assert header.fields["SpecimenDescriptionSequence.SpecimenIdentifier"] == "one"


@pytest.mark.parametrize(
    "name",
    ["test-SR.dcm", "waveform_ecg.dcm", "rtplan.dcm", "dicomdirtests/DICOMDIR", "rtstruct.dcm"],
)
def test_reports_directories_and_waveforms_are_no_pictures(name: str) -> None:
    header = read_header(installed(name))
    assert header.frames == 0
    assert header.problem == "dicom_no_image"
    with pytest.raises(ImageError, match="dicom_no_image"):
        next(read_frames(installed(name)))


def test_names_are_read_in_the_character_set_that_the_file_names(tmp_path: Path) -> None:
    dataset = picture(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")
    assert read_header(write(tmp_path / "a.dcm", dataset)).fields["PatientName"] == "Müller^Jürgen"


@pytest.mark.parametrize("name", ["ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm"])
def test_a_report_without_preamble_and_meta_is_read(name: str) -> None:
    assert read_header(installed(name)).fields["Modality"] == "RTPLAN"


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_a_picture_without_preamble_and_meta_is_read(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", picture(), None, syntax)
    data = path.read_bytes()
    first = b"\x00\x08\x00\x16" if syntax == BIG else b"\x08\x00\x16\x00"
    path.write_bytes(data[data.index(first) :])
    (frame,) = read_frames(path)
    assert np.array_equal(np.asarray(frame), colours())


def test_what_is_a_dicom_file(tmp_path: Path) -> None:
    named, unnamed, other = tmp_path / "a.DCM", tmp_path / "b", tmp_path / "c"
    named.write_bytes(b"x")
    unnamed.write_bytes(as_file(picture()))
    other.write_bytes(b"x" * 200)
    assert [is_dicom(path) for path in (named, unnamed, other)] == [True, True, False]


# What is broken.


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04" * 50, bytes(132), bytes(128) + b"DICM"])
def test_another_file_renamed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    assert outcome(path) in ("unreadable", "dicom_no_image")


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED])
def test_a_file_cut_off_anywhere(tmp_path: Path, syntax: str) -> None:
    path = write(tmp_path / "a.dcm", whole_slide(1), np.zeros((24, 32, 3), np.uint8), syntax)
    data = path.read_bytes()
    outcomes = set()
    for end in range(0, len(data), 149):
        path.write_bytes(data[:end])
        everything(path)
        outcomes.add(outcome(path))
    # Cut between two elements a file without its pixels is whole, but no picture.
    assert outcomes <= {"unreadable", "dicom_no_image"}


def test_a_cut_off_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    data = as_file(picture(StudyDescription="Berta Quill" * 4))
    path.write_bytes(data[: data.index(b"Berta") + 20])
    with pytest.raises(ImageError, match="StudyDescription is cut off"):
        read_header(path)


@pytest.mark.parametrize("levels", [MOST_LEVELS + 2, 100, 3000])
def test_sequences_within_sequences(tmp_path: Path, levels: int) -> None:
    level = b"\x40\x00\x60\x05SQ\x00\x00" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    path = tmp_path / "a.dcm"
    path.write_bytes(inserted(as_file(picture()), level * levels))
    with pytest.raises(ImageError, match="unreadable"):
        read_header(path)
    everything(path)


def test_sequences_of_known_length_within_each_other(tmp_path: Path) -> None:
    value = b""
    for _ in range(200):
        body = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value
        value = b"\x40\x00\x60\x05SQ\x00\x00" + struct.pack("<I", len(body)) + body
    path = tmp_path / "a.dcm"
    path.write_bytes(inserted(as_file(picture()), value))
    with pytest.raises(ImageError, match=f"nested deeper than {MOST_LEVELS}"):
        read_header(path)


@pytest.mark.parametrize("vr", [b"SQ", b"UN", b"OB", b"OW"])
def test_an_undefined_length_without_its_end(tmp_path: Path, vr: bytes) -> None:
    path = tmp_path / "a.dcm"
    element = b"\x09\x00\x01\x10" + vr + b"\x00\x00\xff\xff\xff\xff"
    path.write_bytes(inserted(as_file(picture()), element))
    everything(path)


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFE])
def test_a_huge_length_allocates_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.dcm"
    element = b"\x40\x00\x60\x05UT\x00\x00" + struct.pack("<I", length) + b"Berta"
    path.write_bytes(inserted(as_file(picture()), element))
    everything(path)  # what is loaded once is not counted
    tracemalloc.start()
    everything(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20
    with pytest.raises(ImageError, match="is cut off"):
        read_header(path)


def test_a_deflated_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.deidentify.dicom.read.MOST_HEADER_BYTES", 2**20)
    head = as_file(picture(), DEFLATED)
    start = head.index(b"1.2.826.5.9") + 12
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path = tmp_path / "a.dcm"
    path.write_bytes(head[:start] + packer.compress(bytes(8 * 2**20)) + packer.flush())
    with pytest.raises(ImageError, match="too_large: unpacks"):
        read_header(path)


def test_a_row_of_empty_items_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.deidentify.dicom.stream.MOST_READS", 3000)
    items = b"\xfe\xff\x00\xe0" + bytes(4)
    known = b"\x40\x00\x60\x05SQ\x00\x00" + struct.pack("<I", 8 * 5000) + items * 5000
    unknown = b"\x40\x00\x60\x05SQ\x00\x00" + b"\xff" * 4 + items * 5000
    for element in (known, unknown):
        path = tmp_path / "a.dcm"
        path.write_bytes(inserted(as_file(picture()), element))
        with pytest.raises(ImageError, match="too_large: more elements"):
            read_header(path)


def test_a_value_that_does_not_fit_its_vr_costs_only_itself(tmp_path: Path) -> None:
    data = as_file(picture(PixelSpacing=["0.5", "0.5"], PatientAge="045Y"))
    data = inserted(data, b"\x18\x00\x50\x00DS\x06\x00Quill ")  # slice thickness
    data = inserted(data, b"\x18\x00\x88\x00FD\x04\x00Berta"[:-1])  # four bytes for eight
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    with open_dicom(path) as opened:
        clean = deidentify_dataset(opened.dataset, KEYS)
        found = list(identifiers(opened.dataset))
    assert clean.broken == ("SpacingBetweenSlices",)
    assert not {"SliceThickness", "SpacingBetweenSlices"} & {e.keyword for e in clean.dataset}
    assert ("dicom:SliceThickness", "Quill") in found
    assert clean.dataset.PatientAge == "045Y"
    assert b"Quill" not in as_bytes(clean)


@pytest.mark.parametrize("charset", ["ISO_IR 999", "Quill", "ISO 2022 IR 87"])
def test_a_wrong_character_set(tmp_path: Path, charset: str) -> None:
    with unchecked():
        dataset = picture(PatientName="Muller")
        data = as_file(dataset)
    element = b"\x08\x00\x05\x00CS" + struct.pack("<H", len(charset) + len(charset) % 2)
    path = tmp_path / "a.dcm"
    path.write_bytes(
        inserted(
            data, element + charset.encode() + b" " * (len(charset) % 2), b"\x08\x00\x16\x00UI"
        )
    )
    everything(path)
    with open_dicom(path) as opened:
        assert deidentify_dataset(opened.dataset, KEYS).dataset.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("syntax", ["1.2.826.5.5", "Quill", "1.2.840.10008.5.1.4.1.1.7"])
def test_a_foreign_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "a.dcm"
    data = as_file(picture())
    padded = syntax.encode() + b"\x00" * (len(syntax) % 2)
    old = b"UI\x14\x001.2.840.10008.1.2.1\x00"
    assert old in data
    path.write_bytes(data.replace(old, b"UI" + struct.pack("<H", len(padded)) + padded))
    with pytest.raises(ImageError, match="dicom_unsupported"):
        read_header(path)


def test_a_file_that_cannot_be_opened_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.dcm")


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), max_size=12),
    syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG]),
)
def test_any_bytes_changed_end_in_a_result_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], syntax: str
) -> None:
    path = tmp_path_factory.mktemp("changed") / "a.dcm"
    write(path, picture(PatientComments="Quill"), None, syntax)
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    path.write_bytes(data)
    everything(path)


# Nothing is said aloud.


def test_no_warning_and_no_log_quotes_what_was_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Warnings are errors in this run.
    with unchecked():
        dataset = picture(PatientAge="Quill", SeriesInstanceUID="Quill", StudyTime="Quill")
    path = write(tmp_path / "a.dcm", dataset)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        everything(path)
        everything(installed("badVR.dcm"))
        everything(installed("rtplan_truncated.dcm"))
    assert caplog.text == ""
    assert not logging.getLogger("pydicom").disabled


def test_a_header_of_many_frames_is_read_in_time(tmp_path: Path) -> None:
    dataset = whole_slide(400)
    path = write(tmp_path / "a.dcm", dataset, np.zeros((400, 24, 32, 3), np.uint8))
    begun = time.perf_counter()
    assert read_header(path, LIMITS).frames == 400
    # Measured at 0.2 s on two busy cores; a quadratic step would take minutes.
    assert time.perf_counter() - begun < 20
