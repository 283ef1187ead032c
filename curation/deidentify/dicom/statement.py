"""What a cleaned file says of its own cleaning, and its new file meta."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .codes import meaning
from .options import DicomOptions

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

METHOD = "PS3.15 basic profile and an allow-list of elements"


def state_methods(clean: Dataset, options: DicomOptions, *, dated: bool) -> None:
    """Record the methods applied in a clean data set; `dated`: there was a patient to date by."""
    from pydicom.dataset import Dataset

    moved = options.modified_dates and dated
    clean.SpecificCharacterSet = "ISO_IR 192"
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.LongitudinalTemporalInformationModified = "MODIFIED" if moved else "REMOVED"
    if options.clean_pixel_data:
        clean.BurnedInAnnotation = "NO"
    clean.DeidentificationMethodCodeSequence = []
    for code in _codes(options, moved):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = code, "DCM"
        item.CodeMeaning = meaning(code, "DCM")
        clean.DeidentificationMethodCodeSequence.append(item)


def _codes(options: DicomOptions, moved: bool) -> Iterator[str]:
    """Yield codes of context group 7050."""
    yield "113100"  # basic application confidentiality profile
    if options.clean_pixel_data:
        yield "113101"
    yield "113104"  # clean structured content
    if moved:
        yield "113107"
    if options.patient_characteristics:
        yield "113108"


def add_meta(clean: Dataset) -> None:
    """Give a clean data set the file meta and the preamble of a new file."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted when it is written
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    clean.file_meta = meta
    clean.preamble = bytes(128)
