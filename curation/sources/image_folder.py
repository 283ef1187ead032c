"""An ImageFolder: images with `metadata.csv`, `.jsonl` or `.parquet` beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from ..errors import SourceError
from .folder import files_identity, image_files
from .source import Columns, RawCell, as_text, find_column, value_identifiers

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    path: Path | None
    label: str
    subject: str | None
    slide: str | None
    site: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Image files described by a table; a row without a file and a file without a row count too."""

    root: Path
    table_path: Path
    entries: tuple[_Entry, ...]
    dropped: Mapping[str, list[Any]]
    kind: str = "image folder with metadata"

    @property
    def dropped_columns(self) -> tuple[str, ...]:
        """Names of the columns that are not taken over."""
        return tuple(self.dropped)

    def __len__(self) -> int:
        return len(self.entries)

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells that have both a row and a file."""
        return Counter(entry.label for entry in self.entries if entry.problem is None)

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        for entry in self.entries[start:stop]:
            data = entry.path.read_bytes() if entry.path is not None else None
            yield RawCell(
                entry.name, entry.label, data, entry.subject, entry.slide, entry.site, entry.problem
            )

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield file stems, subjects, slides, sites, and every value of a dropped column."""
        for entry in self.entries:
            yield "file", Path(entry.name).stem
            for kind in ("subject", "slide", "site"):
                value = getattr(entry, kind)
                if value is not None:
                    yield kind, value
        yield from value_identifiers(self.dropped)

    def identity(self) -> str:
        """Return a hash over the table's and the files' names, sizes and times of change."""
        paths = [entry.path for entry in self.entries if entry.path is not None]
        return files_identity([self.table_path, *paths])


def open_image_folder(location: str, columns: Columns) -> ImageFolder | None:
    """Open a folder that has a metadata table.

    Raises: SourceError where there are several tables or one that cannot be read.
    """
    root = Path(location)
    tables = [root / name for name in _TABLES if (root / name).is_file()]
    if not tables:
        return None
    if len(tables) > 1:
        raise SourceError(f"{root} has {len(tables)} metadata tables; keep one of {_TABLES}")
    table = _read_table(tables[0])
    names = table.column_names
    where = tables[0].name
    file_column = find_column(names, "file_name", None, where, required=True)
    roles = {
        role: find_column(names, role, getattr(columns, role), where, required=role == "label")
        for role in ("label", "subject", "slide", "site")
    }
    used = {file_column, *roles.values()}
    dropped = {name: table[name].to_pylist() for name in names if name not in used}
    values = {
        role: table[column].to_pylist() if column else [None] * len(table)
        for role, column in {"file_name": file_column, **roles}.items()
    }
    return ImageFolder(root, tables[0], tuple(_entries(root, values)), dropped)


def _entries(root: Path, values: Mapping[str, list[Any]]) -> Iterator[_Entry]:
    files = image_files(root)
    by_path = {str(path.relative_to(root)): path for path in files}
    by_name = Counter(path.name for path in files)
    unnamed = {path.name: path for path in files if by_name[path.name] == 1}
    seen: set[Path] = set()
    for row, name in enumerate(values["file_name"]):
        text = as_text(name) or f"row {row}"
        # Exports often name files without their folder; a name that occurs once is clear enough.
        path = by_path.get(text.replace("\\", "/")) or unnamed.get(Path(text).name)
        label = as_text(values["label"][row])
        problem = "file_missing" if path is None else "label_missing" if label is None else None
        if path is not None:
            problem = "row_repeated" if path in seen else problem
            seen.add(path)
        fields = {role: as_text(values[role][row]) for role in ("subject", "slide", "site")}
        yield _Entry(text, path, label or "", **fields, problem=problem)
    for name, path in by_path.items():
        if path not in seen:
            yield _Entry(name, path, "", None, None, None, "row_missing")


def _read_table(path: Path) -> pa.Table:
    try:
        if path.suffix == ".csv":
            # Every column as text: a record number must not lose its leading zeros.
            with path.open("rb") as file:
                header = file.readline().decode("utf-8-sig").strip()
            names = next(iter(_split_header(header)), [])
            convert = pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True
            )
            return pyarrow.csv.read_csv(path, convert_options=convert)
        if path.suffix == ".jsonl":
            return pyarrow.json.read_json(path)
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        # The parser's own text may quote a row, and rows hold names.
        raise SourceError(
            f"{path.name} cannot be read as a table ({type(error).__name__}); "
            "check that every row has as many fields as the header"
        ) from error


def _split_header(header: str) -> Iterator[list[str]]:
    import csv

    yield from csv.reader([header])
