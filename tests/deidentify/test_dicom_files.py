from __future__ import annotations

import io
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
import simplejpeg
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.dicom.codes import meaning
from curation.deidentify.dicom.elements import elements, texts
from curation.deidentify.dicom.files import DicomReport, deidentify_files
from curation.deidentify.dicom.frames import open_frames
from curation.deidentify.dicom.read import open_dicom, quietly
from curation.deidentify.dicom.stream import Budget
from curation.deidentify.dicom.tables import fate, kept
from curation.deidentify.jpeg import clean_jpeg
from curation.deidentify.vault import read_identifiers, read_vault
from curation.errors import ImageError, OutputExistsError, SourceError, VaultError
from curation.pixels import Pixels
from tests.deidentify.dicom_made import (
    BASELINE,
    EXPLICIT,
    JPEG_2000,
    JPEG_LS,
    KEYS,
    LIMITS,
    PATIENT,
    as_bytes,
    colours,
    installed_files,
    jpeg,
    picture,
    whole_slide,
    write,
)

GREY: dict[str, Any] = {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"}


def see_nothing(pixels: Pixels) -> bool:
    return False


def run(
    tmp_path: Path, source: Path, screen: Any = see_nothing, **options: Any
) -> tuple[DicomReport, list[Path]]:
    out = tmp_path / "out"
    report = deidentify_files(
        source, out, tmp_path / "vault", screen=screen, limits=LIMITS, **options
    )
    return report, sorted(out.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "Quill, Berta"
    folder.mkdir()
    return folder


def only(
    source: Path, tmp_path: Path, dataset: Dataset, frames: Any = None, syntax: str = EXPLICIT
) -> Dataset:
    """Write one file, clean the folder, and return what was made of it."""
    write(source / "Quill_1961.dcm", dataset, frames, syntax)
    report, made = run(tmp_path, source)
    assert report.refused == ()
    (path,) = made
    return pydicom.dcmread(path)


# The pixels of a cleaned file.


def test_uncompressed_colours_stay_uncompressed(source: Path, tmp_path: Path) -> None:
    planes = np.moveaxis(colours(), -1, 0).copy()
    made = only(source, tmp_path, picture(PlanarConfiguration=1), planes)
    assert made.file_meta.TransferSyntaxUID == EXPLICIT
    assert made.PlanarConfiguration == 0
    assert np.array_equal(made.pixel_array, colours())


def test_a_jpeg_keeps_its_scan(source: Path, tmp_path: Path) -> None:
    scans = [jpeg(colours(n), comment=b"Berta Quill") for n in range(3)]
    dataset = whole_slide()
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    made = only(source, tmp_path, dataset, scans, BASELINE)
    assert made.file_meta.TransferSyntaxUID == BASELINE
    assert made.PhotometricInterpretation == "YBR_FULL_422"
    assert made.LossyImageCompression == "01"
    assert made.NumberOfFrames == 3
    found = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=3))
    for scan, frame in zip(scans, found, strict=True):
        assert frame.rstrip(b"\x00") == clean_jpeg(scan).data
        assert np.array_equal(simplejpeg.decode_jpeg(frame), simplejpeg.decode_jpeg(scan))


def test_other_compressed_colours_become_lossless(source: Path, tmp_path: Path) -> None:
    coded = [bytes(imagecodecs.jpeg2k_encode(colours(n), codecformat="J2K")) for n in range(2)]
    dataset = picture(PhotometricInterpretation="YBR_RCT", NumberOfFrames=2)
    made = only(source, tmp_path, dataset, coded, JPEG_2000)
    assert made.file_meta.TransferSyntaxUID == JPEG_LS
    assert made.PhotometricInterpretation == "RGB"
    found = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=2))
    for number, frame in enumerate(found):
        assert np.array_equal(imagecodecs.jpegls_decode(frame), colours(number))


@pytest.mark.parametrize("stored", [10, 12, 16])
def test_deep_grey_keeps_its_values(source: Path, tmp_path: Path, stored: int) -> None:
    deep = (colours()[..., 0].astype(np.uint16) << (stored - 8)) | 0
    hidden = deep | (0xFFFF & ~((1 << stored) - 1))
    dataset = picture(**GREY, BitsAllocated=16, BitsStored=stored, HighBit=stored - 1,
                      WindowCenter="300", WindowWidth="200")  # fmt: skip
    made = only(source, tmp_path, dataset, hidden.astype("<u2"))
    assert np.array_equal(np.frombuffer(made.PixelData, "<u2").reshape(deep.shape), deep)
    assert (made.BitsStored, made.WindowCenter) == (stored, 300)


def test_signed_grey_keeps_its_values(source: Path, tmp_path: Path) -> None:
    signed = (colours()[..., 0].astype(np.int16) - 128) * 4
    dataset = picture(**GREY, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=1)
    made = only(source, tmp_path, dataset, signed)
    assert np.array_equal(made.pixel_array, signed)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_one_bit_becomes_eight(source: Path, tmp_path: Path, photometric: str) -> None:
    bits = (colours()[..., 0] > 127).astype(np.uint8)
    dataset = picture(SamplesPerPixel=1, PhotometricInterpretation=photometric, BitsAllocated=1,
                      BitsStored=1, HighBit=0)  # fmt: skip
    made = only(source, tmp_path, dataset, np.packbits(bits, bitorder="little"))
    seen = bits if photometric == "MONOCHROME2" else 1 - bits
    assert np.array_equal(made.pixel_array, seen * 255)
    assert made.PhotometricInterpretation == "MONOCHROME2"


def test_what_lies_behind_the_pixels_stays_behind(source: Path, tmp_path: Path) -> None:
    stored = np.frombuffer(colours().tobytes() + b"Berta Quill ", np.uint8)
    made = only(source, tmp_path, picture(), stored)
    assert made.PixelData == colours().tobytes()


def test_a_colour_profile_becomes_that_of_srgb(source: Path, tmp_path: Path) -> None:
    from curation.deidentify.dicom.srgb import srgb_profile

    swapped = srgb_profile().replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ")
    swapped = swapped.replace(b"tXYZ", b"gXYZ") + b"Berta Quill "
    dataset = picture(ICCProfile=swapped, PhotometricInterpretation="YBR_FULL_422")
    made = only(source, tmp_path, dataset, [jpeg(colours())], BASELINE)
    assert made.ICCProfile == srgb_profile()
    assert made.file_meta.TransferSyntaxUID == JPEG_LS
    with open_dicom(source / "Quill_1961.dcm") as opened:
        expected = open_frames(opened, LIMITS).shown(0)
    (frame,) = pydicom.encaps.generate_frames(made.PixelData, number_of_frames=1)
    assert np.array_equal(imagecodecs.jpegls_decode(frame), expected)


def test_a_profile_is_the_same_bytes_each_time() -> None:
    from curation.deidentify.dicom.srgb import srgb_profile

    first = srgb_profile()
    srgb_profile.cache_clear()
    assert srgb_profile() == first
    assert len(first) % 2 == 0


# Text in the pixels.


def test_a_file_with_text_in_a_frame_is_refused(source: Path, tmp_path: Path) -> None:
    marked = colours(1).copy()
    marked[:4] = 0
    write(source / "a.dcm", picture(SOPInstanceUID="1.2.3.1"))
    write(source / "b.dcm", picture(SOPInstanceUID="1.2.3.2", NumberOfFrames=2),
          np.stack([colours(), marked]))  # fmt: skip
    report, made = run(tmp_path, source, screen=lambda pixels: not pixels[:4].any())
    assert [(r.position, r.reason) for r in report.refused] == [(1, "burned_in_text")]
    assert report.refused[0].short_id == read_vault(tmp_path / "vault").short_id("b.dcm")
    assert (report.files, report.written, len(made)) == (2, 1, 1)


@pytest.mark.parametrize("how", ["native", "jpeg", "grey"])
def test_the_screen_sees_what_a_viewer_shows(source: Path, tmp_path: Path, how: str) -> None:
    seen: list[Pixels] = []
    if how == "native":
        write(source / "a.dcm", picture())
    elif how == "jpeg":
        dataset = picture(PhotometricInterpretation="YBR_FULL_422")
        write(source / "a.dcm", dataset, [jpeg(colours())], BASELINE)
    else:
        write(source / "a.dcm", picture(**GREY), colours()[..., 0].copy())

    def look(pixels: Pixels) -> bool:
        seen.append(pixels)
        return False

    run(tmp_path, source, screen=look)
    (pixels,) = seen
    expected = {
        "native": colours(), "grey": colours()[..., 0],
        "jpeg": simplejpeg.decode_jpeg(jpeg(colours())),
    }  # fmt: skip
    assert np.array_equal(pixels, expected[how])


def test_clean_pixels_are_claimed_only_if_somebody_looked(source: Path, tmp_path: Path) -> None:
    write(source / "a.dcm", picture())
    _, looked = run(tmp_path / "1", source)
    _, blind = run(tmp_path / "2", source, screen=None)
    claims = [
        "113101" in [c.CodeValue for c in pydicom.dcmread(path).DeidentificationMethodCodeSequence]
        for path in (*looked, *blind)
    ]
    assert claims == [True, False]


def test_labels_and_annotated_pictures_and_reports_are_counted(
    source: Path, tmp_path: Path
) -> None:
    write(source / "a.dcm", picture(ImageType=["ORIGINAL", "PRIMARY", "LABEL"]))
    write(source / "b.dcm", picture(BurnedInAnnotation="YES"))
    shutil.copy(next(p for p in installed_files() if p.name == "test-SR.dcm"), source / "c.dcm")
    shutil.copy(next(p for p in installed_files() if p.name == "DICOMDIR"), source / "DICOMDIR")
    (source / "readme.txt").write_text("Berta Quill")
    (source / "d.dcm").write_bytes(b"Berta Quill")
    write(source / "e.dcm", picture(SOPInstanceUID="1.2.3"))
    report, made = run(tmp_path, source)
    assert Counter(r.reason for r in report.refused) == {
        "slide_label_image": 1, "burned_in_annotation": 1, "dicom_no_image": 2, "unreadable": 1
    }  # fmt: skip
    assert (report.files, report.written, report.others) == (6, 1, 1)
    assert len(made) == 1


# The folder.


def test_names_and_times_say_nothing(source: Path, tmp_path: Path) -> None:
    (source / "Quill").mkdir()
    write(source / "Quill" / "Berta_1961.dcm", picture())
    _, (path,) = run(tmp_path, source)
    assert path.name == f"{pydicom.dcmread(path).SOPInstanceUID}.dcm"
    assert path.stat().st_mtime == 315_532_800
    assert set(tmp_path.iterdir()) == {source, tmp_path / "out", tmp_path / "vault"}


def test_one_key_makes_the_same_files_again(source: Path, tmp_path: Path) -> None:
    write(source / "a.dcm", whole_slide(), np.stack([colours(n) for n in range(3)]))
    _, first = run(tmp_path, source)
    shutil.move(tmp_path / "out", tmp_path / "first")
    _, second = run(tmp_path, source)
    assert [path.name for path in first] == [path.name for path in second]
    assert (tmp_path / "first" / first[0].name).read_bytes() == second[0].read_bytes()


def test_the_vault_knows_what_was_removed(source: Path, tmp_path: Path) -> None:
    (source / "Berta").mkdir()
    dataset = picture(InstitutionName="St Berta", ContainerIdentifier="S21-5512")
    write(source / "Berta" / "Quill_1961.dcm", dataset)
    write(source / "label.dcm", picture(ImageType=["ORIGINAL", "PRIMARY", "LABEL"],
                                        PatientID="of a refused one"))  # fmt: skip
    run(tmp_path, source)
    found = set(read_identifiers(read_vault(tmp_path / "vault")))
    assert {
        ("subject", PATIENT), ("slide", "S21-5512"), ("dicom:InstitutionName", "St Berta"),
        ("dicom:PatientName", "Quill"), ("subject", "of a refused one"), ("file", "Quill_1961"),
        ("folder", "Berta"),
    } <= found  # fmt: skip


def test_a_repeated_instance_is_not_written_over(source: Path, tmp_path: Path) -> None:
    write(source / "a.dcm", picture())
    write(source / "b.dcm", picture(PatientID="other"), colours(1))
    report, (path,) = run(tmp_path, source)
    assert [(r.position, r.reason) for r in report.refused] == [(1, "dicom_repeated")]
    assert np.array_equal(pydicom.dcmread(path).pixel_array, colours())


def test_unknown_elements_are_counted_by_name(source: Path, tmp_path: Path) -> None:
    for number in range(2):
        dataset = picture(SOPInstanceUID=f"1.2.3.{number}")
        dataset.add_new(0x00189988, "LO", "Quill")
        write(source / f"{number}.dcm", dataset)
    report, _ = run(tmp_path, source)
    assert report.unknown == {"(0018,9988)": 2}


def test_a_run_that_fails_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source / "a.dcm", picture())
    write(source / "b.dcm", picture(SOPInstanceUID="1.2.3"))
    calls = iter([False])

    def fail(pixels: Pixels) -> bool:
        try:
            return next(calls)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, source, screen=fail)
    assert not (tmp_path / "out").exists()
    _, made = run(tmp_path, source)
    assert len(made) == 2


def test_a_folder_without_dicom_files_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no DICOM file. Next"):
        run(tmp_path, source)


def test_links_out_of_the_folder_are_refused(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside.dcm", picture())
    (source / "Quill.dcm").symlink_to(tmp_path / "outside.dcm")
    with pytest.raises(SourceError, match="leads out of it") as caught:
        run(tmp_path, source)
    assert "Quill" not in str(caught.value)


def test_what_stands_there_is_not_written_over(source: Path, tmp_path: Path) -> None:
    write(source / "a.dcm", picture())
    run(tmp_path, source)
    with pytest.raises(OutputExistsError):
        run(tmp_path, source)
    with pytest.raises(VaultError):
        deidentify_files(source, tmp_path / "x", tmp_path / "x" / "vault", screen=None)


def test_a_file_that_cannot_be_read_is_named_by_its_position(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(source / "Quill.dcm", picture())

    opened = Path.open

    def deny(path: Path, *how: Any, **options: Any) -> Any:
        if path.suffix == ".dcm":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *how, **options)

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(SourceError, match=r"^file 0 .*Permission denied\. Next") as caught:
        run(tmp_path, source)
    assert "Quill" not in str(caught.value)
    assert not (tmp_path / "out").exists()


# pydicom's own files.

# Texts that stay wherever they stand: the lists of what is kept, and the words of codes.
STAYING = {term.casefold() for terms in kept().terms.values() for term in terms}


def texts_of(dataset: Dataset) -> Iterator[str]:
    """Yield the texts of a data set that must not be in the bytes of the clean one."""
    pending = [dataset]
    while pending:
        for element in elements(pending.pop(), Budget()):
            pending.extend(element.items)
            if element.vr in ("DS", "IS", "AS", "TM") or fate(element.tag) == "body part":
                continue
            for text in texts(element):
                if element.vr == "UI" and UID(text).type:
                    continue
                if text.casefold() not in STAYING and not stays_as_code(element.name, text):
                    yield text


def stays_as_code(name: str, text: str) -> bool:
    if name == "CodeValue":
        return any(meaning(text, scheme) for scheme in ("DCM", "SCT", "SRT", "UCUM", "LN"))
    return name in ("CodeMeaning", "CodingSchemeDesignator", "DeidentificationMethod")


def opened_datasets() -> Iterator[tuple[Path, Dataset]]:
    for path in installed_files():
        try:
            with open_dicom(path) as opened:
                yield path, opened.dataset
        except ImageError:
            continue


def test_the_files_that_come_with_pydicom_are_cleaned_without_a_leak() -> None:
    cleaned, searched, leaks = 0, 0, []
    constant = as_bytes(deidentify_dataset(picture(), KEYS)).lower()
    for path, dataset in opened_datasets():
        try:
            data = as_bytes(deidentify_dataset(dataset, KEYS)).lower()
        except ImageError:
            continue
        cleaned += 1
        with quietly():
            said = {text.lower() for text in texts_of(dataset) if len(text) >= 5}
        searched += len(said)
        for how in ("utf-8", "utf-16-le"):
            coded = {text: text.encode(how, "replace") for text in said}
            leaks += [(path.name, t) for t, c in coded.items() if c in data and c not in constant]
    assert leaks == []
    assert cleaned >= 130
    assert searched >= 2200


@pytest.mark.filterwarnings("ignore")
def test_the_files_that_come_with_pydicom_are_written_and_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Grey and uncompressed RGB go through unchanged, by another reader's account."""
    reasons: Counter[str] = Counter()
    written, compared = 0, 0
    for path in installed_files():
        if path.suffix != ".dcm":
            continue
        source = tmp_path / path.stem
        source.mkdir()
        shutil.copy(path, source / "a.dcm")
        with caplog.at_level(logging.WARNING):
            report, made = run(source, source)
        assert caplog.text == ""
        reasons.update(r.reason for r in report.refused)
        for clean in made:
            with open_dicom(clean) as opened:
                assert open_frames(opened, LIMITS).shown(0).dtype == np.uint8
            original = pydicom.dcmread(path, force=True)
            if is_unchanged(original):
                assert np.array_equal(stored(original), stored(pydicom.dcmread(clean))), path.name
                compared += 1
            caplog.clear()
        written += len(made)
    assert set(reasons) == {"dicom_no_image", "unreadable"}
    assert written >= 55
    assert compared >= 15


def is_unchanged(original: Dataset) -> bool:
    syntax = original.file_meta.get("TransferSyntaxUID", UID(BASELINE))
    if syntax.is_encapsulated or original.PhotometricInterpretation not in SAME:
        return False
    if original.SamplesPerPixel == 1:
        return bool(original.BitsAllocated > 1)
    return bool(original.BitsAllocated == 8)


SAME = ("MONOCHROME1", "MONOCHROME2", "RGB")


def stored(dataset: Dataset) -> NDArray[Any]:
    return np.asarray(dataset.pixel_array)


def test_cleaning_leaves_no_private_word_in_a_whole_file(source: Path, tmp_path: Path) -> None:
    dataset = whole_slide()
    block = dataset.private_block(0x0011, "QUILLTEC", create=True)
    block.add_new(2, "LO", "private Quill")
    dataset.PatientComments = "Berta Quill came back"
    write(source / "Quill.dcm", dataset, np.stack([colours(n) for n in range(3)]))
    _, (path,) = run(tmp_path, source)
    data = path.read_bytes()
    assert data[:128] == bytes(128)
    for word in (b"Quill", b"QUILL", b"Berta", PATIENT.encode(), b"20210304", b"S21-5512"):
        assert word not in data
    assert pydicom.dcmread(io.BytesIO(data)).NumberOfFrames == 3
