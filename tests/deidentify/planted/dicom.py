"""DICOM files of two patients: planted in headers, around the pixels and in unused bits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from .cells import SIDE, cell, decoded, encoded
from .dicom_header import CARRIER, person, plant_header
from .exif import planted_profile
from .expected import Cell, facts_of_cells, facts_of_groups, label_of
from .fact import Array, Check, Fact, go, stay
from .invented import Invented
from .jpeg import parts_of, segment
from .outcome import Outcome
from .tables import Part

_EXPLICIT, _BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
_MICROSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.2"
_LENSES = (20, 100)


@dataclass(slots=True)
class _File:
    """A file in the making: its data set, what it shows, and what is planted in it."""

    where: str
    dataset: Dataset
    shown: list[Array]
    says: dict[str, str | float]
    facts: list[Fact] = field(default_factory=list)
    syntax: str = _EXPLICIT
    preamble: bytes = bytes(128)
    behind: bytes = b""
    levels: int = 0
    scan: bytes = b""


def write_dicom_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write class folders of DICOM files."""
    cells: list[Cell] = []
    facts: list[Fact] = []
    files = list(_files(invented, seed))
    for number, made in enumerate(files):
        label = label_of(number)
        made.dataset.InstanceNumber = number + 1
        _plant_meta(made, invented)
        name = invented.name().replace(", ", "_")
        facts += [*made.facts, go("file names", f"of DICOM {made.where}", name)]
        (folder / label).mkdir(parents=True, exist_ok=True)
        _write(made, folder / label / f"{name}.dcm")
        for frame, shown in enumerate(made.shown):
            where = made.where if len(made.shown) == 1 else f"{made.where} frame {frame}"
            cells.append(Cell(CARRIER, where, shown, label, made.levels, made.scan,
                              subject=made.dataset.PatientID,
                              slide=made.dataset.ContainerIdentifier, says=made.says))  # fmt: skip
    facts += facts_of_cells(cells)
    facts += facts_of_groups(CARRIER, cells)
    facts += _facts_of_cleaned(files)
    return Part(folder, tuple(cells), tuple(facts))


@dataclass(frozen=True, slots=True)
class _Patient:
    number: str
    name: str
    sex: str
    age: str
    says: dict[str, str | float]


def _files(invented: Invented, seed: int) -> Iterator[_File]:
    patients = (
        _Patient(invented.number(), person(invented.name()), "F", "093Y",
                 {"sex": "female", "age_band": "90+"}),
        _Patient(invented.number(), person(invented.name()), "M", "047Y",
                 {"sex": "male", "age_band": "40-49"}),
    )  # fmt: skip
    yield _with_full_header(patients[0], invented, seed)
    yield _plain(patients[0], "a second slide", invented, seed + 1)
    yield _plain(patients[1], "another patient", invented, seed + 2)
    yield _high_bits(patients[1], invented, seed + 3)
    yield _jpeg_frame(patients[1], invented, seed + 4)
    yield _frames(patients[0], invented, seed + 5)
    yield _longer(patients[0], invented, seed + 9)
    yield _with_profile(patients[1], invented, seed + 10)
    yield _label_image(patients[1], invented, seed + 11)


def _plain(patient: _Patient, where: str, invented: Invented, seed: int) -> _File:
    """Return a file of one RGB frame with what every file says."""
    day, slide, place = invented.far_day(), invented.accession(), invented.address()
    uids = {name: invented.uid() for name in ("StudyInstanceUID", "SeriesInstanceUID",
                                              "SOPInstanceUID")}  # fmt: skip
    lens = _LENSES[seed % 2]
    said: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": _MICROSCOPIC, "Modality": "GM",
        "PatientID": patient.number, "PatientName": patient.name, "PatientSex": patient.sex,
        "PatientAge": patient.age, "InstitutionName": place, "ContainerIdentifier": slide,
        "StudyDate": f"{day:%Y%m%d}", "AcquisitionDateTime": f"{day:%Y%m%d}091011",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME"], "ObjectiveLensPower": lens,
        "PixelSpacing": [0.00025, 0.00025], "LossyImageCompression": "00",
        "BurnedInAnnotation": "NO", "Manufacturer": "CellaVision", **uids,
    }  # fmt: skip
    dataset = Dataset()
    for name, value in said.items():
        setattr(dataset, name, value)
    pixels = cell(seed)
    _set_pixels(dataset, pixels)
    texts = {"PatientID": patient.number, "PatientName": patient.name, "InstitutionName": place,
             "ContainerIdentifier": slide, "StudyDate": f"{day:%Y%m%d}", **uids}  # fmt: skip
    facts = [go(CARRIER, f"{name} of {where}", text) for name, text in texts.items()]
    says = {**patient.says, "acquisition_year": str(day.year), "magnification": float(lens)}
    return _File(where, dataset, [pixels], says, facts)


def _set_pixels(dataset: Dataset, pixels: Array, **more: Any) -> None:
    said: dict[str, Any] = {
        "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0,
        "Rows": SIDE, "Columns": SIDE, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0, "PixelData": pixels.tobytes(), **more,
    }  # fmt: skip
    for name, value in said.items():
        setattr(dataset, name, value)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"


def _with_full_header(patient: _Patient, invented: Invented, seed: int) -> _File:
    made = _plain(patient, "a full header", invented, seed)
    made.facts += plant_header(made.dataset, invented)
    preamble, padding, behind = invented.plain_name(), invented.number(), invented.number()
    made.preamble = preamble.encode().ljust(128, b" ")
    made.dataset.add_new(0xFFFCFFFC, "OB", padding.encode() + bytes(2))
    made.behind = behind.encode()
    texts = {"preamble": preamble, "trailing padding": padding, "behind the data set": behind}
    made.facts += [go(CARRIER, where, text) for where, text in texts.items()]
    return made


def _high_bits(patient: _Patient, invented: Invented, seed: int) -> _File:
    """Return a file with a text in the four bits of each sample that hold no pixel."""
    where = "bits that hold no pixel"
    made = _plain(patient, where, invented, seed)
    text = invented.plain_name()
    grey = np.asarray(cell(seed)[:, :, 0], np.uint16) * 16 + 7
    letters = np.frombuffer((text.encode() * 200)[: grey.size // 2], np.uint8)
    nibbles = np.stack([letters >> 4, letters & 15], axis=1).reshape(grey.shape)
    stored = grey | nibbles.astype(np.uint16) << 12
    _set_pixels(made.dataset, stored.astype("<u2").view(np.uint8), SamplesPerPixel=1,
                PhotometricInterpretation="MONOCHROME2", BitsAllocated=16, BitsStored=12,
                HighBit=11, WindowCenter=2048, WindowWidth=4096)  # fmt: skip
    del made.dataset.PlanarConfiguration
    made.shown = [np.rint(grey / 4095 * 255).astype(np.uint8)]
    made.facts.append(go(CARRIER, where, text))
    return made


def _jpeg_frame(patient: _Patient, invented: Invented, seed: int) -> _File:
    where = "segments of a JPEG frame"
    made = _plain(patient, where, invented, seed)
    comment, vendor, table = invented.name(), invented.number(), invented.name()
    parts = parts_of(encoded(cell(seed), "JPEG", quality=90))
    frame = parts.with_first(segment(0xFE, comment.encode()), segment(0xE5, vendor.encode()))
    frame += bytes(len(frame) % 2) + table.encode() + b" " * (len(table.encode()) % 2)
    value = encapsulate([frame])
    _set_pixels(made.dataset, np.frombuffer(value, np.uint8),
                PhotometricInterpretation="YBR_FULL_422", LossyImageCompression="01")  # fmt: skip
    made.dataset["PixelData"].is_undefined_length = True
    made.syntax, made.scan, made.shown = _BASELINE, parts.scan, [decoded(frame)]
    texts = {"COM": comment, "APP5": vendor, "behind EOI": table}
    made.facts += [go(CARRIER, f"{name} of a JPEG frame", t) for name, t in texts.items()]
    return made


def _frames(patient: _Patient, invented: Invented, seed: int) -> _File:
    made = _plain(patient, "several frames", invented, seed)
    made.shown = [cell(seed + number) for number in range(3)]
    _set_pixels(made.dataset, np.stack(made.shown), NumberOfFrames=3)
    return made


def _longer(patient: _Patient, invented: Invented, seed: int) -> _File:
    """Return a file whose pixel data go on behind the last pixel."""
    where = "pixel data longer than the frame"
    made = _plain(patient, where, invented, seed)
    text = invented.plain_name()
    raw = text.encode() + b" " * (len(text) % 2)
    made.dataset.PixelData = made.shown[0].tobytes() + raw
    made.facts.append(go(CARRIER, where, text))
    return made


def _with_profile(patient: _Patient, invented: Invented, seed: int) -> _File:
    made = _plain(patient, "a colour profile", invented, seed)
    text = invented.name()
    profile = planted_profile(text)
    made.dataset.ICCProfile = profile + bytes(len(profile) % 2)
    made.facts.append(go(CARRIER, "ICCProfile", text))
    return made


def _label_image(patient: _Patient, invented: Invented, seed: int) -> _File:
    """Return a picture of a slide's label, which must not come out."""
    made = _plain(patient, "a label image", invented, seed)
    text = invented.plain_name()
    made.dataset.ImageType = ["ORIGINAL", "PRIMARY", "LABEL"]
    made.dataset.PixelData = (text.encode() * 900)[: SIDE * SIDE * 3]
    made.facts.append(go(CARRIER, "pixels of a label image", text))
    made.shown = []
    return made


def _plant_meta(made: _File, invented: Invented) -> None:
    """Plant in what stands before the data set."""
    texts = {
        "ImplementationClassUID": invented.uid(), "PrivateInformation": invented.name(),
        "ImplementationVersionName": invented.number(),
        "SourceApplicationEntityTitle": invented.serial(),
        "PrivateInformationCreatorUID": invented.uid(),
    }  # fmt: skip
    meta = FileMetaDataset()
    for name, text in texts.items():
        raw = text.encode() + b" " * (len(text.encode()) % 2)
        setattr(meta, name, raw if name == "PrivateInformation" else text)
        made.facts.append(go(CARRIER, f"file meta: {name} of {made.where}", text))
    made.dataset.file_meta = meta


def _write(made: _File, path: Path) -> None:
    meta = made.dataset.file_meta
    meta.MediaStorageSOPClassUID = made.dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(made.syntax)
    made.dataset.preamble = made.preamble
    out = io.BytesIO()
    dcmwrite(out, made.dataset, enforce_file_format=True)
    path.write_bytes(out.getvalue() + made.behind)


def _facts_of_cleaned(files: Sequence[_File]) -> Iterator[Fact]:
    """Yield what must stay in files that are cleaned, not only curated."""
    carrier = "DICOM, cleaned"
    whole = [made for made in files if made.shown]
    for made in whole:
        for name, expected in _kept(made).items():
            check = _element(made.dataset.InstanceNumber, name, expected)
            yield stay(carrier, f"{name} of {made.where}", check)
        yield stay(carrier, f"pixels of {made.where}", _pixels(made))
        yield stay(carrier, f"subject of {made.where}", _as_in_corpus(made))
        yield stay(carrier, f"method of {made.where}", _method(made.dataset.InstanceNumber))
    yield from _intervals(carrier, whole)


def _kept(made: _File) -> dict[str, object]:
    names = ("Modality", "Rows", "Columns", "SOPClassUID", "PatientSex", "ObjectiveLensPower",
             "LossyImageCompression")  # fmt: skip
    kept: dict[str, object] = {name: made.dataset[name].value for name in names}
    age = made.dataset.PatientAge
    kept |= {
        "PatientAge": "090Y" if age > "090Y" else age,
        "PatientIdentityRemoved": "YES",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME"],
        "PixelSpacing": [0.00025, 0.00025],
    }
    if made.where != "a full header":
        kept["Manufacturer"] = "CellaVision"
    return kept


def _element(number: int, name: str, expected: object) -> Check:
    def kept(outcome: Outcome) -> bool:
        found = outcome.dicom.get(number)
        value = found.get(name) if found is not None else None
        if name == "ImageType" and value is not None:
            return list(value)[:3] == expected
        return bool(value == expected)

    return kept


def _pixels(made: _File) -> Check:
    def kept(outcome: Outcome) -> bool:
        found = outcome.dicom.get(made.dataset.InstanceNumber)
        if found is None:
            return False
        pixels = found.pixel_array
        frames = pixels if len(made.shown) > 1 else pixels[None]
        if found.BitsStored > 8:
            frames = np.rint(frames / 4095 * 255).astype(np.uint8)
        if made.scan:
            return made.scan in found.PixelData
        return np.array_equal(frames, np.stack(made.shown))

    return kept


def _as_in_corpus(made: _File) -> Check:
    def same(outcome: Outcome) -> bool:
        found = outcome.dicom.get(made.dataset.InstanceNumber)
        subject = outcome.value(made.shown[0], "subject", made.levels)
        return found is not None and subject is not None and found.PatientID == subject

    return same


def _method(number: int) -> Check:
    def said(outcome: Outcome) -> bool:
        found = outcome.dicom.get(number)
        codes = [] if found is None else found.DeidentificationMethodCodeSequence
        return "113100" in [item.CodeValue for item in codes]

    return said


def _intervals(carrier: str, files: Sequence[_File]) -> Iterator[Fact]:
    """Yield that the days between two files of a patient stay, though no day does."""
    firsts: dict[str, _File] = {}
    for made in files:
        first = firsts.setdefault(made.dataset.PatientID, made)
        if first is not made:
            yield stay(carrier, f"days to {made.where}", _apart(first.dataset, made.dataset))


def _apart(one: Dataset, other: Dataset) -> Check:
    wanted = _days(other.StudyDate) - _days(one.StudyDate)

    def same(outcome: Outcome) -> bool:
        found = [outcome.dicom.get(d.InstanceNumber) for d in (one, other)]
        if any(d is None or not d.StudyDate for d in found):
            return False
        first, second = (_days(d.StudyDate) for d in found if d is not None)
        return second - first == wanted

    return same


def _days(text: str) -> int:
    return date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal()
