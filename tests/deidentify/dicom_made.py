"""Made DICOM files: pictures of cells with everything around them that a hospital writes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom._dicom_dict import DicomDictionary
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from curation.deidentify.dicom.clean import CleanDataset
from curation.deidentify.vault import Vault
from curation.pixels import Limits

IMPLICIT, EXPLICIT, DEFLATED, BIG = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2"))
BASELINE, JPEG_LS, JPEG_2000, HTJ2K, RLE = (
    f"1.2.840.10008.1.2{end}" for end in (".4.50", ".4.80", ".4.90", ".4.201", ".5")
)
MICROSCOPIC, PHOTOGRAPHIC, SECONDARY, WHOLE_SLIDE = (
    f"1.2.840.10008.5.1.4.1.1{end}" for end in (".77.1.2", ".77.1.4", ".7", ".77.1.6")
)
KEYS = Vault(Path("no vault"), bytes(range(32)))
LIMITS = Limits(min_side_px=1)
PATIENT = "MRN-4471-Q"
ROWS, COLUMNS = 24, 32
# VR -> a text of its own for number n; what a person could have typed, or a device written.
_TEXTS = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "AE", "CS"), "ZQX{:06d}"),
    "PN": "ZQX{:06d}^ANN", "UR": "http://ZQX{:06d}.org", "UI": "1.2.826.77.1{:06d}",
    "DA": "19{:02d}0317", "DT": "19{:02d}0317101112", "IS": "87{:06d}", "DS": "87{:06d}.5",
    "AS": "{:03d}Q",
}  # fmt: skip
_NUMBER_VRS = ("UL", "SL", "FD", "FL")


def colours(seed: int = 0, rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Return smooth colours, (rows, columns, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC))


def jpeg(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    """Return pixels as the JPEG that Pillow writes."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


def picture(sop_class: str = MICROSCOPIC, **said: Any) -> Dataset:
    """Return a data set of one RGB picture; `said` are further elements, or others."""
    dataset = Dataset()
    elements: dict[str, Any] = {
        "SOPClassUID": sop_class, "SOPInstanceUID": "1.2.826.5.1", "StudyInstanceUID": "1.2.826.5",
        "SeriesInstanceUID": "1.2.826.5.2", "Modality": "SM", "PatientID": PATIENT,
        "PatientName": "Quill^Berta", "StudyDate": "20210304", "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Rows": ROWS,
        "Columns": COLUMNS, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0, "BurnedInAnnotation": "NO",
    }  # fmt: skip
    with unchecked():
        for name, value in {**elements, **said}.items():
            setattr(dataset, name, value)
    return dataset


@contextmanager
def unchecked() -> Iterator[None]:
    """Let pydicom write what is against the standard without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def item(**said: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = Dataset()
    for name, value in said.items():
        setattr(dataset, name, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return the item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def write(
    path: Path,
    dataset: Dataset,
    frames: NDArray[Any] | Sequence[bytes] | None = None,
    syntax: str = EXPLICIT,
    *,
    vr: str | None = None,
) -> Path:
    """Write a data set with frames: an array as it is stored, or encoded frames."""
    uid = UID(syntax)
    if frames is None:
        frames = colours()
    if isinstance(frames, np.ndarray):
        value, wide = frames.tobytes(), frames.dtype.itemsize > 1
    else:
        value, wide = encapsulate(list(frames)), False
    dataset.add_new(0x7FE00010, vr or ("OW" if wide else "OB"), value + bytes(len(value) % 2))
    dataset["PixelData"].is_undefined_length = uid.is_encapsulated
    path.write_bytes(as_file(dataset, syntax))
    return path


def as_file(dataset: Dataset, syntax: str = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    """Return a data set as the bytes of a file."""
    uid = UID(syntax)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", UID(MICROSCOPIC))
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", UID("1.2.826.5.1"))
    meta.TransferSyntaxUID, meta.ImplementationClassUID = uid, UID("1.2.826.5.9")
    meta.update(getattr(dataset, "file_meta", {}))
    dataset.file_meta, dataset.preamble = meta, preamble
    out = io.BytesIO()
    with unchecked():
        dcmwrite(out, dataset, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian)
    return out.getvalue()


def as_bytes(clean: CleanDataset) -> bytes:
    """Return a cleaned data set as it is written."""
    out = io.BytesIO()
    dcmwrite(out, clean.dataset, implicit_vr=False, little_endian=True)
    return out.getvalue()


def every_element(first: int = 1) -> Iterator[tuple[int, str, Any, str]]:
    """Yield (tag, VR, value, text) for every element of the standard that can hold a text.

    Numbers are large ones, as a record number is.
    """
    number = first
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        if tag >> 16 in (0x0000, 0x0002, 0xFFFE) or tag == 0x00080005:
            continue
        text = _TEXTS.get(vr, "").format(number % 100 if vr in ("DA", "DT") else number)
        if vr in _NUMBER_VRS:
            yield tag, vr, 870_000_000 + number, ""
        elif text:
            yield tag, vr, text, text
        number += 1


def installed_files() -> list[Path]:
    """Return the DICOM files, and some that are none, that come with pydicom."""
    return [path for name in sorted(get_testdata_files()) if (path := Path(name)).is_file()]


def whole_slide(frames: int = 3) -> Dataset:
    """Return a tiled whole-slide picture with all that must stay of it."""
    stain = item(
        ValueType="CODE",
        ConceptNameCodeSequence=Items([code("424361007", "SCT", "Using substance")]),
        ConceptCodeSequence=Items([code("255803006", "SCT", "may-Grunwald giemsa stain")]),
    )
    made = item(
        ValueType="DATETIME",
        ConceptNameCodeSequence=Items([code("111702", "DCM", "Processing date")]),
        DateTime="20210302081500",
    )
    specimen = item(
        SpecimenIdentifier="S21-5512",
        SpecimenUID="1.2.826.5.7",
        SpecimenTypeCodeSequence=Items([code("119376003", "SCT", "Tissue specimen")]),
        SpecimenPreparationSequence=Items(
            [item(SpecimenPreparationStepContentItemSequence=Items([stain, made]))]
        ),
        PrimaryAnatomicStructureSequence=Items([code("14016003", "SCT", "Bone marrow")]),
    )
    light = item(
        OpticalPathIdentifier="1",
        ObjectiveLensPower="100",
        ObjectiveLensNumericalAperture="1.25",
        IlluminationTypeCodeSequence=Items([code("111744", "DCM", "Brightfield illumination")]),
        IlluminationColorCodeSequence=Items([code("371251000", "SCT", "White color")]),
    )
    shared = item(
        PixelMeasuresSequence=Items([item(PixelSpacing=["0.000086", "0.000086"])]),
        WholeSlideMicroscopyImageFrameTypeSequence=Items(
            [item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
        ),
    )
    places = [
        item(
            PlanePositionSlideSequence=Items(
                [
                    item(
                        XOffsetInSlideCoordinateSystem="1.5",
                        ColumnPositionInTotalImagePixelMatrix=1 + number * COLUMNS,
                        RowPositionInTotalImagePixelMatrix=1,
                    )
                ]
            )
        )
        for number in range(frames)
    ]
    return picture(
        WHOLE_SLIDE, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], NumberOfFrames=frames,
        TotalPixelMatrixColumns=COLUMNS * frames, TotalPixelMatrixRows=ROWS,
        ImagedVolumeWidth=1.25, ImagedVolumeHeight=0.75, FocusMethod="AUTO",
        ExtendedDepthOfField="NO", SpecimenLabelInImage="NO", VolumetricProperties="VOLUME",
        DimensionOrganizationType="TILED_FULL",
        ImageOrientationSlide=["0", "-1", "0", "-1", "0", "0"],
        ContainerIdentifier="S21-5512-A", LossyImageCompression="00", Manufacturer="CellaVision",
        ContainerTypeCodeSequence=Items([code("433466003", "SCT", "Microscope slide")]),
        AcquisitionDateTime="20210304093012.5+0100", ContentDate="20210305",
        SpecimenDescriptionSequence=Items([specimen]), OpticalPathSequence=Items([light]),
        SharedFunctionalGroupsSequence=Items([shared]),
        PerFrameFunctionalGroupsSequence=Items(places), PatientSex="F", PatientAge="067Y",
        BodyPartExamined="BLOOD", Laterality="L", SeriesNumber=3, InstanceNumber=17,
    )  # fmt: skip
