"""Reading a table that lies beside images: every column as text, so that nothing is reinterpreted.

A record number keeps its leading zeros and a date stays as it was written. Errors quote no row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import SourceError
from .excel_table import read_excel
from .source import IMAGE_SUFFIXES
from .table_text import value_text
from .text_table import Rows, find_encoding, read_json_lines, read_separated

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xlsm")
MAX_TABLE_BYTES = 8 * 2**30
"""Largest size of a table, unpacked."""

NOTHING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
"""How tables spell that a field is empty: pyarrow's and pandas' list."""

_CHUNK = 65_536
_OFFICE_SUFFIXES = (".xls", ".xlsb", ".ods", ".numbers")
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?.*|\d\d?[./-]\d\d?[./-]\d{2,4}.*")
_LONG_NUMBER = re.compile(r"\d{5,}")


def read_table(path: Path) -> pa.Table:
    """Read a table as columns of text, None where a field is empty.

    The table's metadata says under `encoding` how the bytes of a text file were understood.

    Raises: SourceError where it is no table that is known, or is damaged.
    """
    suffix = path.suffix.casefold()
    if suffix in _OFFICE_SUFFIXES:
        raise SourceError(f"{suffix} tables are not read. Next: save it as .xlsx or .csv")
    if suffix not in TABLE_SUFFIXES:
        # An unknown suffix is not shown: what follows a dot may be part of somebody's name.
        raise SourceError(f"this file is no table; expected {', '.join(TABLE_SUFFIXES)}")
    try:
        return _read(path, suffix)
    except OSError as error:
        raise SourceError(f"the {suffix} table cannot be opened: {error.strerror}") from None
    except (pa.ArrowException, ValueError, csv.Error) as error:
        # The parser's own text may quote a row, and rows hold names: it is not even chained.
        raise SourceError(
            f"the {suffix} table cannot be read as a table ({type(error).__name__}); "
            "check that it is UTF-8 and that every row has as many fields as the header"
        ) from None


def _read(path: Path, suffix: str) -> pa.Table:
    if path.stat().st_size > MAX_TABLE_BYTES:
        raise SourceError(f"the {suffix} table is larger than {MAX_TABLE_BYTES >> 30} GiB")
    if suffix == ".parquet":
        return _parquet_table(path)
    if suffix in (".xlsx", ".xlsm"):
        return _text_table(*read_excel(path))
    encoding = find_encoding(path)
    read = read_separated if suffix in (".csv", ".tsv") else read_json_lines
    table = _text_table(*read(path, encoding))
    return table.replace_schema_metadata({"encoding": encoding})


def _parquet_table(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        groups = (file.metadata.row_group(n) for n in range(file.metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > MAX_TABLE_BYTES:
            raise SourceError(f"the table is larger than {MAX_TABLE_BYTES >> 30} GiB, unpacked")
        found = file.read()
    return _table(found.column_names, [_text_column(column) for column in found.columns])


def _text_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return pa.chunked_array([_texts(chunk.to_pylist()) for chunk in column.chunks], pa.string())


def _texts(values: Sequence[object]) -> pa.Array:
    return pa.array([value_text(value) for value in values], pa.string())


def _text_table(header: Sequence[str | None], rows: Rows) -> pa.Table:
    chunks: list[list[pa.Array]] = [[] for _ in header]
    for part in _parts(iter(rows)):
        for place, values in enumerate(zip(*part, strict=True)):
            chunks[place].append(pa.array(values, pa.string()))
    return _table(header, [pa.chunked_array(chunk, pa.string()) for chunk in chunks])


def _parts(rows: Iterator[Sequence[str | None]]) -> Iterator[list[Sequence[str | None]]]:
    while part := list(islice(rows, _CHUNK)):
        yield part


def _table(header: Sequence[str | None], columns: Sequence[pa.ChunkedArray]) -> pa.Table:
    columns = [_tidy(column) for column in columns]
    names = [(name or "").strip() for name in header]
    _refuse_rows_as_header(names)
    found: dict[str, pa.ChunkedArray] = {}
    for number, (name, column) in enumerate(zip(names, columns, strict=True), start=1):
        if not name and column.null_count == len(column):
            continue  # spreadsheets write empty columns behind the last one
        # It gets a name, so that a policy can refuse or drop it.
        name = name or f"column {number}"
        if name in found:
            raise SourceError("the table has two columns of one name")
        found[name] = column
    if not found:
        raise SourceError("the table cannot be read as a table: it has no named column")
    return pa.table(found)


def _tidy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    nothing = pc.is_in(trimmed, value_set=pa.array(NOTHING))
    return pc.if_else(nothing, pa.scalar(None, pa.string()), trimmed)


def _refuse_rows_as_header(names: Sequence[str]) -> None:
    """Refuse a header that looks like a row: names of columns may be shown, values may not."""
    for place, name in enumerate(names, start=1):
        is_file = name.casefold().endswith(IMAGE_SUFFIXES)
        if is_file or _DATE.fullmatch(name) or _LONG_NUMBER.fullmatch(name) or len(name) > 200:
            raise SourceError(
                f"the table has no header: field {place} of its first row looks like a value, not "
                "like the name of a column. Next: put the columns' names into the first row"
            )
