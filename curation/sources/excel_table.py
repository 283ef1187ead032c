"""Excel workbooks (.xlsx) as rows of text, with bounds on what unpacking them may cost."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import IO, Any

from ..errors import SourceError
from .table_text import value_text

MAX_UNPACKED_BYTES = 2**30
"""Most bytes that the parts of a workbook may unpack to."""
MAX_ROWS = 2**20
"""Rows of a sheet, as Excel bounds them."""

_MAX_PARTS = 10_000
_MAX_CELLS = 100_000_000
_BLOCK = 2**20
_OLE = b"\xd0\xcf\x11\xe0"
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_OVERLAP = 32
_ZEROS = re.compile(r"0+")


def read_excel(path: Path) -> tuple[list[str | None], Iterator[list[str | None]]]:
    """Return the header and the rows of the one sheet that holds something; hidden ones count too.

    Raises: SourceError where the file is no workbook, too large unpacked, has several sheets with
        something in them, or formulas whose results are not stored.
    """
    _refuse_bombs(path)
    try:
        rows = list(_sheet_rows(path))
    except SourceError:
        raise
    except Exception as error:
        # The reader of a damaged workbook may raise anything; its text may quote a cell.
        raise SourceError(
            f"the .xlsx table cannot be read as a workbook ({type(error).__name__}). "
            "Next: save it anew with a spreadsheet program"
        ) from None
    width = max((len(row) for row in rows), default=0)
    full = ([*row, *repeat(None, width - len(row))] for row in rows)
    header = next(full, None)
    if header is None:
        raise SourceError("the .xlsx table cannot be read as a table: its sheets are empty")
    return header, full


def _refuse_bombs(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) == _OLE:
            raise SourceError(
                "the .xlsx table is protected by a password or in the format of old .xls files. "
                "Next: save it as .xlsx without a password"
            )
        parts = _parts(file)
    if len(parts) > _MAX_PARTS or any(part.flag_bits & 1 for part in parts):
        raise SourceError("the .xlsx table is no workbook: too many parts, or encrypted ones")
    # Reading a part stops at the size that the archive states for it, so the sum is a bound.
    size = sum(part.file_size for part in parts)
    if size > MAX_UNPACKED_BYTES:
        raise SourceError(
            f"the .xlsx table unpacks to {size} bytes; at most {MAX_UNPACKED_BYTES} are read. "
            "Next: save it as .csv"
        )


def _parts(file: IO[bytes]) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise SourceError(
            "the .xlsx table cannot be read as a workbook: it is no zip archive, or a damaged one. "
            "Next: save it anew with a spreadsheet program"
        ) from None


def _sheet_rows(path: Path) -> Iterator[list[str | None]]:
    with closing(_load(path, data_only=True)) as book:
        filled = [number for number, sheet in enumerate(book.worksheets) if _has_values(sheet)]
        if len(filled) > 1:
            raise SourceError(
                f"the .xlsx table has {len(filled)} sheets that hold something, hidden ones "
                "included; expected one. Next: keep the one that describes the images"
            )
        for number in filled:
            formulas = _formula_rows(path, number)
            yield from _texts(_bounded(book.worksheets[number]), formulas)


def _load(path: Path, *, data_only: bool) -> Any:
    import openpyxl

    with warnings.catch_warnings():
        # It warns of extensions that it does not know; none of them changes a value.
        warnings.simplefilter("ignore")
        return openpyxl.load_workbook(
            path, read_only=True, data_only=data_only, keep_links=False, rich_text=False
        )


def _has_values(sheet: Any) -> bool:
    return any(cell.value is not None for row in _bounded(sheet) for cell in row)


def _bounded(sheet: Any) -> Iterator[Sequence[Any]]:
    """Yield the rows of a sheet; a row number that lies makes millions of empty ones."""
    sheet.reset_dimensions()  # what a sheet says of its own size may be a lie too
    cells = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, row in enumerate(sheet.iter_rows(), start=1):
            cells += len(row)
            if number > MAX_ROWS or cells > _MAX_CELLS:
                raise SourceError(
                    f"the .xlsx table has more than {MAX_ROWS} rows or {_MAX_CELLS} cells. "
                    "Next: save it as .csv"
                )
            yield row


def _formula_rows(path: Path, number: int) -> Iterator[Sequence[Any]]:
    """Yield the rows with formulas in place of their results; none where there is no formula."""
    if _has_formulas(path):
        with closing(_load(path, data_only=False)) as book:
            yield from _bounded(book.worksheets[number])


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if not part.filename.casefold().endswith(".xml"):
                continue
            tail = b""
            with archive.open(part) as file:
                while block := file.read(_BLOCK):
                    if _FORMULA.search(tail + block):
                        return True
                    tail = block[-_OVERLAP:]
    return False


def _texts(
    rows: Iterator[Sequence[Any]], formulas: Iterator[Sequence[Any]]
) -> Iterator[list[str | None]]:
    for number, row in enumerate(rows, start=1):
        for result, cell in zip(row, next(formulas, ()), strict=False):
            # "str" is a stored text, which may be empty.
            if cell.data_type == "f" and result.value is None and result.data_type != "str":
                raise SourceError(
                    f"the .xlsx table has a formula without a stored result in row {number}. "
                    "Next: open and save it with a spreadsheet program"
                )
        texts = [_text(cell) for cell in row]
        if any(text is not None for text in texts):
            yield texts


def _text(cell: Any) -> str | None:
    value = cell.value
    if isinstance(value, float) and not value.is_integer():
        # Excel keeps and shows 15 digits; the rest is what binary fractions add.
        return format(value, ".15g")
    text = value_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # A format of zeros is how a record number is shown with its leading zeros.
        zeros = _ZEROS.fullmatch(cell.number_format or "")
        return (text or "").zfill(len(zeros[0])) if zeros else text
    return text
