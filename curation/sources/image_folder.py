"""An ImageFolder: images with `metadata.csv`, `.jsonl` or `.parquet` beside them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ..errors import SourceError
from .folder import files_identity, image_files, path_text, read_file
from .source import Columns, RawCell, as_text, find_column, value_identifiers

METADATA_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


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
            data = read_file(entry.path) if entry.path is not None else None
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
    tables = [root / name for name in METADATA_TABLES if (root / name).is_file()]
    if not tables:
        return None
    if len(tables) > 1:
        raise SourceError(
            f"{root} has {len(tables)} metadata tables; keep one of {METADATA_TABLES}"
        )
    table = _read_table(tables[0])
    names = table.column_names
    if len(set(names)) < len(names):
        raise SourceError(f"{tables[0].name} has two columns of one name")
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
    by_path = {path_text(path.relative_to(root)): path for path in files}
    by_name = Counter(path_text(path.name) for path in files)
    unique = {name: path for path in files if by_name[name := path_text(path.name)] == 1}
    seen: dict[Path, set[tuple[str | None, ...]]] = {}
    for row, name in enumerate(values["file_name"]):
        text = as_text(name) or f"row {row}"
        # Exports often name files without their folder; a name that occurs once is clear enough.
        # A row that names another folder is another cell's, whatever its file is called.
        where = str(PurePosixPath(text.replace("\\", "/")))
        path = by_path.get(where) or unique.get(where)
        label = as_text(values["label"][row])
        fields = {role: as_text(values[role][row]) for role in ("subject", "slide", "site")}
        problem = "file_missing" if path is None else "label_missing" if label is None else None
        if path is not None:
            # Rows that disagree about one file go on, and are found as a conflict of two copies.
            said = (label, *fields.values())
            problem = "row_repeated" if said in seen.get(path, ()) else problem
            seen.setdefault(path, set()).add(said)
        yield _Entry(text, path, label or "", **fields, problem=problem)
    for name, path in by_path.items():
        if path not in seen:
            yield _Entry(name, path, "", None, None, None, "row_missing")


def _read_table(path: Path) -> pa.Table:
    try:
        if path.suffix == ".csv":
            # Every column as text: a record number must not lose its leading zeros.
            with path.open("rb") as file:
                header = file.readline().decode("utf-8-sig").rstrip("\r\n")
            names = next(csv.reader([header]), [])
            convert = pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True
            )
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
        if path.suffix == ".jsonl":
            return _read_json_lines(path)
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowException, ValueError, csv.Error) as error:
        # The parser's own text may quote a row, and rows hold names: it is not even chained.
        raise SourceError(
            f"{path.name} cannot be read as a table ({type(error).__name__}); "
            "check that it is UTF-8 and that every row has as many fields as the header"
        ) from None


def _read_json_lines(path: Path) -> pa.Table:
    # Not Arrow's reader: that one turns text which looks like a date into a date.
    with path.open(encoding="utf-8-sig") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no JSON object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table(
        {name: pa.array([as_text(row.get(name)) for row in rows], pa.string()) for name in names}
    )
