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
    return list(_wanted(_below(folder), folder, folder if root is None else root, suffixes))


def loose_image_files(folder: Path) -> list[Path]:
    """Return the image files right in a folder, as `image_files` does those below it.

    Raises: SourceError where a link leads out of it.
    """
    return list(_wanted(_shown(folder), folder, folder, IMAGE_SUFFIXES))


def _below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield what is no folder below one, in the order of its path; links to folders are no way."""
    # Not rglob: paths as objects cost ten times as much as the names they are told by.
    for entry in _shown(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        else:
            yield entry


def _shown(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            shown = [entry for entry in found if not entry.name.startswith(".")]
    except PermissionError:
        return []
    return sorted(shown, key=lambda entry: entry.name)


def _wanted(
    entries: Iterable[os.DirEntry[str]], folder: Path, root: Path, suffixes: tuple[str, ...]
) -> Iterator[Path]:
    inside = root.resolve()
    # What is no link lies where its folder does.
    is_inside = folder.resolve().is_relative_to(inside)
    for entry in entries:
        if not _is_wanted(entry, suffixes):
            continue
        path = Path(entry.path)
        may_leave = entry.is_symlink() or not is_inside
        if may_leave and not path.resolve().is_relative_to(inside):
            raise SourceError(
                f"{file_words(path)} of the source is a link that leads out of it. Next: copy the "
                "file in, or remove the link"
            )
        yield path


def _is_wanted(entry: os.DirEntry[str], suffixes: tuple[str, ...]) -> bool:
    name = entry.name
    by_name = _suffix(name) in suffixes
    if not by_name and (suffixes != IMAGE_SUFFIXES or not _may_be_dicom(name)):
        return False
    # A path asks after links that lead nowhere without an error.
    is_file = Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()
    return is_file and (by_name or is_dicom(Path(entry.path)))


def _may_be_dicom(name: str) -> bool:
    """Whether a name is one that archives give: .dcm, none, or the last number of a UID."""
    suffix = _suffix(name)
    return not suffix or suffix in DICOM_SUFFIXES or suffix[1:].isdigit()


def _suffix(name: str) -> str:
    return _parted(name)[1].casefold()


def _parted(name: str) -> tuple[str, str]:
    """Return a file name as `PurePath.stem` and `PurePath.suffix` part it."""
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if 0 < dot < len(name) - 1 else (name, "")


def pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures of an image file, without decoding one.

    Raises: SourceError where a DICOM file cannot be read.
    """
    if _may_be_dicom(path.name) and is_dicom(path):
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
    holders = dict.fromkeys(str(path)[: -len(path.name)] for path in paths)
    folders = dict.fromkeys(
        path_text(part) for holder in holders for part in Path(holder).relative_to(root).parts
    )
    yield from (("folder", name) for name in folders)
    for path in paths:
        name = path.name
        yield "file", path_text(_parted(name)[0])
        if _may_be_dicom(name) and is_dicom(path):
            from .dicom_file import dicom_identifiers

            yield from dicom_identifiers(path)


def picture_name(picture: Picture, root: Path) -> str:
    """Return the private name of a picture: its path, and its number where a file holds several."""
    whole, start = str(picture.path), f"{root}{os.sep}"
    inside = whole[len(start) :] if whole.startswith(start) else picture.path.relative_to(root)
    name = path_text(inside)
    return name if picture.frame is None else f"{name}, frame {picture.frame}"


def files_identity(paths: Iterable[Path]) -> str:
    """Return a hash over the names, sizes and times of change of files."""
    digest = blake3()
    for path in paths:
        status = path.stat()
        name = os.fsencode(path)
        digest.update(b"%b\x00%d\x00%d\n" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()


def path_text(path: Path | str) -> str:
    """Return a file name as text that can be written; names that are not UTF-8 read as Latin-1."""
    raw = os.fsencode(path)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
