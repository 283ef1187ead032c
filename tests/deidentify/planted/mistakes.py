"""Sources that must be refused: what they hold must not be in what is said about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from .cells import cell, encoded
from .fact import Fact, go
from .invented import Invented

_CARRIER = "errors"
Made = tuple[Path, list[str], *tuple[object, ...]]
"""The source, what is planted in it, and further arguments."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A source that must be refused, with further arguments of the command, and its facts.

    `says` is a pattern of the refusal: that it is refused for what is wrong with it.
    """

    where: str
    says: str
    source: Path
    facts: tuple[Fact, ...]
    more: tuple[str, ...] = ()


def write_mistakes(folder: Path, invented: Invented) -> Iterator[Mistake]:
    """Write each bad source into a folder of its own."""
    folder.mkdir(parents=True)
    for make, says in _MISTAKES.items():
        where = make.__name__.strip("_").replace("_", " ")
        below = folder / str(len(list(folder.iterdir())))
        below.mkdir()
        source, texts, *more = make(below, invented)
        facts = tuple(go(_CARRIER, where, text) for text in texts)
        yield Mistake(where, says, source, facts, tuple(str(argument) for argument in more))


def _folder_with_table(folder: Path, invented: Invented, name: str, text: str) -> list[str]:
    """Write two cells and a table; return what their names hold."""
    # No commas: they would end a field of the table.
    stems = [invented.name().replace(", ", "_") for _ in range(2)]
    for seed, stem in enumerate(stems):
        (folder / f"{stem}.png").write_bytes(encoded(cell(seed), "PNG"))
    table = text.replace("FILE0", f"{stems[0]}.png").replace("FILE1", f"{stems[1]}.png")
    (folder / name).write_text(table, encoding="utf-8")
    return stems


def _csv_with_ragged_rows(folder: Path, invented: Invented) -> Made:
    who = invented.latin_name().replace(", ", " ")
    text = f"file_name,label,patient\nFILE0,BA,{who}\nFILE1,MO,{who},more\n"
    return folder, [who, *_folder_with_table(folder, invented, "metadata.csv", text)]


def _csv_that_is_not_utf_8(folder: Path, invented: Invented) -> Made:
    who = invented.number()
    _folder_with_table(folder, invented, "metadata.csv", "file_name,label\n")
    rows = f"file_name,label,patient\na.png,BA,{who} ".encode() + b"\x81 M\xc3\xbc\n"
    (folder / "metadata.csv").write_bytes(rows)
    return folder, [who]


def _column_that_no_rule_names(folder: Path, invented: Invented) -> Made:
    who = invented.number()
    text = f"file_name,label,horoscope\nFILE0,BA,{who}\nFILE1,MO,{who}\n"
    return folder, [who, *_folder_with_table(folder, invented, "metadata.csv", text)]


def _value_that_no_rule_expects(folder: Path, invented: Invented) -> Made:
    who, born = invented.email(), invented.number()
    text = f"file_name,label,age,acquired\nFILE0,BA,{who},{born}\nFILE1,MO,47,2019\n"
    return folder, [who, born, *_folder_with_table(folder, invented, "metadata.csv", text)]


def _json_line_that_is_cut(folder: Path, invented: Invented) -> Made:
    who = invented.name()
    text = f'{{"file_name": "FILE0", "label": "BA", "patient": "{who}"\n'
    return folder, [who, *_folder_with_table(folder, invented, "metadata.jsonl", text)]


def _two_tables(folder: Path, invented: Invented) -> Made:
    text = "file_name,label\nFILE0,BA\n"
    stems = _folder_with_table(folder, invented, "metadata.csv", text)
    (folder / "metadata.jsonl").write_text("{}\n")
    return folder, stems


def _table_column_named_by_a_flag(folder: Path, invented: Invented) -> Made:
    who = invented.number()
    text = f"file_name,label,patient\nFILE0,BA,{who}\nFILE1,MO,{who}\n"
    stems = _folder_with_table(folder, invented, "metadata.csv", text)
    return folder, [who, *stems], "--slide-column", "nowhere"


def _header_that_is_a_row(folder: Path, invented: Invented) -> Made:
    who, born = invented.number(), invented.day().isoformat()
    text = f"FILE0,BA,{who},{born}\nFILE1,MO,{who},{born}\n"
    return folder, [who, born, *_folder_with_table(folder, invented, "metadata.csv", text)]


def _parquet_that_is_cut(folder: Path, invented: Invented) -> Made:
    who, name = invented.name(), invented.name()
    image = {"bytes": encoded(cell(0), "PNG"), "path": who}
    whole = folder / "whole.parquet"
    pq.write_table(pa.table({"image": [image], "label": ["BA"]}), whole, compression="none")
    path = folder / f"{name}.parquet"
    path.write_bytes(whole.read_bytes()[:-30])
    whole.unlink()
    return path, [who, name]


def _parquet_without_images(folder: Path, invented: Invented) -> Made:
    who, name = invented.name(), invented.name()
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({"label": ["BA"], "patient": [who]}), path, compression="none")
    return path, [who, name]


def _parquets_that_differ(folder: Path, invented: Invented) -> Made:
    image = {"bytes": encoded(cell(0), "PNG"), "path": None}
    names = [invented.name() for _ in range(2)]
    for name, column in zip(names, ("patient", "case"), strict=True):
        table = pa.table({"image": [image], "label": ["BA"], column: [name]})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder, names


def _link_that_leads_out(folder: Path, invented: Invented) -> Made:
    name, outside = invented.name(), invented.name()
    (folder / f"{outside}.png").write_bytes(encoded(cell(0), "PNG"))
    (folder / "export" / "BA").mkdir(parents=True)
    (folder / "export" / "BA" / f"{name}.png").symlink_to(folder / f"{outside}.png")
    return folder / "export", [name, outside]


def _nothing_but_broken_images(folder: Path, invented: Invented) -> Made:
    who, name = invented.number(), invented.name()
    (folder / "BA").mkdir()
    data = encoded(cell(0), "JPEG", comment=who.encode())
    (folder / "BA" / f"{name}.jpg").write_bytes(data[: len(data) // 2])
    (folder / "BA" / f"{name}.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff" + who.encode())
    return folder, [who, name]


def _folders_of_patients(folder: Path, invented: Invented) -> Made:
    names = [invented.name() for _ in range(2)]
    for seed, name in enumerate(names):
        (folder / name).mkdir()
        (folder / name / "cell.png").write_bytes(encoded(cell(seed), "PNG"))
    return folder, names


def _a_label_that_is_a_remark(folder: Path, invented: Invented) -> Made:
    who = invented.latin_name().replace(", ", " ")
    text = f"file_name,label\nFILE0,basophil of {who}\nFILE1,MO\n"
    return folder, [who, *_folder_with_table(folder, invented, "metadata.csv", text)]


def _a_workbook_that_is_none(folder: Path, invented: Invented) -> Made:
    who, name = invented.number(), invented.name()
    table = folder / f"{name}.xlsx"
    table.write_bytes(b"PK\x03\x04" + who.encode())
    return _with_field(folder, invented), [who, name], "--boxes", table


def _a_workbook_of_two_sheets(folder: Path, invented: Invented) -> Made:
    who, sheet = invented.name(), invented.number()
    book = openpyxl.Workbook()
    book.worksheets[0].append(["file_name", "label", "patient"])
    book.create_sheet(sheet).append([who])
    table = folder / "boxes.xlsx"
    book.save(table)
    return _with_field(folder, invented), [who, sheet], "--boxes", table


def _boxes_of_another_field(folder: Path, invented: Invented) -> Made:
    who, name = invented.number(), invented.name()
    table = folder / "boxes.csv"
    row = f'"{name}.png",BA,2,2,30,30,{who}'
    table.write_text(f"file_name,label,xmin,ymin,xmax,ymax,patient\n{row}\n", encoding="utf-8")
    return _with_field(folder, invented), [who, name], "--boxes", table


def _with_field(folder: Path, invented: Invented) -> Path:
    (folder / "fields").mkdir()
    (folder / "fields" / f"{invented.name()}.png").write_bytes(encoded(cell(0), "PNG"))
    return folder / "fields"


def _a_slide_without_boxes(folder: Path, invented: Invented) -> Made:
    name = invented.name()
    (folder / "BA").mkdir()
    (folder / "BA" / f"{name}.svs").write_bytes(b"II*\0\x08\0\0\0\0\0" + name.encode())
    return folder, [name]


Make = Callable[[Path, Invented], Made]
_MISTAKES: dict[Make, str] = {
    _csv_with_ragged_rows: "row 2 has 4 fields",
    _csv_that_is_not_utf_8: "neither UTF-8 nor",
    _column_that_no_rule_names: "names 'horoscope'",
    _value_that_no_rule_expects: r"'age' \(1\), 'acquired' \(1\)",
    _json_line_that_is_cut: "JSONDecodeError",
    _two_tables: "2 metadata tables",
    _table_column_named_by_a_flag: "no column 'nowhere'",
    _header_that_is_a_row: "no header",
    _parquet_that_is_cut: "cannot be read as Parquet",
    _parquet_without_images: "no column of images",
    _parquets_that_differ: "other columns",
    _link_that_leads_out: "leads out",
    _nothing_but_broken_images: "unreadable: 2",
    _folders_of_patients: "2 label",
    _a_label_that_is_a_remark: "1 label",
    _a_workbook_that_is_none: "cannot be read as a workbook",
    _a_workbook_of_two_sheets: "2 sheets",
    _boxes_of_another_field: "field_missing",
    _a_slide_without_boxes: "whole slides",
}
