"""Tables that are text: comma, semicolon or tab separated values, and JSON lines."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import SourceError
from .table_text import value_text

Rows = Iterable[Sequence[str | None]]

_BLOCK = 2**20
_SNIFFED_ROWS = 50
_SEPARATORS = (",", ";", "\t")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# Spreadsheets of some countries put this before the header, to say what separates the columns.
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?")
_WHOLE_NUMBER = re.compile(r"^(-?\d+)\.0+$")


def find_encoding(path: Path) -> str:
    """Return the encoding of a text file: UTF-8 (with or without a mark), UTF-16, or Windows-1252.

    Raises: SourceError where it is none of these, or a mixture.
    """
    with path.open("rb") as file:
        head = file.read(4)
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    if any(b"\x00" in block for block in _blocks(path)):
        raise SourceError(
            f"the {path.suffix} table holds NUL bytes, so it is no text that is known here; "
            "Next: save it as UTF-8"
        )
    if _decodes(path, "utf-8"):
        return "utf-8"
    # What older Windows programs write. A file with UTF-8 in it as well is damaged: read as
    # Windows-1252, its names would be others than those that may stand in the images.
    if not any(_UTF8_SEQUENCE.search(block) for block in _blocks(path)) and _decodes(
        path, "windows-1252"
    ):
        return "windows-1252"
    raise SourceError(
        f"the {path.suffix} table is neither UTF-8 nor UTF-16 nor Windows-1252 throughout. "
        "Next: save it as UTF-8"
    )


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def read_separated(path: Path, encoding: str) -> tuple[list[str], Rows]:
    """Return the header and the rows of a file of separated values.

    Raises: SourceError where the separator cannot be told, or a row has more or fewer fields than
        the header (found while the rows are read).
    """
    with path.open(encoding=encoding, newline="") as file:
        named = _SEPARATOR_LINE.fullmatch(file.readline())
        skipped = 1 if named else 0
    separator = named[1] if named else "\t" if path.suffix.casefold() == ".tsv" else None
    separator = separator or _sniff(path, encoding)
    records = _records(path, encoding, separator, skipped)
    header = next(records, None)
    if header is None:
        raise ValueError("no header")
    return header, _full_rows(records, len(header), path.suffix)


def _records(path: Path, encoding: str, separator: str, skipped: int = 0) -> Iterator[list[str]]:
    with path.open(encoding=encoding, newline="") as file:
        lines = islice(file, skipped, None)
        # Strict: a quotation mark that is never closed would swallow rows in silence.
        yield from (row for row in csv.reader(lines, delimiter=separator, strict=True) if row)


def _full_rows(records: Iterator[list[str]], width: int, suffix: str) -> Iterator[list[str]]:
    for number, row in enumerate(records, start=1):
        if len(row) < width or any(text.strip() for text in row[width:]):
            raise SourceError(
                f"the {suffix} table cannot be read as a table: row {number} has {len(row)} "
                f"fields; every row needs as many fields as the header, {width}"
            )
        yield row[:width]


def _sniff(path: Path, encoding: str) -> str:
    """Return the separator under which the first rows are all as wide as the header."""
    widths = {}
    for separator in _SEPARATORS:
        try:
            first = list(islice(_records(path, encoding, separator), _SNIFFED_ROWS))
        except csv.Error:
            continue
        if first and len(first[0]) > 1:
            fits = all(len(row) == len(first[0]) for row in first)
            widths[separator] = (fits, len(first[0]))
    if not widths:
        return ","
    best = max(widths.values())
    likely = [separator for separator, width in widths.items() if width == best]
    if len(likely) > 1:
        raise SourceError(
            f"the {path.suffix} table cannot be read as a table: its columns may be separated by "
            f"{' or '.join(repr(separator) for separator in likely)}. Next: save it as .tsv"
        )
    return likely[0]


def read_json_lines(path: Path, encoding: str) -> tuple[list[str], Rows]:
    """Return the names and the rows of a file with one JSON object a line.

    Raises: ValueError.
    """
    with path.open(encoding=encoding) as file:
        objects = [_parse(line) for line in file if line.strip()]
    names = list(dict.fromkeys(name for row in objects for name in row))
    return names, ([value_text(row.get(name)) for name in names] for row in objects)


def _parse(line: str) -> dict[str, Any]:
    try:
        # Numbers stay as they are written: 0.10 is no 0.1, and 12.0 is how pandas spells 12.
        row = json.loads(
            line,
            parse_int=str,
            parse_float=lambda text: _WHOLE_NUMBER.sub(r"\1", text),
            parse_constant=lambda _: None,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError("a line is no JSON object")
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
