from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicomanonymizer import dicom_anonymization_databases
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from curation.deidentify.dicom.check_digits import has_check_digit
from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.dicom.elements import elements, tag_name, texts
from curation.deidentify.dicom.identifiers import identifiers
from curation.deidentify.dicom.options import DicomOptions
from curation.deidentify.dicom.stream import Budget
from curation.deidentify.dicom.tables import PS3_15_EDITION, fate, kept, profile_actions
from curation.deidentify.vault import Vault
from curation.errors import ImageError, PolicyError
from tests.deidentify.dicom_made import (
    KEYS,
    MICROSCOPIC,
    PATIENT,
    PHOTOGRAPHIC,
    SECONDARY,
    as_bytes,
    as_file,
    code,
    every_element,
    item,
    picture,
    unchecked,
    whole_slide,
)


def clean(dataset: Dataset, **options: Any) -> Dataset:
    return deidentify_dataset(dataset, KEYS, DicomOptions(**options)).dataset


def said_at(dataset: Dataset, path: str) -> object:
    """Return what stands at a dotted path; of several items the first."""
    *holders, name = path.split(".")
    for holder in holders:
        dataset = dataset[holder].value[0]
    value = dataset.get(name)
    return list(value) if isinstance(value, pydicom.multival.MultiValue) else value


def is_in(text: str, data: bytes) -> bool:
    lower = data.lower()
    return any(text.lower().encode(how) in lower for how in ("utf-8", "utf-16-le", "utf-16-be"))


# What must go and what must stay, counted on both sides.

STAYS: dict[str, object] = {
    "Modality": "SM",
    "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6",
    "PatientSex": "F",
    "PatientAge": "067Y",
    "BodyPartExamined": "BLOOD",
    "Laterality": "L",
    "Manufacturer": "CellaVision",
    "SeriesNumber": 3,
    "InstanceNumber": 17,
    "SamplesPerPixel": 3,
    "PhotometricInterpretation": "RGB",
    "PlanarConfiguration": 0,
    "Rows": 24,
    "Columns": 32,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
    "NumberOfFrames": 3,
    "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO",
    "FocusMethod": "AUTO",
    "ExtendedDepthOfField": "NO",
    "SpecimenLabelInImage": "NO",
    "VolumetricProperties": "VOLUME",
    "DimensionOrganizationType": "TILED_FULL",
    "ImageOrientationSlide": [0, -1, 0, -1, 0, 0],
    "TotalPixelMatrixColumns": 96,
    "TotalPixelMatrixRows": 24,
    "ImagedVolumeWidth": 1.25,
    "ImagedVolumeHeight": 0.75,
    "ContainerTypeCodeSequence.CodeValue": "433466003",
    "ContainerTypeCodeSequence.CodingSchemeDesignator": "SCT",
    "ContainerTypeCodeSequence.CodeMeaning": "Microscope slide",
    "SpecimenDescriptionSequence.SpecimenTypeCodeSequence.CodeValue": "119376003",
    "SpecimenDescriptionSequence.PrimaryAnatomicStructureSequence.CodeMeaning": "Bone Marrow",
    "SpecimenDescriptionSequence.SpecimenPreparationSequence"
    ".SpecimenPreparationStepContentItemSequence.ValueType": "CODE",
    "SpecimenDescriptionSequence.SpecimenPreparationSequence"
    ".SpecimenPreparationStepContentItemSequence.ConceptNameCodeSequence.CodeValue": "424361007",
    "SpecimenDescriptionSequence.SpecimenPreparationSequence"
    ".SpecimenPreparationStepContentItemSequence.ConceptCodeSequence.CodeValue": "255803006",
    "SpecimenDescriptionSequence.SpecimenPreparationSequence.SpecimenPreparationStepContentItem"
    "Sequence.ConceptCodeSequence.CodeMeaning": "may-Grunwald giemsa stain",
    "OpticalPathSequence.OpticalPathIdentifier": "1",
    "OpticalPathSequence.ObjectiveLensPower": 100,
    "OpticalPathSequence.ObjectiveLensNumericalAperture": 1.25,
    "OpticalPathSequence.IlluminationTypeCodeSequence.CodeMeaning": "Brightfield illumination",
    "OpticalPathSequence.IlluminationColorCodeSequence.CodeValue": "371251000",
    "SharedFunctionalGroupsSequence.PixelMeasuresSequence.PixelSpacing": [0.000086, 0.000086],
    "SharedFunctionalGroupsSequence.WholeSlideMicroscopyImageFrameTypeSequence.FrameType": [
        "ORIGINAL", "PRIMARY", "VOLUME", "NONE"
    ],
    "PerFrameFunctionalGroupsSequence.PlanePositionSlideSequence"
    ".ColumnPositionInTotalImagePixelMatrix": 1,
    "PerFrameFunctionalGroupsSequence.PlanePositionSlideSequence"
    ".XOffsetInSlideCoordinateSystem": 1.5,
}  # fmt: skip


def full_of_names(dataset: Dataset) -> dict[str, str]:
    """Plant a text into every element of the standard that is not there yet; return them by name.

    Each is also planted within a kept sequence, a private one and a private sequence.
    """
    planted: dict[str, str] = {}
    nested, private = item(), item()
    for tag, vr, value, text in every_element():
        if tag not in dataset and tag >> 16 != 0x7FE0:
            with unchecked():
                dataset.add_new(tag, vr, value)
            planted[tag_name(tag)] = text
    for tag, vr, value, text in every_element(first=500_000):
        if vr in ("LO", "PN", "SH", "UT"):
            nested.add_new(tag, vr, value)
            private.add_new(tag, vr, value)
            planted[f"nested {tag_name(tag)}"] = text
    dataset.SpecimenDescriptionSequence[0].SpecimenPreparationSequence.append(nested)
    block = dataset.private_block(0x0009, "ZQX999001", create=True)
    block.add_new(1, "LO", "ZQX999002")
    block.add_new(2, "SQ", Items([private]))
    block.add_new(3, "UN", b"ZQX999003")
    dataset.add_new(0x60003000, "OW", b"ZQX999004 ")
    dataset.add_new(0x60000022, "LO", "ZQX999005")
    dataset.add_new(0x50000010, "LO", "ZQX999006")
    dataset.add_new(0xFFFCFFFC, "OB", b"ZQX999007 ")
    planted |= {f"carrier {n}": f"ZQX99900{n}" for n in range(1, 8)}
    return {name: text for name, text in planted.items() if text}


@pytest.mark.parametrize("sop_class", [MICROSCOPIC, PHOTOGRAPHIC, SECONDARY, "whole slide"])
def test_everything_that_must_go_goes_and_what_must_stay_stays(sop_class: str) -> None:
    dataset = whole_slide()
    if sop_class != "whole slide":
        dataset.SOPClassUID = sop_class
    planted = full_of_names(dataset)
    original = pydicom.dcmread(io.BytesIO(as_file(dataset)))
    original_id, original_date = dataset.SOPInstanceUID, dataset.StudyDate
    cleaned = deidentify_dataset(original, KEYS)
    data = as_bytes(cleaned)
    left = [name for name, text in planted.items() if is_in(text, data)]
    for text in (PATIENT, "Quill", "Berta", "S21-5512", original_id, original_date, "20210302"):
        left += [text] if is_in(text, data) else []
    stays = {**STAYS, "SOPClassUID": dataset.SOPClassUID}
    read = pydicom.dcmread(io.BytesIO(data))
    lost = [path for path, expected in stays.items() if said_at(read, path) != expected]
    assert len(planted) > 2900
    assert left == []
    assert len(lost) <= len(stays) // 100, lost


def test_every_number_that_stays_is_within_what_its_element_can_mean() -> None:
    dataset = whole_slide()
    full_of_names(dataset)
    data = as_bytes(deidentify_dataset(dataset, KEYS))
    cleaned = pydicom.dcmread(io.BytesIO(data))
    for element in cleaned.iterall():
        if element.keyword in kept().numbers and element.value not in (None, ""):
            low, high = kept().numbers[element.keyword]
            values = element.value if element.VM > 1 else [element.value]
            assert all(low <= value <= high for value in values), element.keyword


# The tables.


def test_the_tables_are_the_newest_that_the_package_has() -> None:
    folder = Path(dicom_anonymization_databases.__path__[0])
    assert max(path.stem for path in folder.glob("dicomfields_*.py")) == PS3_15_EDITION
    assert len(profile_actions()) > 600


# What PS3.15's basic profile removes and this keeps, in the way that an option of it describes.
BY_OPTION = {
    "113107 modified dates": kept().dates,
    "113108 patient characteristics": {"PatientSex", "PatientAge"},
    "113104 clean structured content": {
        "AcquisitionContextSequence", "ContentSequence", "SpecimenPreparationSequence",
        "ContextGroupVersion",
    },
    "D and U, keyed": set(kept().pseudonyms),
    "Z/U*, its UIDs replaced": {"ReferencedImageSequence", "SourceImageSequence"},
}  # fmt: skip


def test_nothing_that_the_basic_profile_removes_is_kept_without_an_option_for_it() -> None:
    allowed = set().union(*BY_OPTION.values())
    lists = (kept().sequences, kept().codes, kept().code_parts, kept().numbers, kept().terms)
    named = set().union(*lists, kept().dates, kept().pseudonyms, kept().pointers)
    listed = {tag_name(tag) for tag in profile_actions()}
    assert named & listed <= allowed


def test_every_name_of_the_list_is_in_the_dictionary_and_on_one_list_only() -> None:
    table = kept()
    lists: list[Any] = [getattr(table, name) for name in type(table).model_fields]
    names = [name for found in lists for name in found]
    assert [name for name in names if tag_for_keyword(name) is None] == []
    assert len(names) == len(set(names))


LIMITS_OF_VR = {
    "US": (0, 2**16 - 1), "UL": (0, 2**32 - 1), "SL": (-(2**31), 2**31 - 1),
    "US or SS": (-(2**15), 2**16 - 1), "IS": (-(2**31), 2**31 - 1),
}  # fmt: skip


def test_every_range_fits_the_vr_of_its_element() -> None:
    for name, (low, high) in kept().numbers.items():
        vr = dictionary_VR(tag_for_keyword(name) or 0)
        least, most = LIMITS_OF_VR.get(vr, (-1e6, 1e6))
        assert least <= low < high <= most, name


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (0x00090010, "private"), (0x60020022, "graphics"), (0x50FE0010, "graphics"),
        (0x00080018, "uid"), (0x00100030, "empty"), (0x00100040, "sex"), (0x00081030, "removed"),
        (0x00089999, "unknown"), (0x00080000, "removed"), (0x00181020, "unlisted"),
        (0x00280010, "number"), (0x7FE00010, "pixels"),
    ],
)  # fmt: skip
def test_what_becomes_of_an_element(tag: int, expected: str) -> None:
    assert fate(tag) == expected


# Values.


def test_intervals_between_the_dates_of_a_subject_survive_everywhere() -> None:
    first, second = whole_slide(), picture(StudyDate="20210318")
    made, later = clean(first), clean(second)
    step = made.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[0]
    processed = step.SpecimenPreparationStepContentItemSequence[1].DateTime
    days = [
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
        for text in (processed, made.StudyDate, made.AcquisitionDateTime, made.ContentDate,
                     later.StudyDate)
    ]  # fmt: skip
    assert [(day - days[0]).days for day in days] == [0, 2, 2, 3, 16]
    assert made.StudyDate != "20210304"
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"


def test_dates_move_otherwise_for_another_subject_and_another_key() -> None:
    here = clean(picture()).StudyDate
    assert clean(picture(PatientID="another")).StudyDate != here
    other = deidentify_dataset(picture(), Vault(Path("no vault"), bytes(32))).dataset
    assert other.StudyDate != here


@pytest.mark.parametrize(
    ("name", "said"),
    [("StudyInstanceUID", ["1.2.3", "1.2.4"]), ("StudyDate", ["20210304", "20210305"]),
     ("Modality", ["SM", "GM"]), ("Rows", [24, 24])],
)  # fmt: skip
def test_several_values_where_one_belongs_say_nothing(name: str, said: Any) -> None:
    assert not clean(picture(**{name: said})).get(name)


@pytest.mark.parametrize("name", ["SOPClassUID", "SOPInstanceUID"])
def test_several_names_of_one_object_are_refused(name: str) -> None:
    said: Any = [MICROSCOPIC, PHOTOGRAPHIC]
    dataset = picture(**{name: said})
    with pytest.raises(ImageError, match="SOPClassUID or SOPInstanceUID is missing"):
        clean(dataset)


def test_times_of_day_go() -> None:
    made = clean(picture(StudyTime="101502", AcquisitionDateTime="20210304101502.25+0100",
                         SeriesTime="101503", AcquisitionTime="101504"))  # fmt: skip
    assert len(made.AcquisitionDateTime) == 8
    assert not made.StudyTime
    assert "SeriesTime" not in made
    assert b"1015" not in as_bytes(deidentify_dataset(picture(StudyTime="101502"), KEYS))


@pytest.mark.parametrize("said", ["2021", "20211345", "2021-03-04", "Smith", "20210304-20210305"])
def test_what_is_no_day_is_no_date(said: str) -> None:
    assert not clean(picture(StudyDate=said)).StudyDate


def test_without_a_patient_there_are_no_dates_and_no_pseudonym() -> None:
    made = clean(picture(PatientID="", PatientName="Quill^Berta"))
    assert not made.StudyDate
    assert not made.PatientName
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    assert "113107" not in [c.CodeValue for c in made.DeidentificationMethodCodeSequence]


def test_pseudonyms_are_those_of_a_corpus() -> None:
    made = clean(whole_slide())
    assert made.PatientID == KEYS.pseudonym("subject", PATIENT)
    assert made.PatientName == made.PatientID
    assert made.ContainerIdentifier == KEYS.pseudonym("slide", "S21-5512-A")
    specimen = made.SpecimenDescriptionSequence[0]
    assert specimen.SpecimenIdentifier == KEYS.pseudonym("slide", "S21-5512")


def test_uids_are_replaced_alike_in_every_file_and_standard_ones_stay() -> None:
    reference = item(ReferencedSOPClassUID=MICROSCOPIC, ReferencedSOPInstanceUID="1.2.826.5.1")
    first = clean(picture())
    second = clean(picture(SOPInstanceUID="1.2.3", ReferencedImageSequence=Items([reference])))
    referred = second.ReferencedImageSequence[0]
    assert referred.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert referred.ReferencedSOPClassUID == MICROSCOPIC
    assert second.StudyInstanceUID == first.StudyInstanceUID
    assert first.SOPInstanceUID.startswith("2.25.")
    assert len(first.SOPInstanceUID) <= 64
    assert pydicom.uid.UID(first.SOPInstanceUID).is_valid


@pytest.mark.parametrize(
    ("said", "expected"),
    [("045Y", "045Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("011M", "011M"),
     ("45", None), ("Smit", None)],
)  # fmt: skip
def test_ages_from_ninety_on_are_one(said: str, expected: str | None) -> None:
    assert clean(picture(PatientAge=said)).get("PatientAge") == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Modality", "QUILL"), ("Manufacturer", "Dr Quill"), ("BodyPartExamined", "QUILL"),
        ("Laterality", "Q"), ("PatientSex", "QUILL"), ("ImageType", ["QUILL", "BERTA"]),
        ("SeriesNumber", 4471), ("InstanceNumber", 20210304), ("Rows", 0), ("PixelSpacing", [1e9]),
        ("FrameIncrementPointer", 0x00091001),
    ],
)  # fmt: skip
def test_a_kept_element_with_a_foreign_value_says_nothing(name: str, said: Any) -> None:
    assert not clean(picture(**{name: said})).get(name)


@pytest.mark.parametrize(("value", "vr"), [(-5, "SS"), (5, "US"), (40000, "US"), (-40000, None)])
def test_padding_values_of_either_sign(value: int, vr: str | None) -> None:
    dataset = picture()
    dataset.add_new(0x00280120, "SL", value)
    made = deidentify_dataset(dataset, KEYS)
    assert (made.dataset["PixelPaddingValue"].VR if vr else None) == vr
    assert as_bytes(made)


def test_numbers_are_written_anew_to_nine_digits() -> None:
    made = clean(picture(PixelSpacing=["0.000123456789123", " 1.50 "]))
    assert list(made.PixelSpacing) == [0.000123456789, 1.5]
    assert str(made["PixelSpacing"].value[1]) == "1.5"


# Codes.


@pytest.mark.parametrize(
    ("value", "scheme", "said", "expected"),
    [
        ("255803006", "SCT", "Quill", "may-Grunwald giemsa stain"),
        ("111744", "DCM", "Quill", "Brightfield illumination"),
        ("T-C2000", "SRT", "Quill", "Blood"),
        ("119297000", "SCT", "Blood specimen", "Blood specimen"),
        ("119297000", "SCT", "Specimen of Quill", None),
        ("119297001", "SCT", "Blood specimen", None),
        ("4471", "99HOSPITAL", "Blood", None),
        ("255803006", "QUILL", "Blood", None),
        ("Quill", "SCT", "Blood", None),
    ],
)
def test_codes_stay_that_are_known(
    value: str, scheme: str, said: str, expected: str | None
) -> None:
    found = clean(picture(AnatomicRegionSequence=Items([code(value, scheme, said)])))
    kept_items = list(found.get("AnatomicRegionSequence", ()))
    assert [entry.CodeMeaning for entry in kept_items] == ([expected] if expected else [])
    assert all(entry.CodeValue == value for entry in kept_items)


def test_the_check_digits_are_those_of_the_dictionary() -> None:
    from pydicom.sr import _concepts_dict

    for scheme, least in (("SCT", 7000), ("LN", 700)):
        entries: Any = _concepts_dict.concepts[scheme]
        codes = {value for found in entries.values() for value in found if value[:1].isdigit()}
        right = [value for value in codes if has_check_digit(value, scheme)]
        assert least < len(right) >= len(codes) - 2  # one of each is misprinted in the standard
        spoilt = [value[:-1] + str((int(value[-1]) + 1) % 10) for value in right]
        assert not any(has_check_digit(value, scheme) for value in spoilt)


def test_structured_content_keeps_codes_and_measures_and_loses_texts_and_names() -> None:
    number = item(
        ValueType="NUM", ConceptNameCodeSequence=Items([code("410668003", "SCT", "Length")]),
        MeasuredValueSequence=Items([item(
            NumericValue="2.5", MeasurementUnitsCodeSequence=Items([code("mm", "UCUM", "mm")]))]),
    )  # fmt: skip
    text = item(ValueType="TEXT", TextValue="Berta Quill came back")
    person = item(ValueType="PNAME", PersonName="Quill^Berta")
    day = item(ValueType="DATE", Date="20210301")
    report = picture(
        "1.2.840.10008.5.1.4.1.1.88.33", ContentSequence=Items([number, text, person, day])
    )
    found = clean(report).ContentSequence
    assert [entry.ValueType for entry in found] == ["NUM", "DATE"]
    assert found[0].MeasuredValueSequence[0].NumericValue == 2.5
    moved = clean(picture(StudyDate="20210301")).StudyDate
    assert found[1].Date == moved


# The whole data set.


def test_the_methods_applied_are_recorded() -> None:
    made = clean(picture(DeidentificationMethod="Dr Quill by hand"), clean_pixel_data=True)
    codes = [entry.CodeValue for entry in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113104", "113107", "113108"]
    assert all(entry.CodeMeaning for entry in made.DeidentificationMethodCodeSequence)
    assert made.PatientIdentityRemoved == "YES"
    assert "Quill" not in made.DeidentificationMethod
    bare = clean(picture(PatientSex="F"), modified_dates=False, patient_characteristics=False)
    codes = [entry.CodeValue for entry in bare.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113104"]
    assert not bare.StudyDate
    assert not bare.PatientSex


def test_the_file_meta_and_the_preamble_are_new() -> None:
    dataset = picture()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.ImplementationVersionName = "QUILL_1"
    dataset.file_meta.SourceApplicationEntityTitle = "QUILL_2"
    dataset.file_meta.PrivateInformationCreatorUID = pydicom.uid.UID("1.2.826.5.8")
    dataset.file_meta.PrivateInformation = b"QUILL_3 "
    original = pydicom.dcmread(io.BytesIO(as_file(dataset, preamble=b"QUILL_4 " * 16)))
    data = as_bytes(deidentify_dataset(original, KEYS))
    assert b"QUILL" not in data
    assert data[:132] == bytes(128) + b"DICM"
    assert b"1.2.826.5" not in data
    assert pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID.is_little_endian


def test_unknown_elements_are_named_and_left_out() -> None:
    dataset = picture()
    dataset.add_new(0x00099910, "LO", "Quill")
    dataset.add_new(0x00189988, "LO", "Quill")
    found = deidentify_dataset(dataset, KEYS)
    assert found.unknown == ("(0018,9988)",)
    assert b"Quill" not in as_bytes(found)


def test_elements_can_be_refused_by_name() -> None:
    dataset = picture(SoftwareVersions="Quill 3")
    dataset.private_block(0x0009, "Quill", create=True).add_new(1, "LO", "Berta")
    with pytest.raises(PolicyError, match=r"\(private\): \(0009,0010\), \(0009,1001\)\. Next"):
        clean(dataset, private="refuse")
    with pytest.raises(PolicyError, match=r"\(unlisted\): SoftwareVersions\. Next"):
        clean(dataset, unlisted_standard="refuse")
    clean(whole_slide(), unlisted_standard="refuse")


@pytest.mark.parametrize("sop_class", ["1.2.826.5.6.7", "1.2.840.10008.1.2.1", ""])
def test_objects_that_are_not_of_the_standard_are_refused(sop_class: str) -> None:
    with pytest.raises(ImageError, match="unreadable|dicom_unsupported"):
        clean(picture(sop_class))


def test_the_original_is_left_as_it_is() -> None:
    dataset = whole_slide()
    before = as_file(dataset)
    clean(dataset)
    assert as_file(dataset) == before


# Identifiers.


def all_texts(dataset: Dataset) -> Iterator[str]:
    pending = [dataset]
    while pending:
        for element in elements(pending.pop(), Budget()):
            pending.extend(element.items)
            yield from texts(element)


def test_identifiers_name_everything_that_goes() -> None:
    dataset = whole_slide()
    dataset.InstitutionName, dataset.StudyDescription = "St Quill", "Blood smear"
    dataset.StudyTime = "101502"
    dataset.private_block(0x0009, "QuillTec", create=True).add_new(1, "UN", b"\x00\x01Berta Q\xff")
    dataset.SpecimenDescriptionSequence[0].SpecimenShortDescription = "Berta's marrow"
    found = list(identifiers(dataset))
    assert ("dicom:PatientID", PATIENT) in found
    assert {text for kind, text in found if kind == "dicom:PatientName"} == {
        "Quill^Berta", "Quill", "Berta"
    }  # fmt: skip
    assert ("dicom:InstitutionName", "St Quill") in found
    assert ("dicom:StudyDate", "20210304") in found
    assert ("dicom:AcquisitionDateTime", "20210304") in found
    assert ("dicom:SpecimenDescriptionSequence.SpecimenIdentifier", "S21-5512") in found
    assert ("dicom:SpecimenDescriptionSequence.SpecimenShortDescription", "Berta's marrow") in found
    assert ("dicom:(0009,0010)", "QuillTec") in found
    assert ("dicom:(0009,1001)", "Berta Qÿ") in found
    assert ("dicom:SOPInstanceUID", "1.2.826.5.1") in found
    assert len(found) == len(set(found))


def test_what_identifies_nobody_is_no_identifier() -> None:
    dataset = whole_slide()
    dataset.StudyDescription, dataset.StudyTime = "Blood smear", "101502"
    dataset.ReferringPhysicianName, dataset.StudyComments = "", " "
    found = {text for _, text in identifiers(dataset)}
    for text in ("Blood smear", "101502", "SM", "F", "067Y", "CellaVision", "3", "", MICROSCOPIC,
                 "may-Grunwald giemsa stain", "255803006", "0.000086", "VOLUME"):  # fmt: skip
        assert text not in found


def test_a_foreign_value_of_a_kept_element_is_an_identifier() -> None:
    dataset = picture(Modality="QUILL", BodyPartExamined="BERTA")
    found = list(identifiers(dataset))
    assert ("dicom:Modality", "QUILL") in found
    assert ("dicom:BodyPartExamined", "BERTA") in found


def test_no_identifier_is_left_in_the_clean_file() -> None:
    dataset = whole_slide()
    full_of_names(dataset)
    data = as_bytes(deidentify_dataset(dataset, KEYS))
    found = [text for _, text in identifiers(dataset) if len(text) >= 5]
    assert len(found) > 2500
    assert [text for text in found if is_in(text, data)] == []


def test_nothing_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    dataset = picture(PatientAge="Quill", StudyDate="Quill", SeriesInstanceUID="Quill")
    with caplog.at_level(logging.DEBUG):
        original = as_file(dataset)
        caplog.clear()
        read = pydicom.filereader.read_dataset(io.BytesIO(original[132:]), False, True)
        deidentify_dataset(read, KEYS)
        list(identifiers(read))
    assert "Quill" not in caplog.text
