"""Fields with an Excel table of boxes: planted in their metadata and around the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from openpyxl.comments import Comment
from openpyxl.workbook.defined_name import DefinedName

from .cells import SIDE, cell, decoded, encoded
from .exif import planted_exif
from .expected import Cell, facts_of_cells, facts_of_groups
from .fact import Array, Fact, go
from .invented import Invented
from .jpeg import parts_of, segment
from .people import Row, columns_of, planted_people
from .png import chunk, with_chunk
from .tables import Part

_BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax", "x", "y", "width", "height", "bbox")
_STEP = SIDE + 16
_ACROSS = 4


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in px."""


def write_fields_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write two fields, one of them a JPEG, and an Excel table of the boxes of their cells."""
    people = planted_people("Excel", invented, seed, taken=_BOX_COLUMNS)
    images = folder / "fields"
    images.mkdir(parents=True)
    half = len(people.cells) // 2
    names = [invented.name() for _ in range(2)]
    first, boxes, facts = _write_png_field(
        images / f"{names[0]}.png", people.cells[:half], invented
    )
    second, more, others = _write_jpeg_field(
        images / f"{names[1]}.jpg", people.cells[half:], invented
    )
    cells, places = [*first, *second], [*boxes, *more]
    table = folder / f"{invented.name()}.xlsx"
    fields = [names[0]] * len(first) + [names[1]] * len(second)
    facts += others + _write_workbook(
        table, rows_of_boxes(people.rows, fields, places, cells), invented
    )
    facts += [go("file names", "of a field", name) for name in names]
    facts.append(go("file names", "of an Excel table", table.stem))
    kept = (*facts_of_cells(cells), *facts_of_groups("Excel", cells))
    return Part(images, tuple(cells), (*people.facts, *facts, *kept), ("--boxes", table))


Written = tuple[list[Cell], list[Box], list[Fact]]
"""The cells of a field as they are shown in it, the box of each, and what is planted."""


def _write_png_field(path: Path, cells: Sequence[Cell], invented: Invented) -> Written:
    field, boxes = mosaic(cells)
    text = invented.name()
    added = chunk(b"iTXt", b"T\0\0\0\0\0" + text.encode())
    path.write_bytes(with_chunk(encoded(field, "PNG"), added))
    return list(cells), boxes, [go("fields", "iTXt of a PNG", text)]


def _write_jpeg_field(path: Path, cells: Sequence[Cell], invented: Invented) -> Written:
    field, boxes = mosaic(cells)
    exif, facts = planted_exif("fields", invented)
    text = invented.name()
    parts = parts_of(encoded(field, "JPEG", quality=92))
    app1 = segment(0xE1, b"Exif\x00\x00" + exif)
    data = parts.with_first(app1, segment(0xFE, text.encode()))
    path.write_bytes(data)
    shown = decoded(data)
    seen = [replace(one, shown=_cut(shown, box)) for one, box in zip(cells, boxes, strict=True)]
    return seen, boxes, [*facts, go("fields", "COM", text)]


def mosaic(cells: Sequence[Cell]) -> tuple[Array, list[Box]]:
    """Return a field with cells in a grid, and the box of each."""
    down = -(-len(cells) // _ACROSS)
    # As pale as plasma; one colour would be a sign of a page, not of a smear.
    ground = cell(9_999, height=down * _STEP + 16, width=_ACROSS * _STEP + 16) // 8 + 215
    boxes = []
    for number, part in enumerate(cells):
        left, top = number % _ACROSS * _STEP + 16, number // _ACROSS * _STEP + 16
        boxes.append((left, top, left + SIDE, top + SIDE))
        ground[top : top + SIDE, left : left + SIDE] = part.shown
    return ground, boxes


def _cut(field: Array, box: Box) -> Array:
    left, top, right, bottom = box
    return np.ascontiguousarray(field[top:bottom, left:right])


def rows_of_boxes(
    rows: Sequence[Row], names: Sequence[str], boxes: Sequence[Box], cells: Sequence[Cell]
) -> list[Row]:
    """Return the rows of a table of boxes."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    return [
        {"file_name": name, "label": cell.label, **dict(zip(corners, map(str, box), strict=True)),
         **row}
        for row, name, box, cell in zip(rows, names, boxes, cells, strict=True)
    ]  # fmt: skip


def _write_workbook(path: Path, rows: Sequence[Row], invented: Invented) -> list[Fact]:
    """Write a workbook with names in its properties, comments, headers and sheet's name."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    columns = columns_of(rows)
    sheet.append(columns)
    for row in rows:
        sheet.append([row.get(column) for column in columns])
    texts = {}
    for name in ("creator", "lastModifiedBy", "title", "subject", "description", "keywords",
                 "category", "contentStatus", "identifier"):  # fmt: skip
        texts[f"property {name}"] = invented.name()
        setattr(book.properties, name, texts[f"property {name}"])
    for where in ("comment", "comment author", "header", "name of the sheet", "defined name"):
        texts[where] = invented.number()
    sheet["A2"].comment = Comment(texts["comment"], texts["comment author"])
    sheet.oddHeader.center.text = texts["header"]
    sheet.title = texts["name of the sheet"]
    defined = DefinedName("Befund", attr_text=f'"{texts["defined name"]}"')
    book.defined_names["Befund"] = defined
    sheet.column_dimensions["H"].hidden = True
    book.save(path)
    return [go("Excel", where, text) for where, text in texts.items()]
