"""A folder of class folders: `root/<label>/**/*.jpg`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..pixels import Limits
from .image_files import (
    Picture,
    file_identifiers,
    files_identity,
    header_columns,
    image_files,
    loose_image_files,
    path_text,
    picture_name,
    pictures,
    read_pictures,
)
from .slide_file import MAYBE_SLIDES, refuse_slides
from .source import Columns, RawCell


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """Image files whose label is the name of the folder they lie in."""

    root: Path
    cells: tuple[tuple[str, Picture], ...]
    kind: str = "class folders"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the DICOM elements found; other files have none that are read."""
        return header_columns(picture for _, picture in self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells."""
        return Counter(label for label, _ in self.cells)

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        chosen = self.cells[start:stop]
        found = read_pictures([picture for _, picture in chosen], start)
        for (label, picture), image in zip(chosen, found, strict=True):
            name = picture_name(picture, self.root)
            yield RawCell(
                name, label, image.data, picture.fields, image.problem, pixels=image.pixels
            )

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the stem of every file name, and the name of every folder."""
        yield from file_identifiers((picture for _, picture in self.cells), self.root)

    def identity(self) -> str:
        """Return a hash over names, sizes and times of change."""
        return files_identity(dict.fromkeys(picture.path for _, picture in self.cells))


def open_class_folders(location: str, columns: Columns) -> ClassFolders | None:
    """Open a folder of class folders, or one folder of images whose own name is the label."""
    root = Path(location)
    if not root.is_dir():
        return None
    files = [
        (path_text(folder.name), path)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in image_files(folder, root)
    ]
    own_name = path_text(root.resolve().name)
    files.extend((own_name, path) for path in loose_image_files(root))
    refuse_slides(image_files(root, suffixes=MAYBE_SLIDES), Limits())
    cells = tuple((label, picture) for label, path in files for picture in pictures(path))
    return ClassFolders(root, cells) if cells else None
