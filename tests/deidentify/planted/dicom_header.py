"""Planting in the header of a DICOM file: names, numbers, days, sequences, private elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from .fact import Fact, go
from .invented import Invented

CARRIER = "DICOM"
NAMES = (
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy", "RequestingPhysician", "ResponsiblePerson",
    "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "ScheduledPerformingPhysicianName", "ContentCreatorName", "ReviewerName",
)  # fmt: skip
_NUMBERS = (
    "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "IssuerOfPatientID",
    "PerformedProcedureStepID", "RequestedProcedureID", "MedicalRecordLocator",
    "FillerOrderNumberImagingServiceRequest", "PlacerOrderNumberImagingServiceRequest",
    "BarcodeValue", "MilitaryRank", "Occupation",
)  # fmt: skip
WORDS = (
    "StudyDescription", "SeriesDescription", "RequestedProcedureDescription", "ProtocolName",
    "PerformedProcedureStepDescription", "ImageComments", "PatientComments", "Allergies",
    "AdditionalPatientHistory", "AcquisitionComments", "DerivationDescription", "VisitComments",
    "RegionOfResidence", "CurrentPatientLocation", "InstitutionalDepartmentName",
    "ContrastBolusAgent", "TextString", "CommentsOnThePerformedProcedureStep", "PatientState",
    "ContentDescription", "LensMake", "FrameComments", "SpecialNeeds",
)  # fmt: skip
PLACES = ("InstitutionAddress", "PatientAddress", "CountryOfResidence")
DEVICES = (
    "DeviceSerialNumber", "StationName", "GantryID", "DetectorID", "PlateID", "CassetteID",
    "PerformedStationName", "DeviceID", "ManufacturerModelName",
)  # fmt: skip
_DAYS = (
    "PatientBirthDate", "SeriesDate", "ContentDate", "InstanceCreationDate", "AdmittingDate",
    "LastMenstrualDate", "PerformedProcedureStepStartDate", "ScheduledStudyStartDate",
)  # fmt: skip
_UIDS = ("FrameOfReferenceUID", "DeviceUID", "ConcatenationUID", "StorageMediaFileSetUID",
         "TransactionUID", "SynchronizationFrameOfReferenceUID")  # fmt: skip


def person(name: str) -> str:
    """Return a name as DICOM writes it."""
    return name.replace(", ", "^")


def plant_header(dataset: Dataset, invented: Invented) -> list[Fact]:
    """Fill a data set with elements that must not leave; return what is in them."""
    makers: dict[tuple[str, ...], Callable[[], str]] = {
        NAMES: lambda: person(invented.name()),
        _NUMBERS: invented.number,
        WORDS: lambda: person(invented.name()),
        PLACES: invented.address,
        DEVICES: invented.serial,
        _DAYS: lambda: f"{invented.far_day():%Y%m%d}",
        _UIDS: invented.uid,
    }
    facts = []
    for names, make in makers.items():
        for name in names:
            facts.append(_set(dataset, name, make()))
    facts += _misplaced(dataset, invented)
    facts += _times(dataset, invented)
    facts += _sequences(dataset, invented)
    facts += _private(dataset, invented)
    return [*facts, *_groups(dataset, invented)]


def _set(dataset: Dataset, name: str, text: str, where: str = "") -> Fact:
    setattr(dataset, name, text)
    return go(CARRIER, where + name, text)


def _misplaced(dataset: Dataset, invented: Invented) -> list[Fact]:
    """Plant in elements that stay where they say what they should: someone typed elsewhere."""
    digits = [invented.number()[4:] for _ in range(6)]
    dataset.BodyPartExamined = f"QV {digits[0]}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", f"QV {digits[1]}"]
    dataset.SeriesNumber = int(digits[2])
    dataset.AcquisitionNumber = int(digits[3])
    dataset.Manufacturer = f"Quill & Sons {digits[4]}"
    dataset.OpticalPathIdentifier = f"QV{digits[5]}"
    names = ("BodyPartExamined", "ImageType", "SeriesNumber", "AcquisitionNumber", "Manufacturer",
             "OpticalPathIdentifier")  # fmt: skip
    return [go(CARRIER, f"{n} (misused)", d) for n, d in zip(names, digits, strict=True)]


def _times(dataset: Dataset, invented: Invented) -> list[Fact]:
    facts = []
    for number, name in enumerate(("StudyTime", "SeriesTime", "ContentTime", "PatientBirthTime")):
        text = f"1{number}5947.{invented.number()[-6:]}"
        facts.append(_set(dataset, name, text))
    day = f"{invented.far_day():%Y%m%d}"
    dataset.FrameAcquisitionDateTime = f"{day}101112.123456"
    return [*facts, go(CARRIER, "FrameAcquisitionDateTime", day)]


SEQUENCES = {
    "number": (
        "OtherPatientIDsSequence.PatientID", "ContributingEquipmentSequence.DeviceSerialNumber",
        "AnatomicRegionSequence.CodeValue", "GroupOfPatientsIdentificationSequence.PatientID",
        "IssuerOfAccessionNumberSequence.LocalNamespaceEntityID",
    ),
    "person": (
        "RequestAttributesSequence.RequestedProcedureDescription",
        "OriginalAttributesSequence.ModifiedAttributesSequence.PatientName",
        "OriginalAttributesSequence.SourceOfPreviousValues",
        "ContributingEquipmentSequence.OperatorsName", "ContentSequence.PersonName",
        "ContentSequence.ContentSequence.TextValue",
        "SpecimenDescriptionSequence.SpecimenShortDescription",
        "SpecimenDescriptionSequence.SpecimenPreparationSequence"
        ".SpecimenPreparationStepContentItemSequence.TextValue",
        "AnatomicRegionSequence.CodeMeaning", "PerformedProtocolCodeSequence.CodeMeaning",
        "OpticalPathSequence.OpticalPathDescription", "AcquisitionContextSequence.PersonName",
        "ReferencedStudySequence.PurposeOfReferenceCodeSequence.CodeMeaning",
    ),
    "uid": (
        "ReferencedStudySequence.ReferencedSOPInstanceUID",
        "SpecimenDescriptionSequence.SpecimenUID",
        "ReferencedImageSequence.ReferencedSOPInstanceUID",
    ),
}  # fmt: skip
_BESIDE = {
    "ContentSequence.ValueType": "PNAME", "ContentSequence.ContentSequence.ValueType": "TEXT",
    "AnatomicRegionSequence.CodingSchemeDesignator": "99QV",
    "PerformedProtocolCodeSequence.CodeValue": "1",
    "ReferencedImageSequence.ReferencedSOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
}  # fmt: skip


def _sequences(dataset: Dataset, invented: Invented) -> list[Fact]:
    """Plant in sequences, and in sequences in those."""
    makers = {"number": invented.number, "person": lambda: person(invented.name()),
              "uid": invented.uid}  # fmt: skip
    for path, value in _BESIDE.items():
        set_below(dataset, path, value)
    facts = []
    for kind, paths in SEQUENCES.items():
        for path in paths:
            text = makers[kind]()
            set_below(dataset, path, text)
            facts.append(go(CARRIER, path, text))
    return facts


def set_below(dataset: Dataset, path: str, value: str) -> None:
    """Set an element by its dotted keyword, in the first item of each sequence on the way."""
    *sequences, name = path.split(".")
    for sequence in sequences:
        if sequence not in dataset:
            setattr(dataset, sequence, Items([Dataset()]))
        dataset = dataset[sequence][0]
    setattr(dataset, name, value)


def _item(**said: Any) -> Dataset:
    made = Dataset()
    for name, value in said.items():
        setattr(made, name, value)
    return made


def _private(dataset: Dataset, invented: Invented) -> list[Fact]:
    """Plant in elements of a vendor's own."""
    texts = {name: invented.name() for name in ("creator", "text", "sequence", "unknown VR")}
    texts |= {"bytes": invented.number(), "a number as text": invented.number()}
    block = dataset.private_block(0x0009, texts["creator"], create=True)
    block.add_new(0x01, "LO", texts["text"])
    block.add_new(0x02, "SQ", Items([_item(PatientName=texts["sequence"])]))
    block.add_new(0x03, "UN", _even(texts["unknown VR"]))
    block.add_new(0x04, "OB", _even(texts["bytes"]))
    block.add_new(0x05, "SH", texts["a number as text"])
    return [go(CARRIER, f"private {where}", text) for where, text in texts.items()]


def _groups(dataset: Dataset, invented: Invented) -> list[Fact]:
    """Plant in overlays, curves, icons and what files of the last century have."""
    overlay, words, second = invented.name(), person(invented.name()), person(invented.name())
    curve, points, icon = person(invented.name()), invented.name(), invented.name()
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60000011, "US", 8)
    dataset.add_new(0x60000022, "LO", words)
    dataset.add_new(0x60003000, "OB", _even(overlay))
    dataset.add_new(0x60020022, "LO", second)
    dataset.add_new(0x50000022, "LO", curve)
    dataset.add_new(0x50003000, "OB", _even(points))
    picture = _item(Rows=8, Columns=len(_even(icon)), PixelData=_even(icon) * 8)
    picture["PixelData"].VR = "OB"
    dataset.IconImageSequence = Items([picture])
    texts = {"overlay data": overlay, "overlay description": words, "a second overlay": second,
             "curve description": curve, "curve data": points, "icon": icon}  # fmt: skip
    return [go(CARRIER, where, text) for where, text in texts.items()]


def _even(text: str) -> bytes:
    raw = text.encode()
    return raw + b" " * (len(raw) % 2)
