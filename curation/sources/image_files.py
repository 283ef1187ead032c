"""Image files on disk, and the pictures in them: one each, or the frames of a DICOM file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from blake3 import blake3

from ..deidentify.dicom.read import DICOM_SUFFIXES, is_dicom
from ..deidentify.policy import DICOM_PREFIX as DICOM_PREFIX
from ..errors import SourceError
from ..pixels import Pixels
from ..private_names import file_words
from .source import IMAGE_SUFFIXES, no_fields


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in a file: the file itself, or a frame of a DICOM file with its header."""

    path: Path
    frame: int | None = None
    fields: Mapping[str, str | None] = field(default_factory=no_fields)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What was read of a picture: encoded bytes or decoded pixels, or why there are none."""

    data: bytes | None = None
    pixels: Pixels | None = None
    problem: str | None = None


def image_files(
    folder: Path, root: Path | None = None, suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> list[Path]:
    """Return the image files below a folder, sorted, hidden ones left out.

    Raises: SourceError where a link leads out of `root`: what lies there was not given as a source.
    """
    root = folder if root is None else root
    inside = root.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or not _is_wanted(path, suffixes):
            continue
        if not path.resolve().is_relative_to(inside):
            raise SourceError(
                f"{file_words(path)} of the source is a link that leads out of it. Next: copy the "
                "file in, or remove the link"
            )
        found.append(path)
    return found


def _is_wanted(path: Path, suffixes: tuple[str, ...]) -> bool:
    if path.suffix.casefold() in suffixes:
        return True
    return suffixes == IMAGE_SUFFIXES and _may_be_dicom(path) and is_dicom(path)


def _may_be_dicom(path: Path) -> bool:
    """Whether a name is one that archives give: .dcm, none, or the last number of a UID."""
    suffix = path.suffix.casefold()
    return not suffix or suffix in DICOM_SUFFIXES or suffix[1:].isdigit()


def pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures of an image file, without decoding one.

    Raises: SourceError where a DICOM file cannot be read.
    """
    if _may_be_dicom(path) and is_dicom(path):
        from .dicom_file import dicom_pictures

        yield from dicom_pictures(path)
    else:
        yield Picture(path)


def read_pictures(chosen: Sequence[Picture], first: int = 0) -> Iterator[FoundImage]:
    """Yield the image of each picture; `first` is the position of the first one in its source.

    Raises: SourceError where a file cannot be read (a damaged image can: that is found later).
    """
    position = first
    for path, group in groupby(chosen, key=lambda picture: picture.path):
        frames = list(group)
        yield from _read_frames(path, frames, position)
        position += len(frames)


def _read_frames(path: Path, found: Sequence[Picture], position: int) -> Iterator[FoundImage]:
    if found[0].frame is None:
        data = read_file(path, position)
        yield from (FoundImage(data=data) for _ in found)
        return
    if found[0].problem is not None:
        yield from (FoundImage(problem=picture.problem) for picture in found)
        return
    from .dicom_file import read_dicom_pictures

    numbers = [picture.frame for picture in found if picture.frame is not None]
    yield from read_dicom_pictures(path, numbers, position=position)


def read_file(path: Path, position: int | None = None) -> bytes:
    """Return the bytes of a source file.

    Raises: SourceError where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        # Not chained: the cause's own text holds the path.
        raise SourceError(
            f"{file_words(path, position)} of the source cannot be read: {error.strerror}. Next: "
            "make it readable or take it out of the source, and run the same command again "
            "(--verbose-private shows its name)"
        ) from None


def header_columns(found: Iterable[Picture]) -> tuple[str, ...]:
    """Return the names of all fields of some pictures, in the order they are met."""
    return tuple(dict.fromkeys(name for picture in found for name in picture.fields))


def file_identifiers(found: Iterable[Picture], root: Path) -> Iterator[tuple[str, str]]:
    """Yield ("folder", name), ("file", stem), and what DICOM files say of people and devices."""
    paths = dict.fromkeys(picture.path for picture in found)
    folders = dict.fromkeys(
        path_text(part) for path in paths for part in path.relative_to(root).parent.parts
    )
    yield from (("folder", name) for name in folders)
    for path in paths:
        yield "file", path_text(path.stem)
        if _may_be_dicom(path) and is_dicom(path):
            from .dicom_file import dicom_identifiers

            yield from dicom_identifiers(path)


def picture_name(picture: Picture, root: Path) -> str:
    """Return the private name of a picture: its path, and its number where a file holds several."""
    name = path_text(picture.path.relative_to(root))
    return name if picture.frame is None else f"{name}, frame {picture.frame}"


def files_identity(paths: Iterable[Path]) -> str:
    """Return a hash over the names, sizes and times of change of files."""
    digest = blake3()
    for path in paths:
        status = path.stat()
        digest.update(os.fsencode(path))
        digest.update(f"\x00{status.st_size}\x00{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def path_text(path: Path | str) -> str:
    """Return a file name as text that can be written; names that are not UTF-8 read as Latin-1."""
    raw = os.fsencode(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
