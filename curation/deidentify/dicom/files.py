"""A folder of DICOM files, cleaned: header, pixels, names and times of change."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...errors import ImageError, SourceError
from ...output import whole_directory
from ...pixels import Limits
from ...private_names import file_words
from ...sources.image_files import path_text
from ..vault import Vault, open_vault, record_identifiers
from .clean import CleanDataset, deidentify_dataset
from .frames import open_frames
from .identifiers import PREFIX, identifiers
from .new_pixels import Screen, describe_pixels, write_pixels
from .options import DicomOptions
from .read import OpenDicom, is_dicom, open_dicom, quietly
from .tables import kept

REPEATED = "dicom_repeated"
_CHANGED_AT_S = 315_532_800  # 1980-01-01, the first day that archives can name


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken over: its position from 0 in the sorted source, and why."""

    position: int
    short_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DicomReport:
    """What became of a folder: no name and no value stands in it.

    `others` are files that are no DICOM. `unknown` and `broken` count the files in which an element
    of that name was left out because no dictionary knows it or its bytes do not fit its VR.
    """

    files: int
    written: int
    frames: int
    others: int
    refused: tuple[Refused, ...]
    unknown: Counter[str]
    broken: Counter[str]


@dataclass(slots=True)
class _Run:
    folder: Path
    keys: Vault
    options: DicomOptions
    limits: Limits
    screen: Screen | None
    frames: int = 0
    written: int = 0
    refused: list[Refused] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    found: dict[tuple[str, str], None] = field(default_factory=dict)


def deidentify_files(
    source: Path,
    out: Path,
    vault: Path,
    *,
    screen: Screen | None,
    options: DicomOptions | None = None,
    limits: Limits | None = None,
) -> DicomReport:
    """Write the DICOM files of a folder without identity; `out` is made whole or not at all.

    `screen` says of a frame, uint8 (h, w, 3) or (h, w), whether there is text in it: such a file is
    refused. Without a screen the cleaning of pixels (113101) is not claimed. What identifies goes
    into the vault.

    Raises: SourceError where there is no DICOM file, one cannot be read, or a link leads out of the
    folder; PolicyError where the options refuse an element; VaultError; OutputExistsError.
    """
    keys = open_vault(vault, outside=out)
    files = list(_files_below(source))
    dicom = [(position, path) for position, path in enumerate(files) if is_dicom(path)]
    if not dicom:
        raise SourceError("the source holds no DICOM file. Next: give the folder that does")
    options = replace(options or DicomOptions(), clean_pixel_data=screen is not None)
    # A new job each time: what an interrupted run left may be half a file.
    with whole_directory(out, {"dicom": secrets.token_hex()}) as folder:
        run = _Run(folder, keys, options, limits or Limits(), screen)
        for folder_name in _folders(source, (path for _, path in dicom)):
            run.found["folder", folder_name] = None
        for position, path in dicom:
            _take(run, position, path)
        record_identifiers(keys, run.found)
    return DicomReport(
        len(dicom), run.written, run.frames, len(files) - len(dicom), tuple(run.refused),
        run.unknown, run.broken,
    )  # fmt: skip


def _files_below(source: Path) -> Iterator[Path]:
    inside = source.resolve()
    found = (path for path in sorted(source.rglob("*")) if path.is_file())
    for position, path in enumerate(found):
        if not path.resolve().is_relative_to(inside):
            raise SourceError(
                f"{file_words(path, position)} of the source is a link that leads out of it. Next: "
                "copy the file in, or remove the link"
            )
        _check_readable(path, position)
        yield path


def _folders(source: Path, paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield from map(path_text, path.relative_to(source).parent.parts)


def _check_readable(path: Path, position: int) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        # Not chained: the cause's own text holds the path.
        raise SourceError(
            f"{file_words(path, position)} of the source cannot be read: {error.strerror}. Next: "
            "make it readable or take it out of the source"
        ) from None


def _take(run: _Run, position: int, path: Path) -> None:
    run.found["file", path_text(path.stem)] = None
    try:
        with open_dicom(path) as opened:
            for dataset in (opened.meta, opened.dataset):
                for kind, text in identifiers(dataset):
                    run.found[_vault_kind(kind), text] = None
            clean = _write(run, opened)
    except ImageError as error:
        run.refused.append(Refused(position, run.keys.short_id(path.name), error.reason))
        return
    run.written += 1
    run.unknown.update(clean.unknown)
    run.broken.update(clean.broken)


def _vault_kind(kind: str) -> str:
    """Return "subject" or "slide" for what was replaced by a pseudonym that the vault can undo."""
    keyword = kind.rpartition(".")[2].removeprefix(PREFIX)
    return kind if keyword == "PatientName" else kept().pseudonyms.get(keyword, kind)


def _write(run: _Run, opened: OpenDicom) -> CleanDataset:
    frames = open_frames(opened, run.limits)
    clean = deidentify_dataset(opened.dataset, run.keys, run.options)
    path = run.folder / f"{clean.dataset.SOPInstanceUID}.dcm"
    if path.exists():
        raise ImageError(REPEATED, "another file of the source has its SOPInstanceUID")
    with tempfile.TemporaryFile(dir=run.folder) as spool:
        new = write_pixels(frames, spool, run.limits, run.screen)
        describe_pixels(clean.dataset, new, spool)
        save(clean, path)
    run.frames += len(frames)
    return clean


def save(clean: CleanDataset, path: Path) -> None:
    """Write a cleaned data set as a file whose time of change says nothing."""
    from pydicom.filewriter import dcmwrite

    with quietly(), path.open("xb") as file:
        dcmwrite(file, clean.dataset, implicit_vr=False, little_endian=True)
    os.utime(path, (_CHANGED_AT_S, _CHANGED_AT_S))
