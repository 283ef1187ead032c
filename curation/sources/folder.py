"""A folder of class folders: `root/<label>/**/*.jpg`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from ..errors import SourceError
from .source import IMAGE_SUFFIXES, Columns, RawCell


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """Image files whose label is the name of the folder they lie in."""

    root: Path
    files: tuple[tuple[str, Path], ...]
    kind: str = "class folders"
    dropped_columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells."""
        return Counter(label for label, _ in self.files)

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        for label, path in self.files[start:stop]:
            yield RawCell(path_text(path.relative_to(self.root)), label, read_file(path))

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the stem of every file name."""
        for _, path in self.files:
            yield "file", path_text(path.stem)

    def identity(self) -> str:
        """Return a hash over names, sizes and times of change."""
        return files_identity(path for _, path in self.files)


def files_identity(paths: Iterator[Path] | list[Path]) -> str:
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


def read_file(path: Path) -> bytes:
    """Return the bytes of a source file.

    Raises: SourceError where it cannot be read (a damaged image can: that is found later).
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}. Next: make it readable or take it out of "
            "the source, and run the same command again"
        ) from error


def image_files(folder: Path) -> list[Path]:
    """Return the image files below a folder, sorted, hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.casefold() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def open_class_folders(location: str, columns: Columns) -> ClassFolders | None:
    """Open a folder of class folders, or one folder of images whose own name is the label."""
    root = Path(location)
    if not root.is_dir():
        return None
    files = [
        (path_text(folder.name), path)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in image_files(folder)
    ]
    loose = [path for path in image_files(root) if path.parent == root]
    files.extend((path_text(root.resolve().name), path) for path in loose)
    return ClassFolders(root, tuple(files)) if files else None
