"""One Parquet file, or a folder of them, with an image column."""

from __future__ import annotations

import bisect
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import SourceError
from ..private_names import file_words
from .image_files import files_identity, path_text
from .image_folder import METADATA_TABLES
from .source import (
    Columns,
    RawCell,
    as_text,
    distinct_values,
    find_column,
    label_text,
    refuse_synthetic,
)


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """Cells in the rows of Parquet files; `starts` holds the first position of each row group."""

    files: tuple[Path, ...]
    groups: tuple[tuple[Path, int], ...]
    starts: tuple[int, ...]
    total: int
    roles: Mapping[str, str]
    label_names: tuple[str, ...]
    columns: tuple[str, ...]
    kind: str = field(default="Parquet with an image column")

    def __len__(self) -> int:
        return self.total

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells."""
        column = self.roles["label"]
        counts: Counter[str] = Counter()
        for path in self.files:
            table = pq.read_table(path, columns=[column], partitioning=None)
            counts.update(self._label(value) for value in table[column].to_pylist())
        counts.pop("", None)
        return counts

    def _label(self, value: Any) -> str:
        return label_text(value, self.label_names)

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions; one row group is in memory at a time."""
        wanted = [*self.roles.values(), *self.columns]
        group = bisect.bisect_right(self.starts, start) - 1
        while group < len(self.groups) and self.starts[group] < stop:
            path, number = self.groups[group]
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(number, columns=wanted)
            first = self.starts[group]
            begin = max(start - first, 0)
            rows = table.slice(begin, stop - first - begin)
            for offset, row in enumerate(rows.to_pylist()):
                yield self._cell(first + begin + offset, row)
            group += 1

    def _cell(self, position: int, row: Mapping[str, Any]) -> RawCell:
        image = row[self.roles["image"]]
        data, name = (image or {}).get("bytes"), (image or {}).get("path")
        label = self._label(row[self.roles["label"]])
        problem = "file_missing" if data is None else None if label else "label_missing"
        fields = {column: as_text(row[column]) for column in self.columns}
        return RawCell(name or f"row {position}", label, data, fields, problem)

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the names of files, and every value of every column but image and label."""
        image = self.roles["image"]
        for path in self.files:
            yield "file", path_text(path.stem)
            with pq.ParquetFile(path) as opened:
                names = opened.read(columns=[f"{image}.path"])
            for entry in names[image].to_pylist():
                if entry and entry.get("path"):
                    yield "file", Path(entry["path"]).stem
            table = pq.read_table(path, columns=list(self.columns), partitioning=None)
            yield from distinct_values({name: table[name].to_pylist() for name in self.columns})

    def identity(self) -> str:
        """Return a hash over names, sizes and times of change."""
        return files_identity(list(self.files))


def open_parquet(location: str, columns: Columns) -> ParquetSource | None:
    """Open a Parquet file, or a folder that holds some and no metadata table.

    Raises: SourceError where a file cannot be read or has no image column.
    """
    files = _parquet_files(Path(location))
    if not files:
        return None
    schemas = {path: _schema(path) for path in files}
    schema = schemas[files[0]]
    for path, other in schemas.items():
        if other.names != schema.names:
            raise SourceError(
                f"{file_words(path)} of the source has other columns than {file_words(files[0])}"
            )
        if "origin" in other.names:
            origins = pq.read_table(path, columns=["origin"], partitioning=None)["origin"]
            refuse_synthetic(origins.unique().to_pylist(), file_words(path))
    groups = [
        (path, number, rows) for path in files for number, rows in enumerate(_group_rows(path))
    ]
    ends = list(accumulate(rows for _, _, rows in groups))
    where = file_words(files[0])
    names = schema.names
    label = find_column(names, "label", columns.label, where, required=True)
    roles = {"label": label or "", "image": _image_column(schema, columns.image, where)}
    return ParquetSource(
        files=tuple(files),
        groups=tuple((path, number) for path, number, _ in groups),
        starts=tuple([0, *ends][: len(groups)]),
        total=ends[-1] if ends else 0,
        roles=roles,
        label_names=_label_names(schema, roles["label"]),
        columns=tuple(name for name in names if name not in roles.values()),
    )


def _parquet_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    if not path.is_dir() or any((path / name).is_file() for name in METADATA_TABLES):
        return []
    # A corpus keeps its shards in data/; its reports are no source.
    return sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        # Not chained: the cause's own text may hold the path.
        raise SourceError(
            f"{file_words(path)} of the source cannot be read as Parquet "
            f"({type(error).__name__}); is it whole?"
        ) from None


def _group_rows(path: Path) -> list[int]:
    with pq.ParquetFile(path) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


def _image_column(schema: pa.Schema, wanted: str | None, where: str) -> str:
    name = find_column(schema.names, "image", wanted, where)
    candidates = [name] if name else [
        column.name for column in schema if _is_image(column.type)
    ]  # fmt: skip
    if len(candidates) != 1 or not _is_image(schema.field(candidates[0]).type):
        raise SourceError(
            f"{where} has no column of images (struct<bytes, path>); found {schema.names}. "
            "Next: name it with --image-column"
        )
    return candidates[0]


def _is_image(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {"bytes", "path"} <= {child.name for child in kind}


def _label_names(schema: pa.Schema, column: str | None) -> tuple[str, ...]:
    info = (schema.metadata or {}).get(b"huggingface")
    if info is None:
        return ()
    features = json.loads(info).get("info", {}).get("features", {})
    return tuple(features.get(column, {}).get("names") or ())
