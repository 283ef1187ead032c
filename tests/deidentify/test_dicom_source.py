from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.errors import SourceError
from curation.pixels import Limits
from curation.sources.dicom_file import (
    dicom_identifiers,
    dicom_pictures,
    is_dicom,
    read_dicom_pictures,
)
from tests.deidentify.dicom_made import (
    BASELINE,
    PATIENT,
    colours,
    installed_files,
    jpeg,
    picture,
    whole_slide,
    write,
)


def tiles(path: Path) -> Path:
    return write(path, whole_slide(), np.stack([colours(n) for n in range(3)]))


def test_a_file_is_as_many_pictures_as_it_has_frames(tmp_path: Path) -> None:
    found = list(dicom_pictures(tiles(tmp_path / "a.dcm")))
    assert [picture.frame for picture in found] == [0, 1, 2]
    assert {picture.problem for picture in found} == {None}
    assert found[0].fields is found[2].fields
    assert found[0].fields["dicom:PatientID"] == PATIENT
    assert found[0].fields["dicom:SpecimenDescriptionSequence.SpecimenIdentifier"] == "S21-5512"
    assert found[0].fields["dicom:SpecimenDescriptionSequence"] is None


def test_chosen_frames_are_read(tmp_path: Path) -> None:
    found = list(read_dicom_pictures(tiles(tmp_path / "a.dcm"), [2, 0]))
    assert np.array_equal(np.asarray(found[0].pixels), colours(2))
    assert np.array_equal(np.asarray(found[1].pixels), colours(0))
    assert found[0].data is None


def test_a_jpeg_frame_comes_as_bytes_and_a_damaged_one_as_a_problem(tmp_path: Path) -> None:
    dataset = picture(PhotometricInterpretation="YBR_FULL_422", NumberOfFrames=2)
    frames = [jpeg(colours()), jpeg(colours())[:300]]
    path = write(tmp_path / "a.dcm", dataset, frames, BASELINE)
    good, bad = read_dicom_pictures(path, [0, 1])
    assert good.data is not None
    assert good.data.startswith(b"\xff\xd8")
    assert (bad.data, bad.pixels, bad.problem) == (None, None, "unreadable")


@pytest.mark.parametrize(
    ("name", "problem"), [("test-SR.dcm", "dicom_no_image"), ("MR_truncated.dcm", "unreadable")]
)
def test_a_file_without_pictures_is_one_problem(name: str, problem: str) -> None:
    path = next(path for path in installed_files() if path.name == name)
    (found,) = dicom_pictures(path)
    assert found.problem == problem
    (read,) = read_dicom_pictures(path, [found.frame or 0])
    assert read.problem == problem


def test_labels_say_what_they_are_and_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", picture(ImageType=["ORIGINAL", "PRIMARY", "LABEL"]))
    (found,) = dicom_pictures(path)
    assert found.problem == "slide_label_image"
    assert found.fields["dicom:PatientID"] == PATIENT
    assert [image.pixels for image in read_dicom_pictures(path, [0])] == [None]


def test_limits_hold(tmp_path: Path) -> None:
    (found,) = dicom_pictures(tiles(tmp_path / "a.dcm"), Limits(min_side_px=100))
    assert found.problem == "too_small"


def test_identifiers_of_header_and_file_meta(tmp_path: Path) -> None:
    found = dict(dicom_identifiers(tiles(tmp_path / "a.dcm")))
    assert found["dicom:PatientID"] == PATIENT
    assert found["dicom:MediaStorageSOPInstanceUID"] == "1.2.826.5.1"
    (tmp_path / "b.dcm").write_bytes(b"x")
    assert list(dicom_identifiers(tmp_path / "b.dcm")) == []


def test_a_file_that_is_gone_is_named_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "Quill.dcm"
    for read in (
        lambda: list(dicom_pictures(path)),
        lambda: list(read_dicom_pictures(path, [0], position=7)),
        lambda: list(dicom_identifiers(path)),
    ):
        with pytest.raises(SourceError, match="No such file") as caught:
            read()
        assert "Quill" not in str(caught.value)
    with pytest.raises(SourceError, match="^file 7 "):
        list(read_dicom_pictures(path, [0], position=7))
    assert is_dicom(path)
