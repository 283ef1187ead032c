"""An ImageFolder: images with `metadata.csv`, `.jsonl` or `.parquet` beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import SourceError
from ..pixels import Limits
from .image_files import (
    FoundImage,
    Picture,
    file_identifiers,
    files_identity,
    header_columns,
    image_files,
    path_text,
    picture_name,
    pictures,
    read_pictures,
)
from .slide_file import MAYBE_SLIDES, refuse_slides
from .source import Columns, RawCell, as_text, distinct_values, find_column
from .tables import TABLE_SUFFIXES, read_table

METADATA_TABLES = tuple(f"metadata{suffix}" for suffix in TABLE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A picture and the row of the table that describes it; either may be missing."""

    name: str
    label: str
    picture: Picture | None
    row: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Image files described by a table; a row without a file and a file without a row count too."""

    root: Path
    table_path: Path
    entries: tuple[_Entry, ...]
    values: Mapping[str, Sequence[Any]]
    kind: str = "image folder with metadata"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns but file name and label, and of DICOM elements."""
        return (*self.values, *header_columns(self._pictures()))

    def _pictures(self) -> Iterator[Picture]:
        return (entry.picture for entry in self.entries if entry.picture is not None)

    def __len__(self) -> int:
        return len(self.entries)

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells that have both a row and a file."""
        return Counter(entry.label for entry in self.entries if entry.problem is None)

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        for position, entry in enumerate(self.entries[start:stop], start):
            image = FoundImage()
            if entry.picture is not None:
                image = next(read_pictures([entry.picture], position))
            yield RawCell(
                entry.name, entry.label, image.data, self._fields(entry),
                entry.problem or image.problem, pixels=image.pixels,
            )  # fmt: skip

    def _fields(self, entry: _Entry) -> Mapping[str, str | None]:
        fields = {} if entry.picture is None else dict(entry.picture.fields)
        if entry.row is not None:
            fields.update(
                {name: as_text(column[entry.row]) for name, column in self.values.items()}
            )
        return fields

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the names of files and folders, and every value of the table."""
        for entry in self.entries:
            yield "file", Path(entry.name).stem
        yield from file_identifiers(self._pictures(), self.root)
        yield from distinct_values(self.values)

    def identity(self) -> str:
        """Return a hash over the table's and the files' names, sizes and times of change."""
        paths = dict.fromkeys(picture.path for picture in self._pictures())
        return files_identity([self.table_path, *paths])


def open_image_folder(location: str, columns: Columns) -> ImageFolder | None:
    """Open a folder that has a metadata table.

    Raises: SourceError where there are several tables or one that cannot be read.
    """
    root = Path(location)
    tables = [root / name for name in METADATA_TABLES if (root / name).is_file()]
    if not tables:
        return None
    if len(tables) > 1:
        raise SourceError(
            f"the source has {len(tables)} metadata tables; keep one of {METADATA_TABLES}"
        )
    table = read_table(tables[0])
    names = table.column_names
    if len(set(names)) < len(names):
        raise SourceError(f"{tables[0].name} has two columns of one name")
    where = tables[0].name
    file_column = find_column(names, "file_name", None, where, required=True)
    label_column = find_column(names, "label", columns.label, where, required=True)
    rest = {
        name: table[name].to_pylist() for name in names if name not in (file_column, label_column)
    }
    rows = zip(table[file_column].to_pylist(), table[label_column].to_pylist(), strict=True)
    return ImageFolder(root, tables[0], tuple(_entries(root, list(rows), rest)), rest)


def _entries(
    root: Path, rows: Sequence[tuple[Any, Any]], values: Mapping[str, Sequence[Any]]
) -> Iterator[_Entry]:
    files = image_files(root)
    refuse_slides(image_files(root, suffixes=MAYBE_SLIDES), Limits())
    by_path = {path_text(path.relative_to(root)): path for path in files}
    by_name = Counter(path_text(path.name) for path in files)
    unique = {name: path for path in files if by_name[name := path_text(path.name)] == 1}
    seen: dict[Path, set[tuple[str | None, ...]]] = {}
    for row, (name, found) in enumerate(rows):
        text = as_text(name) or f"row {row}"
        # Exports often name files without their folder; a name that occurs once is clear enough.
        # A row that names another folder is another cell's, whatever its file is called.
        where = str(PurePosixPath(text.replace("\\", "/")))
        path = by_path.get(where) or unique.get(where)
        label = as_text(found)
        problem = "file_missing" if path is None else "label_missing" if label is None else None
        if path is None:
            yield _Entry(text, label or "", None, row, problem)
            continue
        # Rows that disagree about one file go on, and are found as a conflict of two copies.
        said = (label, *(as_text(column[row]) for column in values.values()))
        problem = "row_repeated" if said in seen.get(path, ()) else problem
        seen.setdefault(path, set()).add(said)
        for picture in pictures(path):
            name = picture_name(picture, root)
            yield _Entry(name, label or "", picture, row, problem)
    for path in by_path.values():
        if path not in seen:
            for picture in pictures(path):
                yield _Entry(picture_name(picture, root), "", picture, None, "row_missing")
