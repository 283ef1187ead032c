from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cards.gates import LEAK_GATE, no_identifier, overridden
from curation.cells import SCHEMA
from curation.dedupe.report import CONFLICTS_NAME
from curation.deidentify.leaks import Scan, scan_for_leaks
from curation.deidentify.vault import Vault, default_vault, open_vault, record_identifiers
from tests.made import RECORD_NUMBERS, SUBJECTS, Made

NAME, NUMBER, DATE = "Quillfeather", "48213075", "1957-03-12"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = open_vault(tmp_path / "vault")
    known = [("subject", NAME), ("column mrn", NUMBER), ("column birth", DATE),
             ("column cell", "Basophil"), ("column cell", "SNE"), ("column bed", "A17"),
             ("file", "smear_0001")]  # fmt: skip
    record_identifiers(made, known)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as it would be published, with nothing in it to be found."""
    path = tmp_path / "published"
    (path / "data").mkdir(parents=True)
    (path / "README.md").write_text("# Cells\n\nBasophil, SNE and A17.\n")
    write_rows(path)
    return path


def write_rows(path: Path, metadata: dict[str, str] | None = None, **changes: str) -> None:
    row = {"image": {"bytes": b"\xff\xd8 pixels", "path": None}, "image_id": "ab" * 16,
           "label": 4, "origin": "real", **changes}  # fmt: skip
    table = pa.Table.from_pylist([row] * 3, schema=SCHEMA)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
    pq.write_table(table, path / "data" / "train-00000-of-00001.parquet", compression="zstd")


def kinds(scan: Scan) -> list[tuple[str, str]]:
    return list(dict.fromkeys((hit.file, hit.kind) for hit in scan.hits))


def test_nothing_is_found_where_nothing_is(folder: Path, vault: Vault) -> None:
    scan = scan_for_leaks(folder, vault)
    # Label names and what is shorter than five characters are not searched for.
    assert (scan.searched, scan.left_out, scan.files, scan.hits) == (4, 3, 2, ())
    assert no_identifier([folder], vault).state == "passed"


@pytest.mark.parametrize("value", [NAME, NAME.upper(), NAME.lower(), NUMBER, DATE, "smear_0001"])
@pytest.mark.parametrize("name", ["report.html", "corpus.json", "README.md", "checksums.txt"])
def test_in_a_text_file(folder: Path, vault: Vault, name: str, value: str) -> None:
    (folder / name).write_text(json.dumps({"a": [f"by {value}, seen"]}))
    assert [file for file, _ in kinds(scan_for_leaks(folder, vault))] == [name]


@pytest.mark.parametrize("name", [f"x/{NUMBER}.jpg", f"{NUMBER}_1/a.jpg", f"{NAME}.txt"])
def test_in_a_file_name(folder: Path, vault: Vault, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    found = scan_for_leaks(folder, vault)
    assert {hit.carrier for hit in found.hits} == {"file name"}
    assert name not in repr(found)


def test_in_the_list_of_conflicts(folder: Path, vault: Vault) -> None:
    (folder / "reports").mkdir()
    rows = [{"group": 0, "image_id": "ab" * 16, "label": "monocyte", "subject": NAME}]
    listed = folder / "reports" / CONFLICTS_NAME
    pq.write_table(pa.Table.from_pylist(rows), listed, compression="zstd")
    assert kinds(scan_for_leaks(folder, vault)) == [(f"reports/{CONFLICTS_NAME}", "subject")]


@pytest.mark.parametrize("column", ["subject", "slide", "site", "source", "license", "image_id"])
def test_in_a_text_column(folder: Path, vault: Vault, column: str) -> None:
    write_rows(folder, None, **{column: f"from {NAME}"})
    assert ("data/train-00000-of-00001.parquet", "subject") in kinds(scan_for_leaks(folder, vault))


def test_in_the_metadata_of_a_parquet_file(folder: Path, vault: Vault) -> None:
    write_rows(folder, {"note": f"sent by {NUMBER}"})
    assert kinds(scan_for_leaks(folder, vault)) == [
        ("data/train-00000-of-00001.parquet", "column mrn")
    ]


def test_in_the_bytes_of_an_image(folder: Path, vault: Vault) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5_000, dtype=np.uint8).tobytes()
    image = b"\xff\xd8\xff\xfe" + noise + NAME.encode() + noise
    (folder / "figure.jpg").write_bytes(image)
    # Images are stored as they are in a corpus' shards: they are compressed already.
    table = pa.Table.from_pylist([{"image": {"bytes": image}}], schema=pa.schema([SCHEMA.field(0)]))
    pq.write_table(table, folder / "data" / "x.parquet", compression="none")
    assert kinds(scan_for_leaks(folder, vault)) == [
        ("data/x.parquet", "subject"), ("figure.jpg", "subject")
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("name", ["figure.jpg", "notes.txt"])
def test_in_utf_16(folder: Path, vault: Vault, name: str, encoding: str) -> None:
    (folder / name).write_bytes(f"ab {NAME.upper()} ".encode(encoding))
    assert kinds(scan_for_leaks(folder, vault)) == [(name, "subject")]


def test_a_number_inside_a_checksum_is_no_hit(folder: Path, vault: Vault) -> None:
    (folder / "checksums.txt").write_text(f"ab{NUMBER}cd1  README.md\n")
    (folder / "corpus.json").write_text(json.dumps({"sha256": f"{NUMBER}1"}))
    assert scan_for_leaks(folder, vault).hits == ()
    (folder / "corpus.json").write_text(json.dumps({"sha256": f"ab {NUMBER}"}))
    assert len(scan_for_leaks(folder, vault).hits) == 1


def test_label_names_are_meant_to_be_published(folder: Path, vault: Vault) -> None:
    record_identifiers(vault, [("column cell", "segmented neutrophil"), ("file", "PLASMA-CELL")])
    (folder / "a.json").write_text('["Segmented Neutrophil", "plasma-cell", "A17"]')
    assert scan_for_leaks(folder, vault).hits == ()


def test_the_gate_says_where_and_not_what(folder: Path, vault: Vault) -> None:
    (folder / "a.json").write_text(f'"{NAME}"')
    gate = no_identifier([folder], vault)
    assert gate.state == "failed"
    assert NAME.casefold() not in gate.detail.casefold()
    short_id = vault.pseudonym("subject", NAME)[:8]
    found = f"1 hit(s); first: a subject (short id {short_id}) in published/a.json, content"
    assert gate.detail == f"{found}. Where it is meant to be public, say so with --public TEXT"
    assert overridden(gate, ["whole"]) == gate
    assert overridden(gate, [LEAK_GATE]).state == "overridden"


def test_what_is_declared_public_is_public(folder: Path, vault: Vault) -> None:
    record_identifiers(vault, [("column hospital", "Saint Quibble Infirmary")])
    (folder / "a.json").write_text('"made at the Saint Quibble Infirmary"')
    assert no_identifier([folder], vault).state == "failed"
    gate = no_identifier([folder], vault, ["Saint Quibble Infirmary"])
    assert gate.state == "passed"
    assert gate.detail.endswith("; 1 text(s) were declared public")
    # All else is still searched for, in the same file as well.
    (folder / "a.json").write_text(f'"Saint Quibble Infirmary, {NAME}"')
    assert no_identifier([folder], vault, ["Saint Quibble Infirmary"]).state == "failed"


@pytest.mark.parametrize("text", [NAME, f"{NAME} Hospital", f"the {NAME.lower()} ward"])
def test_a_patient_cannot_be_declared_public(folder: Path, vault: Vault, text: str) -> None:
    (folder / "a.json").write_text(f'"{NAME}"')
    gate = no_identifier([folder], vault, [text])
    assert gate.state == "failed"
    assert "holds a subject of the source" in gate.detail
    assert NAME.casefold() not in gate.detail.casefold()


def test_without_a_vault_nothing_passes(folder: Path) -> None:
    assert no_identifier([folder], None).state == "failed"


@pytest.mark.parametrize("value", ["Großmann", "MÜLLER-Ölbrück"])
@pytest.mark.parametrize("as_written", [str, str.lower, str.upper], ids=["as", "lower", "upper"])
@pytest.mark.parametrize("name", ["a.json", "image.bin"])
def test_names_with_other_letters(
    folder: Path, vault: Vault, value: str, as_written: type[str], name: str
) -> None:
    record_identifiers(vault, [("subject", value)])
    (folder / name).write_bytes(f"by {as_written(value)} ".encode())
    assert kinds(scan_for_leaks(folder, vault)) == [(name, "subject")]


@pytest.mark.parametrize("value", ["Müller-Lüdenscheidt", "O'Brien-Kelly"])
def test_names_as_pages_and_json_escape_them(folder: Path, vault: Vault, value: str) -> None:
    record_identifiers(vault, [("subject", value)])
    (folder / "a.json").write_text(json.dumps([value]))
    (folder / "a.html").write_text(f"<p>{html.escape(value)}</p>")
    assert kinds(scan_for_leaks(folder, vault)) == [("a.html", "subject"), ("a.json", "subject")]


def test_what_curate_put_into_the_vault(made: Made, tmp_path: Path) -> None:
    vault = open_vault(default_vault(made.real.path))
    copy = shutil.copytree(made.real.path, tmp_path / "corpus")
    scan = scan_for_leaks(copy, vault)
    # 120 file names, 4 subjects, 4 record numbers, 4 slides.
    assert (scan.searched, scan.hits) == (132, ())
    for number, value in enumerate([*SUBJECTS, *RECORD_NUMBERS, "slide-2A", "smear_0007"]):
        note = copy / f"note{number}.txt"
        note.write_text(f"see {value}.")
        assert {hit.file for hit in scan_for_leaks(copy, vault).hits} == {note.name}, value
        note.unlink()
