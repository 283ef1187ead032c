"""Writes a made-up laboratory export: drawn cells, planted identifiers and planted faults.

The persons are invented and the cells are drawn, so the demo and the tests can show what
curation must find (patients' names in file names and metadata, copies, a broken file, wrong
labels) without any patient's data.  The returned `DemoExport` is the answer key.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .demo_cells import Stain, draw_cell, random_stain

COUNTS: dict[str, int] = {
    "neutrophil_segmented": 160,
    "lymphocyte": 140,
    "monocyte": 110,
    "eosinophil": 100,
    "platelet": 90,
    "basophil": 20,
}
RARE_CLASS = "basophil"
# Enough of each class for every planted fault to find its own cell, and of the rare one to
# reach six subjects.
MIN_PER_CLASS = 6
RARE_SUBJECTS = 9
SPELLINGS: dict[str, tuple[str, ...]] = {
    "neutrophil_segmented": ("SNE", "segmented neutrophil"),
    "lymphocyte": ("Lymphocyte", "LY"),
    "monocyte": ("monocyte", "MO"),
    "eosinophil": ("eosinophil", "EO"),
    "platelet": ("platelet",),
    "basophil": ("basophil", "BA"),
}
COLUMNS = (
    "file_name",
    "label",
    "patient_name",
    "mrn",
    "birth_date",
    "subject",
    "slide",
    "acquired",
    "scanner_serial",
)
EXACT_DUPLICATES = 8
TURNED_COPIES = 6
SIDE = 96
JPEG_QUALITY = 92
SCANNER_SERIALS = ("DMX-77304-0921", "DMX-81550-1187")


@dataclass(frozen=True)
class DemoExport:
    """The answer key of a written export: what was planted, and in which files."""

    folder: Path
    n_files: int
    identifiers: tuple[str, ...]
    n_exact_duplicates: int
    n_turned_copies: int
    n_corrupt: int
    n_conflicts: int
    n_mislabelled: int
    subjects: tuple[str, ...]
    slides: tuple[str, ...]
    # Pairs are (the first file, its copy); all are names inside `folder/images`.
    duplicate_pairs: tuple[tuple[str, str], ...]
    turned_pairs: tuple[tuple[str, str], ...]
    conflict_pairs: tuple[tuple[str, str], ...]
    corrupt_files: tuple[str, ...]
    mislabelled_files: tuple[str, ...]


def write_demo_export(folder: Path, *, seed: int = 0, scale: float = 1.0) -> DemoExport:
    """Write `images/` and `metadata.csv` below `folder`, the same bytes for the same arguments."""
    if scale <= 0:
        raise ValueError(f"scale must be positive, got {scale}")
    images = folder / "images"
    if images.exists() and any(images.iterdir()):
        raise FileExistsError(f"{images} already holds files; choose an empty folder")
    images.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    slides = _make_slides(rng)
    cells = _draw_all(_plan(rng, len(slides), scale), slides, rng, seed)
    faults = _plant_faults(cells, rng)
    everything = sorted([*cells, *faults.added], key=lambda cell: cell.file_name)
    for cell in everything:
        (images / cell.file_name).write_bytes(cell.data)
    _write_metadata(folder / "metadata.csv", everything)
    return DemoExport(
        folder=folder,
        n_files=len(everything),
        identifiers=_identifiers(slides, everything),
        n_exact_duplicates=len(faults.duplicates),
        n_turned_copies=len(faults.turned),
        n_corrupt=len(faults.corrupt),
        n_conflicts=len(faults.conflicts),
        n_mislabelled=len(faults.mislabelled),
        subjects=tuple(dict.fromkeys(slide.person.subject for slide in slides)),
        slides=tuple(slide.accession for slide in slides),
        duplicate_pairs=faults.duplicates,
        turned_pairs=faults.turned,
        conflict_pairs=faults.conflicts,
        corrupt_files=faults.corrupt,
        mislabelled_files=faults.mislabelled,
    )


# ---------------------------------------------------------------------------------------
# Persons and slides


@dataclass(frozen=True)
class _Person:
    surname: str
    given: str
    number: str
    born: date

    @property
    def name(self) -> str:
        return f"{self.surname}, {self.given}"

    @property
    def file_name_part(self) -> str:
        return f"{self.surname}_{self.given}".upper()

    @property
    def mrn(self) -> str:
        return f"MRN-{self.number}"

    @property
    def subject(self) -> str:
        return f"P{self.number}"


# All invented.  Surnames are long and are no words, so that a search for them in released
# files cannot hit by chance.
PERSONS: tuple[_Person, ...] = (
    _Person("Schmidt", "Anna", "48213075", date(1957, 3, 12)),
    _Person("Hoffmann", "Lukas", "51920438", date(1983, 11, 2)),
    _Person("Kowalski", "Marek", "47703916", date(1949, 7, 28)),
    _Person("Ferrari", "Giulia", "60318254", date(1991, 1, 17)),
    _Person("Novakova", "Jitka", "53390761", date(1968, 9, 5)),
    _Person("Lindqvist", "Astrid", "49847120", date(1975, 12, 24)),
    _Person("Okonkwo", "Chidi", "62055183", date(2001, 4, 30)),
    _Person("Papadakis", "Eleni", "45571392", date(1942, 6, 8)),
    _Person("Dubois", "Camille", "58864207", date(1996, 2, 21)),
    _Person("Yilmaz", "Emre", "55129640", date(1979, 8, 14)),
    _Person("Hernandez", "Pilar", "46238519", date(1953, 10, 19)),
    _Person("Takahashi", "Yuki", "61470938", date(1988, 5, 6)),
)


@dataclass(frozen=True)
class _Slide:
    person: _Person
    number: str
    accession: str
    acquired: datetime
    serial: str
    stain: Stain


def _make_slides(rng: np.random.Generator) -> list[_Slide]:
    """Two slides per person, each with its own stain, day and scanner."""
    numbers = rng.choice(np.arange(1000, 9900), size=2 * len(PERSONS), replace=False)
    slides = []
    for index, number in enumerate(sorted(int(n) for n in numbers)):
        minutes = int(rng.integers(7 * 60, 18 * 60))
        day = datetime(2024, 1, 8) + timedelta(days=int(rng.integers(0, 150)), minutes=minutes)
        slides.append(
            _Slide(
                person=PERSONS[index % len(PERSONS)],
                number=f"S{number:04d}",
                accession=f"H24-{10000 + number}",
                acquired=day,
                serial=SCANNER_SERIALS[int(rng.integers(0, len(SCANNER_SERIALS)))],
                stain=random_stain(rng),
            )
        )
    return slides


# ---------------------------------------------------------------------------------------
# Which cell lies on which slide


def _plan(rng: np.random.Generator, n_slides: int, scale: float) -> list[tuple[str, int]]:
    """List (class, slide index) so that no slide is empty and the rare class is spread."""
    counts = {name: max(MIN_PER_CLASS, round(count * scale)) for name, count in COUNTS.items()}
    common = [name for name, count in counts.items() if name != RARE_CLASS for _ in range(count)]
    order = [common[k] for k in rng.permutation(len(common))]
    # Slides differ in how many cells were taken from them, as in a true export.
    weight = rng.uniform(0.5, 1.5, n_slides)
    drawn = rng.choice(n_slides, size=max(len(order) - n_slides, 0), p=weight / weight.sum())
    where = [*range(n_slides), *(int(k) for k in drawn)]
    plan = list(zip(order, where, strict=False))
    n_persons = len(PERSONS)
    owners = rng.permutation(n_persons)[:RARE_SUBJECTS]
    for _, person in zip(range(counts[RARE_CLASS]), itertools.cycle(owners), strict=False):
        plan.append((RARE_CLASS, int(person) + n_persons * int(rng.integers(0, 2))))
    return plan


@dataclass(frozen=True)
class _ExportedCell:
    """One file of the export with what its metadata row says."""

    stem: str
    suffix: str
    data: bytes
    kind: str
    label: str
    slide: _Slide
    acquired: datetime

    @property
    def file_name(self) -> str:
        return self.stem + self.suffix


def _stem(slide: _Slide, sequence: int) -> str:
    person = slide.person
    return f"{person.file_name_part}_{person.born:%Y%m%d}_{slide.number}_{sequence:04d}"


def _draw_all(
    plan: list[tuple[str, int]], slides: list[_Slide], rng: np.random.Generator, seed: int
) -> list[_ExportedCell]:
    """Draw and encode every planned cell, numbered on its slide from 1 in order of the plan."""
    # Numbered in random order, otherwise the highest numbers would all be the rare class.
    shuffled = [plan[k] for k in rng.permutation(len(plan))]
    sequence = [0] * len(slides)
    cells = []
    for index, (kind, where) in enumerate(shuffled):
        slide = slides[where]
        sequence[where] += 1
        number = sequence[where]
        pixels = draw_cell(kind, np.random.default_rng([seed, index]), slide.stain, SIDE)
        acquired = slide.acquired + timedelta(seconds=7 * number)
        label = str(rng.choice(SPELLINGS[kind]))
        data = _jpeg(pixels, slide, acquired, extras=_Extras.draw(rng))
        cells.append(
            _ExportedCell(_stem(slide, number), ".jpg", data, kind, label, slide, acquired)
        )
    return cells


# ---------------------------------------------------------------------------------------
# Files with identifiers inside


@dataclass(frozen=True)
class _Extras:
    """Which of the less common hiding places for identifiers a file has."""

    comment: bool
    xmp: bool
    trailer: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Extras:
        comment, xmp, trailer = (bool(v) for v in rng.random(3) < (0.25, 0.30, 0.20))
        return cls(comment, xmp, trailer)


def _jpeg(pixels: NDArray[np.uint8], slide: _Slide, acquired: datetime, extras: _Extras) -> bytes:
    """Encode (n, n, 3) uint8 pixels as a JPEG that names the patient in its segments."""
    buffer = io.BytesIO()
    # Full chroma resolution: decoders disagree on how to enlarge halved chroma.
    Image.fromarray(pixels).save(
        buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=_exif(slide, acquired)
    )
    data = buffer.getvalue()
    person = slide.person
    added = b""
    if extras.xmp:
        added += _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + _xmp(slide))
    if extras.comment:
        text = f"PatientName={person.name};PatientID={person.mrn};Accession={slide.accession}"
        added += _segment(0xFE, text.encode("ascii"))
    at = _after_app_segments(data)
    data = data[:at] + added + data[at:]
    if extras.trailer:
        data += f"\n#LIS {person.mrn} {person.born.isoformat()} {slide.serial}\n".encode("ascii")
    return data


def _exif(slide: _Slide, acquired: datetime) -> bytes:
    person = slide.person
    stamp = f"{acquired:%Y:%m:%d %H:%M:%S}"
    exif = Image.Exif()
    exif[0x010E] = f"{person.name} *{person.born.isoformat()} {person.mrn} {slide.accession}"
    exif[0x010F] = "Demo Optics"
    exif[0x0132] = stamp
    exif[0x013B] = person.name
    details = exif.get_ifd(0x8769)
    details[0x9003] = stamp
    details[0xA431] = slide.serial
    return exif.tobytes()


def _xmp(slide: _Slide) -> bytes:
    person = slide.person
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:lab="urn:demo:lab"'
        f' lab:patient="{person.name}" lab:born="{person.born.isoformat()}"'
        f' lab:mrn="{person.mrn}" lab:scanner="{slide.serial}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode("ascii")


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _after_app_segments(data: bytes) -> int:
    """Offset behind the leading APPn segments, where readers expect XMP and comments."""
    at = 2
    while data[at] == 0xFF and 0xE0 <= data[at + 1] <= 0xEF:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def _png(pixels: NDArray[np.uint8], slide: _Slide) -> bytes:
    info = PngInfo()
    info.add_text("Author", slide.person.name)
    info.add_text("Description", f"{slide.person.mrn} {slide.accession}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------
# Faults


@dataclass(frozen=True)
class _Faults:
    added: list[_ExportedCell]
    duplicates: tuple[tuple[str, str], ...]
    turned: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    corrupt: tuple[str, ...]
    mislabelled: tuple[str, ...]


def _plant_faults(cells: list[_ExportedCell], rng: np.random.Generator) -> _Faults:
    """Add copies and a broken file, and give one cell in `cells` a wrong label in place."""
    free = _Free(cells, rng)
    wrong = free.take("eosinophil")
    cells[wrong] = replace(cells[wrong], label="LY")
    # Copies are of common classes only, so that the rare class keeps its exact count.
    originals = [cells[free.take()] for _ in range(EXACT_DUPLICATES)]
    duplicates = [free.renamed(cell) for cell in originals]
    bases = [cells[free.take()] for _ in range(TURNED_COPIES)]
    turned = [_turned(free.renamed(cell), k + 1) for k, cell in enumerate(bases)]
    doubted = cells[free.take("monocyte")]
    conflict = replace(free.renamed(doubted), label="Lymphocyte")
    broken = free.renamed(cells[free.take()])
    broken = replace(broken, data=_truncated(broken.data))
    return _Faults(
        added=[*duplicates, *turned, conflict, broken],
        duplicates=_pairs(originals, duplicates),
        turned=_pairs(bases, turned),
        conflicts=_pairs([doubted], [conflict]),
        corrupt=(broken.file_name,),
        mislabelled=(cells[wrong].file_name,),
    )


class _Free:
    """Hands out cells that no fault has used yet, and the next free file number of a slide."""

    def __init__(self, cells: list[_ExportedCell], rng: np.random.Generator) -> None:
        self._cells = cells
        self._left = [int(k) for k in rng.permutation(len(cells)) if cells[k].kind != RARE_CLASS]
        self._numbers: dict[str, Iterator[int]] = {}
        for slide in {cell.slide for cell in cells}:
            used = sum(cell.slide == slide for cell in cells)
            self._numbers[slide.number] = itertools.count(used + 1)

    def take(self, kind: str | None = None) -> int:
        """Position of an unused cell, of class `kind` if given."""
        at = next(k for k in self._left if kind is None or self._cells[k].kind == kind)
        self._left.remove(at)
        return at

    def renamed(self, cell: _ExportedCell) -> _ExportedCell:
        """Copy of a cell under the next file number of the same slide."""
        return replace(cell, stem=_stem(cell.slide, next(self._numbers[cell.slide.number])))


def _pairs(first: list[_ExportedCell], second: list[_ExportedCell]) -> tuple[tuple[str, str], ...]:
    return tuple((a.file_name, b.file_name) for a, b in zip(first, second, strict=True))


def _turned(cell: _ExportedCell, turn: int) -> _ExportedCell:
    """Turn or mirror the decoded pixels and keep them losslessly, so the copy is exact."""
    with Image.open(io.BytesIO(cell.data)) as image:
        pixels = np.asarray(image.convert("RGB"))
    pixels = np.rot90(pixels if turn < 4 else pixels[:, ::-1], turn % 4)
    return replace(cell, suffix=".png", data=_png(np.ascontiguousarray(pixels), cell.slide))


def _truncated(data: bytes) -> bytes:
    """Cut a JPEG in the middle of its compressed scan, as a broken transfer does."""
    scan = data.index(b"\xff\xda")
    end = data.rindex(b"\xff\xd9")
    return data[: (scan + end) // 2]


# ---------------------------------------------------------------------------------------
# Table and answer key


def _write_metadata(path: Path, cells: list[_ExportedCell]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for cell in cells:
            slide, person = cell.slide, cell.slide.person
            writer.writerow(
                (
                    cell.file_name,
                    cell.label,
                    person.name,
                    person.mrn,
                    person.born.isoformat(),
                    person.subject,
                    slide.accession,
                    cell.acquired.isoformat(),
                    slide.serial,
                )
            )


def _identifiers(slides: list[_Slide], cells: list[_ExportedCell]) -> tuple[str, ...]:
    """Every planted identifying string once: persons, slides, scanners, file stems."""
    found: dict[str, None] = {}
    for slide in slides:
        person = slide.person
        names = (person.name, person.file_name_part, person.surname, person.surname.upper())
        numbers = (person.mrn, person.subject, person.number)
        dates = (person.born.isoformat(), f"{person.born:%Y%m%d}")
        found |= dict.fromkeys((*names, *numbers, *dates))
        found |= dict.fromkeys((slide.accession, slide.number, slide.serial))
    found |= dict.fromkeys(cell.stem for cell in cells)
    return tuple(found)
