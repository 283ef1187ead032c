"""Image folders with tables, Parquet with images, and Excel: planted in every column and beside."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .cells import cell, encoded
from .expected import Cell, facts_of_cells, facts_of_groups, label_of
from .fact import Fact, go
from .invented import Invented
from .people import People, Row, columns_of, planted_people


@dataclass(frozen=True, slots=True)
class Part:
    """One source of the made export: where it lies, its cells, and what is planted in it.

    `arguments` are further ones of `curate`; such a source is curated in a run of its own.
    """

    source: Path
    cells: tuple[Cell, ...]
    facts: tuple[Fact, ...]
    arguments: tuple[object, ...] = ()


def write_csv_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write PNG files and metadata.csv."""
    people = planted_people("CSV", invented, seed)
    files, named = _write_files(folder, people, invented)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, ["file_name", "label", *columns_of(people.rows)])
        table.writeheader()
        table.writerows(_full_rows(people, files))
    return _part(folder, people, named)


def write_json_lines_part(folder: Path, invented: Invented, seed: int, known: str) -> Part:
    """Write PNG files and metadata.jsonl, with columns called as people call them."""
    people = planted_people("JSON lines", invented, seed, known=known)
    files, named = _write_files(folder, people, invented)
    lines = [
        json.dumps({_titled(column): value for column, value in row.items()}, ensure_ascii=odd)
        for row, odd in zip(_full_rows(people, files), [True, False] * 9, strict=False)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _part(folder, people, named)


def _titled(column: str) -> str:
    return column if column in ("file_name", "label") else column.replace("_", " ").title()


def write_parquet_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write PNG files and metadata.parquet, with names in its metadata too."""
    people = planted_people("Parquet table", invented, seed)
    files, named = _write_files(folder, people, invented)
    rows = list(_full_rows(people, files))
    columns = ["file_name", "label", *columns_of(people.rows)]
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    table, facts = _with_metadata(table, "Parquet table", invented)
    pq.write_table(table, folder / "metadata.parquet", compression="zstd")
    return _part(folder, people, [*named, *facts])


def write_image_parquet_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write a Parquet file with a column of images, as exported by data tools."""
    carrier = "Parquet with images"
    folder.mkdir(parents=True)
    people = planted_people(carrier, invented, seed)
    names = [f"C:\\Export\\{invented.name()}\\{invented.number()}.png" for _ in people.rows]
    facts = [go(carrier, "image.path", part) for name in names for part in name.split("\\")[2:]]
    facts = [go(carrier, "image.path", f.text.removesuffix(".png")) for f in facts]
    images = [
        {"bytes": encoded(made.shown, "PNG"), "path": name}
        for made, name in zip(people.cells, names, strict=True)
    ]
    columns: dict[str, object] = {"image": images, "label": [c.label for c in people.cells]}
    for name in columns_of(people.rows):
        columns[name] = [row.get(name) for row in people.rows]
    table, planted = _with_metadata(pa.table(columns), carrier, invented)
    file_name = invented.name()
    pq.write_table(table, folder / f"{file_name}.parquet", row_group_size=3)
    facts += [*planted, go("file names", "a Parquet file", file_name)]
    return _part(folder, people, facts)


def write_remarks_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write a table in whose column of labels somebody wrote remarks; such rows are left out."""
    folder.mkdir(parents=True)
    remarks = [f"basophil of {invented.plain_name().replace(', ', ' ')}" for _ in range(3)]
    cells = [Cell("labels", f"cell {n}", cell(seed + n), label_of(n)) for n in range(6)]
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label"])
        for number, made in enumerate(cells):
            (folder / f"{number}.png").write_bytes(encoded(made.shown, "PNG"))
            table.writerow([f"{number}.png", remarks[number] if number < 3 else made.label])
    facts = [go("labels", "a remark", remark.removeprefix("basophil of ")) for remark in remarks]
    kept = cells[3:]
    return Part(folder, tuple(kept), (*facts, *facts_of_cells(kept)), ("--drop-unknown-labels",))


def _with_metadata(
    table: pa.Table, carrier: str, invented: Invented
) -> tuple[pa.Table, list[Fact]]:
    """Return a table with key-value metadata of the file and of a field, and what is in it."""
    who, frame, note = invented.name(), invented.name(), invented.number()
    pandas = json.dumps({"creator": {"library": "pandas", "user": frame}}, ensure_ascii=False)
    place = table.schema.get_field_index("sex")
    noted = table.schema.field(place).with_metadata({"note": note})
    schema = table.schema.set(place, noted).with_metadata(
        {"exported by": who, who: "yes", "pandas": pandas}
    )
    texts = {"key-value metadata": who, "pandas metadata": frame, "metadata of a field": note}
    return table.cast(schema), [go(carrier, where, text) for where, text in texts.items()]


def _write_files(folder: Path, people: People, invented: Invented) -> tuple[list[str], list[Fact]]:
    """Write the cells as PNG files named after persons; return the names and what is in them."""
    folder.mkdir(parents=True)
    names, facts = [], []
    for made in people.cells:
        stem = invented.name().replace(", ", "_")
        names.append(f"{stem}.png")
        facts.append(go("file names", f"of {made.carrier} {made.where}", stem))
        (folder / names[-1]).write_bytes(encoded(made.shown, "PNG"))
    return names, facts


def _full_rows(people: People, files: Sequence[str]) -> Iterator[Row]:
    for row, made, file in zip(people.rows, people.cells, files, strict=True):
        yield {"file_name": file, "label": made.label, **row}


def _part(folder: Path, people: People, facts: Sequence[Fact]) -> Part:
    carrier = people.cells[0].carrier
    kept = (*facts_of_cells(people.cells), *facts_of_groups(carrier, people.cells))
    return Part(folder, people.cells, (*people.facts, *facts, *kept))
