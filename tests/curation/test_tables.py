from __future__ import annotations

import csv
import datetime as dt
import io
import json
import zipfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import SourceError
from curation.sources import excel_table, tables
from curation.sources.tables import NOTHING, read_table

HEADER = ("file", "patient_id", "note")
IN_A_CELL = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff")
WORDS = st.text(IN_A_CELL, max_size=8)
TEXTS = st.one_of(
    WORDS,
    st.sampled_from(NOTHING),
    st.from_regex(r"0{0,4}[0-9]{1,6}(\.[0-9]{0,3})?", fullmatch=True),
    st.dates().map(str),
    st.sampled_from(["a;b", "a,b", "a\tb", 'say "x"', "two\nlines", "=1+1", "true", "1e5"]),
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=6)
QUICK = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def expected(rows: list[tuple[str, ...]]) -> list[dict[str, str | None]]:
    def text(value: str) -> str | None:
        return None if value.strip() in NOTHING else value.strip()

    return [{name: text(v) for name, v in zip(HEADER, row, strict=True)} for row in rows]


def read(path: Path, data: bytes | str) -> list[dict[str, str | None]]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    found: list[dict[str, str | None]] = read_table(path).to_pylist()
    return found


def refused(path: Path, match: str) -> str:
    with pytest.raises(SourceError, match=match) as caught:
        read_table(path)
    assert path.stem not in str(caught.value), "the name of a file may name a person"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def workbook(path: Path, rows: list[list[Any]], **sheets: list[list[Any]]) -> Any:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for name, more in sheets.items():
        other = book.create_sheet(name)
        for row in more:
            other.append(row)
    book.save(path)
    return book


@QUICK
@given(ROWS, st.sampled_from(",;\t"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_separated_values_come_back(
    tmp_path: Path, rows: list[tuple[str, ...]], separator: str, encoding: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator)
    writer.writerow(HEADER)
    writer.writerows(rows)
    path = tmp_path / ("x.tsv" if separator == "\t" else "x.csv")
    assert read(path, out.getvalue().encode(encoding)) == expected(rows)


@QUICK
@given(ROWS)
def test_json_lines_come_back(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    lines = [json.dumps(dict(zip(HEADER, row, strict=True))) for row in rows]
    if rows:
        assert read(tmp_path / "x.jsonl", "\n\n".join(lines)) == expected(rows)


@QUICK
@given(ROWS)
def test_parquet_comes_back(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    columns = {n: pa.array([row[i] for row in rows], pa.string()) for i, n in enumerate(HEADER)}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns, metadata={"owner": "Jane Roe"}), path)
    found = read_table(path)
    assert found.to_pylist() == expected(rows)
    assert not found.schema.metadata


@settings(QUICK, max_examples=20)
@given(ROWS)
def test_workbooks_come_back(tmp_path: Path, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path / "x.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER)
    for number, row in enumerate(rows, start=2):
        for place, text in enumerate(row, start=1):
            sheet.cell(number, place, text).data_type = "s"  # no formula, no error
    book.save(path)
    wanted = [row for row in expected(rows) if any(t for t in row.values())]
    found = [row for row in read_table(path).to_pylist() if any(row.values())]
    assert found == wanted


def test_what_numbers_and_dates_look_like(tmp_path: Path) -> None:
    rows: list[list[Any]] = [
        ["file", "record", "acquired", "value", "fresh", None],
        ["a.jpg", 7, dt.datetime(2020, 1, 2), 0.1 + 0.2, True, None],
        ["b.jpg", "007", dt.datetime(2020, 1, 2, 3, 4), 12.0, False, None],
        [None, None, None, None, None, None],
        ["c.jpg", 12, dt.time(3, 4), 1e20, "#REF!", "  "],
    ]
    path = tmp_path / "x.xlsx"
    book = workbook(path, rows, Empty=[])
    book.active["B2"].number_format = "000000"
    book.active.row_dimensions[3].hidden = True
    book.active.column_dimensions["D"].hidden = True
    book.save(path)
    assert [tuple(row.values()) for row in read_table(path).to_pylist()] == [
        ("a.jpg", "000007", "2020-01-02", "0.3", "true"),
        ("b.jpg", "007", "2020-01-02T03:04:00", "12", "false"),
        ("c.jpg", "12", "03:04:00", "100000000000000000000", "#REF!"),
    ]
    table = {
        "n": pa.array([1, None]), "f": pa.array([2.0, float("nan")]), "g": pa.array([0.25, None]),
        "d": pa.array([dt.date(2020, 1, 2), None]), "b": pa.array([True, None]),
        "t": pa.array([1_577_923_200_000_000_123, None], pa.timestamp("ns")),
        "m": pa.array([Decimal("1.50"), None]), "raw": pa.array([b"M\xc3\xbcller", None]),
        "box": pa.array([[1, 2], None]), "who": pa.array([{"name": "Ann"}, None]),
        "c": pa.array(["x", None]).dictionary_encode(),
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    first, second = read_table(tmp_path / "x.parquet").to_pylist()
    assert first == {
        "n": "1", "f": "2", "g": "0.25", "d": "2020-01-02", "b": "true", "t": "2020-01-02",
        "m": "1.50", "raw": "Müller", "box": "[1, 2]", "who": '{"name": "Ann"}', "c": "x",
    }  # fmt: skip
    assert set(second.values()) == {None}
    line = '{"a": 0.10, "b": 12.0, "c": 12.05, "d": 1e5, "e": [1, 2.0], "f": NaN, "g": 007}'
    assert read(tmp_path / "x.jsonl", line.replace("007", '"007"')) == [
        {"a": "0.10", "b": "12", "c": "12.05", "d": "1e5", "e": '["1", "2"]', "f": None, "g": "007"}
    ]


def test_headers_as_they_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert read(path, 'file;"patient\nid"; note \n1;007;x\n') == [
        {"file": "1", "patient\nid": "007", "note": "x"}
    ]
    assert read(path, "sep=;\r\nfile;id\r\na;007\r\n") == [{"file": "a", "id": "007"}]
    # The header decides, and where it does not, the rows do.
    assert read(path, "file;size\na;1,5\nb;2,5\n") == [
        {"file": "a", "size": "1,5"}, {"file": "b", "size": "2,5"}
    ]  # fmt: skip
    assert read(path, "file;last, first\na;Roe, Jane\nb;Doe\n")[1] == {
        "file": "b", "last, first": "Doe"
    }  # fmt: skip
    # pandas writes its index as a column without a name; spreadsheets, empty ones at the end.
    assert read(path, ",file,,\n0,a,,\n1,b,,,,\n") == [
        {"column 1": "0", "file": "a"}, {"column 1": "1", "file": "b"}
    ]  # fmt: skip
    assert read(path, "file\n007\n\n008\n") == [{"file": "007"}, {"file": "008"}]


def test_the_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "roe.csv"
    for encoding, told in (("utf-8", "utf-8"), ("utf-16-le", "utf-16"), ("cp1252", "windows-1252")):
        mark = b"\xff\xfe" if told == "utf-16" else b""
        assert read(path, mark + "file,who\na,Müller\n".encode(encoding))[0]["who"] == "Müller"
        assert read_table(path).schema.metadata == {b"encoding": told.encode()}
    for broken in (
        "file,who\na,Müller\n".encode() + "b,Müller\n".encode("cp1252"),  # a mixture
        b"file,who\na,\x81\n",
        "file,who\na,b\n".encode("utf-16-le"),  # no mark
    ):
        path.write_bytes(broken)
        refused(path, "UTF-8")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("file,who\na,Jane,1961\n", "row 1 has 3 fields.*as many fields as the header, 2"),
        ("file,who\na,Ann\nJane\n", "row 2 has 1 fields"),
        ('file,who\na,"Jane Roe\nb,Ann\n', "cannot be read as a table"),  # a quote never closed
        ('file,who\na,"Jane" Roe\n', "cannot be read as a table"),
        ("", "cannot be read as a table"),
        (",,\n,,\n", "no named column"),
        ("file,who,who\na,Jane,b\n", "two columns of one name"),
        ("file;x,who\na;Jane,b\n", "separated by ',' or ';'"),
        ("smear_01.jpg,Jane Roe\nb.jpg,Ann\n", "no header: field 1 "),
        ("Jane Roe,1961-03-04\nAnn,b\n", "no header: field 2 "),
        ("Jane Roe,00123456\nAnn,b\n", "no header: field 2 "),
        (f"file,{'Jane ' * 60}\na,b\n", "no header: field 2 "),
    ],
)
def test_separated_values_that_are_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "roe.csv"
    path.write_text(text)
    assert "Jane" not in refused(path, match)


@pytest.mark.parametrize(
    "line",
    [
        '{"who": "Jane"', '["Jane"]', '"Jane"', '{"who": "Jane", "who": "Roe"}',
        '{"Jane": "\\ud800"}', '{"Jane": ' + "[" * 100_000,
    ],
)  # fmt: skip
def test_json_lines_that_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "roe.jsonl"
    path.write_text(line)
    assert "Jane" not in refused(path, "cannot be read as a table")


def test_files_that_are_no_table(tmp_path: Path) -> None:
    for suffix in (".xls", ".ods"):
        (tmp_path / f"roe{suffix}").write_bytes(b"\xd0\xcf\x11\xe0")
        refused(tmp_path / f"roe{suffix}", "Next: save it as .xlsx")
    (tmp_path / "roe.txt").write_text("file\n")
    refused(tmp_path / "roe.txt", "no table; expected .csv")
    (tmp_path / "export.Roe").write_text("file\n")
    assert "roe" not in refused(tmp_path / "export.Roe", "no table; expected .csv").casefold()
    refused(tmp_path / "roe.csv", "cannot be opened: No such file")
    (tmp_path / "roe.parquet").write_bytes(b"PAR1 Jane")
    refused(tmp_path / "roe.parquet", "cannot be read as a table")
    pq.write_table(pa.table({"thumbnail": [b"\xff\xd8Jane"]}), tmp_path / "roe.parquet")
    refused(tmp_path / "roe.parquet", "cannot be read as a table")


def test_a_table_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 1000)
    (tmp_path / "roe.csv").write_text("file\n" + "x" * 1000)
    refused(tmp_path / "roe.csv", "larger than")
    same = pa.table({"file": [f"{n % 7}" * 400 for n in range(10_000)]})
    pq.write_table(same, tmp_path / "roe.parquet", compression="zstd", use_dictionary=False)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 2_000_000)
    assert (tmp_path / "roe.parquet").stat().st_size < 100_000
    refused(tmp_path / "roe.parquet", "larger than.*unpacked")


def test_workbooks_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "roe.xlsx"
    rows = [["file", "who"], ["a", "Jane"]]
    book = workbook(path, rows, Other=rows)
    book["Other"].sheet_state = "hidden"
    book.save(path)
    refused(path, "has 2 sheets that hold something, hidden ones included")
    workbook(path, [])
    refused(path, "its sheets are empty")
    workbook(path, [["file", "who"], ["a", "=CONCAT(A1,A2)"]])
    refused(path, "formula without a stored result in row 2")
    workbook(path, [["file", "file"], ["a", "Jane"]])
    refused(path, "two columns of one name")
    path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    refused(path, "password or in the format of old .xls")
    for broken in (b"PK\x03\x04 and then nothing", b"", b"<html>Jane</html>"):
        path.write_bytes(broken)
        refused(path, "no zip archive, or a damaged one")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "Jane")
    refused(path, "cannot be read as a workbook")


def sheet_of(path: Path, xml: str) -> Path:
    """Write a workbook whose sheet's rows are given as XML."""
    whole = path.with_name("whole.xlsx")
    workbook(whole, [["file"]])
    name = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            if part != name:
                new.writestr(part, old.read(part))
        new.writestr(name, xml)
    return path


SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
LIE = f'<worksheet {SPACE}><dimension ref="A1:XFD1048576"/><sheetData>'
FIRST = '<row r="1"><c r="A1" t="str"><v>file</v></c><c r="B1" t="str"><v>who</v></c></row>'
END = "</sheetData></worksheet>"


def test_results_of_formulas(tmp_path: Path) -> None:
    cells = '<c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="str"><f>IF(1,"","")</f><v></v></c>'
    path = sheet_of(tmp_path / "x.xlsx", f'{LIE}{FIRST}<row r="2">{cells}</row>{END}')
    assert read_table(path).to_pylist() == [{"file": "2", "who": None}]


def test_workbooks_that_lie_about_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = '<row r="2000000000"><c r="A2000000000"><v>3</v></c></row>'
    path = sheet_of(tmp_path / "roe.xlsx", f"{LIE}{FIRST}{far}{END}")
    with monkeypatch.context() as patch:
        patch.setattr(excel_table, "MAX_ROWS", 1000)
        refused(path, "more than 1000 rows")
    sheet_of(path, f"{LIE}{FIRST}{' ' * 5_000_000}{END}")
    assert path.stat().st_size < 20_000
    with monkeypatch.context() as patch:
        patch.setattr(excel_table, "MAX_UNPACKED_BYTES", 4_000_000)
        refused(path, "unpacks to .* bytes")
    names = "abcdefghijk"
    entities = "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in pairwise(names))
    bomb = f'<!DOCTYPE x [<!ENTITY a "{"x" * 64}">{entities}]>'
    sheet_of(path, f'{bomb}{LIE}<row r="1"><c r="A1" t="str"><v>&k;</v></c></row>{END}')
    refused(path, "cannot be read as a workbook")
