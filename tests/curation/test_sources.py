from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation.curate import curate
from curation.errors import SourceError
from curation.private_names import naming
from curation.sources import Columns, RawCell, Source, open_source
from curation.sources.image_files import image_files, loose_image_files
from curation.sources.source import IMAGE_SUFFIXES

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Folder = Callable[..., Path]


def opened(path: Path | str, **columns: str) -> Source:
    return open_source(str(path), Columns(**columns))


def cells(source: Source) -> list[RawCell]:
    return list(source.read(0, len(source)))


@pytest.fixture
def images(tmp_path: Path, cell: Cell, encoded: Encoded) -> Path:
    root = tmp_path / "export"
    root.mkdir()
    for index, name in enumerate(("a.jpg", "b.jpg", "c.jpg")):
        (root / name).write_bytes(encoded(cell(index)))
    return root


def test_class_folders(class_folders: Folder, encoded: Encoded, cell: Cell) -> None:
    root = class_folders(basophil=2, MO=1)
    (root / "basophil" / "deeper").mkdir()
    (root / "basophil" / "deeper" / "d.PNG").write_bytes(encoded(cell(9), "PNG"))
    (root / "basophil" / "notes.txt").write_text("no image")
    (root / "basophil" / ".hidden.jpg").write_bytes(b"")
    (root / ".cache").mkdir()
    (root / ".cache" / "x.jpg").write_bytes(b"")
    source = opened(root)
    assert dict(source.labels()) == {"MO": 1, "basophil": 3}
    assert len(source) == 4
    found = cells(source)
    assert [c.name for c in found] == [
        "MO/MO_000.jpg", "basophil/basophil_000.jpg", "basophil/basophil_001.jpg",
        "basophil/deeper/d.PNG",
    ]  # fmt: skip
    assert all(c.problem is None and c.data for c in found)
    assert ("file", "MO_000") in set(source.identifiers())
    assert [c.name for c in source.read(1, 3)] == [c.name for c in found[1:3]]


def test_one_folder_is_one_class(class_folders: Folder) -> None:
    source = opened(class_folders(basophil=2) / "basophil")
    assert dict(source.labels()) == {"basophil": 2}


def test_names_that_are_not_utf8(class_folders: Folder, tmp_path: Path) -> None:
    root = class_folders(basophil=1)
    name = os.fsdecode(b"M\xfcller_1.jpg")
    (root / "basophil" / "basophil_000.jpg").rename(root / "basophil" / name)
    source = opened(root)
    assert cells(source)[0].name == "basophil/Müller_1.jpg"
    assert list(source.identifiers()) == [("folder", "basophil"), ("file", "Müller_1")]
    (root / "basophil" / "bad.jpg").write_bytes(b"")
    corpus = curate([root], tmp_path / "out")
    assert corpus.manifest.n_out == 1


def test_a_file_that_cannot_be_read_is_named(
    class_folders: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = class_folders(basophil=2)

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    source = opened(root)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        with pytest.raises(
            SourceError, match=r"file 0 \(id \w{8}\) .* cannot be read: Permission"
        ) as e:
            cells(source)
        assert "basophil_000" not in f"{e.value} {e.value.__cause__}"
        with naming(show=True), pytest.raises(SourceError, match=r"basophil_000\.jpg of the"):
            cells(source)


def test_files_are_found_as_pathlib_finds_and_sorts_them(tmp_path: Path) -> None:
    root = tmp_path / "export"
    names = (
        "a/x.jpg", "a.jpg", "a-b/y.JPG", "a/b/z.Png", "B/w.webp", ".z/h.jpg", "a/.h.jpg", "a/n.txt",
        "a/v.tar.gif", "a/ends.jpg.", "a/.jpg", "Ünï/\udcfc.tif",
    )  # fmt: skip
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (root / "a/folder.jpg").mkdir()
    (root / "a/folder.jpg/inside.bmp").write_bytes(b"")
    (root / "to_file.jpg").symlink_to(root / "a/x.jpg")
    (root / "to_folder").symlink_to(root / "a")
    (root / "to_nothing.jpg").symlink_to(root / "absent.jpg")
    (root / "to_itself.jpg").symlink_to(root / "to_itself.jpg")
    expected = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix.casefold() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]  # fmt: skip
    assert len(expected) == 9
    assert image_files(root) == expected
    assert loose_image_files(root) == [path for path in expected if path.parent == root]


def test_a_class_folder_that_is_a_link_out_of_the_source_is_refused(
    class_folders: Folder, tmp_path: Path
) -> None:
    root = class_folders(basophil=1)
    (root / "again").symlink_to(root / "basophil")
    assert len(opened(root)) == 2
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_bytes((root / "basophil/basophil_000.jpg").read_bytes())
    (root / "monocyte").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="is a link that leads out"):
        opened(root)


def test_a_link_that_leads_out_of_the_source_is_refused(
    class_folders: Folder, tmp_path: Path
) -> None:
    root = class_folders(basophil=2)
    (tmp_path / "elsewhere.jpg").write_bytes((root / "basophil/basophil_000.jpg").read_bytes())
    (root / "basophil" / "inner.jpg").symlink_to(root / "basophil" / "basophil_001.jpg")
    assert len(opened(root)) == 3
    (root / "basophil" / "outer.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(SourceError, match=r"\(id \w{8}\) of the source is a link that leads out"):
        opened(root)


def test_locations_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist; expected a folder of class folders"):
        opened(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no image; looked for"):
        opened(tmp_path / "empty")
    (tmp_path / "list.txt").write_text("x")
    with pytest.raises(SourceError, match="holds no image"):
        opened(tmp_path / "list.txt")


def write_table(root: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    if kind == "csv":
        lines = [",".join(rows[0])] + [",".join(str(v) for v in row.values()) for row in rows]
        (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    elif kind == "jsonl":
        (root / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), root / "metadata.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_image_folder(kind: str, images: Path) -> None:
    write_table(
        images,
        kind,
        [
            {"file_name": "a.jpg", "label": "BA", "patient_id": "007", "name": "Jane Roe"},
            {"file_name": "b.jpg", "label": "MO", "patient_id": "007", "name": "2020-01-02"},
            {"file_name": "gone.jpg", "label": "MO", "patient_id": "08", "name": "x"},
            {"file_name": "b.jpg", "label": "MO", "patient_id": "007", "name": "2020-01-02"},
            {"file_name": "b.jpg", "label": "BA", "patient_id": "007", "name": "x"},
        ],
    )
    source = opened(images)
    found = cells(source)
    assert [(c.name, c.label, c.fields.get("patient_id"), c.problem) for c in found] == [
        ("a.jpg", "BA", "007", None),
        ("b.jpg", "MO", "007", None),
        ("gone.jpg", "MO", "08", "file_missing"),
        ("b.jpg", "MO", "007", "row_repeated"),
        # Another label for the same file: not dropped here, but found as a conflict of copies.
        ("b.jpg", "BA", "007", None),
        ("c.jpg", "", None, "row_missing"),
    ]
    assert dict(source.labels()) == {"BA": 2, "MO": 1}
    assert source.columns == ("patient_id", "name")
    assert found[0].fields == {"patient_id": "007", "name": "Jane Roe"}
    told = set(source.identifiers())
    assert {
        ("file", "a"),
        ("patient_id", "007"),
        ("name", "Jane Roe"),
        ("name", "2020-01-02"),
    } <= told


def test_rows_that_disagree_about_a_file_are_a_conflict(images: Path, tmp_path: Path) -> None:
    (images / "metadata.csv").write_text("file,label\na.jpg,BA\nb.jpg,BA\nb.jpg,MO\nc.jpg,MO\n")
    corpus = curate([images], tmp_path / "out")
    assert corpus.manifest.dropped == {"label_conflict": 2}
    assert corpus.manifest.conflicts == 1


def test_a_row_takes_no_file_of_another_folder(images: Path, cell: Cell, encoded: Encoded) -> None:
    (images / "2").mkdir()
    (images / "2" / "d.jpg").write_bytes(encoded(cell(8)))
    rows = "file,label\n1/d.jpg,BA\n2/d.jpg,MO\n./a.jpg,BA\n2\\\\d.jpg,MO\n"
    (images / "metadata.csv").write_text(rows.replace("\\\\", "\\"))
    found = cells(opened(images))
    assert [(c.label, c.problem) for c in found[:4]] == [
        ("BA", "file_missing"), ("MO", None), ("BA", None), ("MO", "row_repeated"),
    ]  # fmt: skip


def test_a_bare_name_finds_its_file_below(images: Path, cell: Cell, encoded: Encoded) -> None:
    for folder in ("x", "y"):
        (images / folder).mkdir()
        (images / folder / "twice.jpg").write_bytes(encoded(cell(8)))
    (images / "x" / "once.jpg").write_bytes(encoded(cell(9)))
    (images / "metadata.csv").write_text("file,label\nonce.jpg,BA\ntwice.jpg,MO\n")
    found = cells(opened(images))
    assert [c.problem for c in found[:2]] == [None, "file_missing"]


def test_names_in_other_case_are_other_files(images: Path, cell: Cell, encoded: Encoded) -> None:
    (images / "A.JPG").write_bytes(encoded(cell(20)))
    if len(list(images.glob("*"))) < 4:
        pytest.skip("this file system does not tell case apart")
    (images / "metadata.csv").write_text("file,label\na.jpg,BA\nA.JPG,MO\nb.jpg,BA\nc.jpg,BA\n")
    found = cells(opened(images))
    assert [c.problem for c in found] == [None] * 4
    assert found[0].data != found[1].data


def test_csv_as_spreadsheets_write_it(images: Path) -> None:
    text = (
        'file_name,label,patient id,note\r\na.jpg,BA,0012,"one, two"\r\nb.jpg,,NA,"three\nfour"\r\n'
    )
    (images / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    source = opened(images)
    found = cells(source)
    assert [(c.fields.get("patient id"), c.problem) for c in found] == [
        ("0012", None), (None, "label_missing"), (None, "row_missing"),
    ]  # fmt: skip
    assert {("note", "one, two"), ("note", "three\nfour")} <= set(source.identifiers())


def test_tables_that_are_refused(images: Path) -> None:
    table = images / "metadata.csv"
    table.write_text("file_name,label\na.jpg,BA\nb.jpg,Jane Roe,1961\n")
    with pytest.raises(SourceError, match="as many fields as the header") as caught:
        opened(images)
    assert "Jane" not in str(caught.value)
    assert caught.value.__cause__ is None
    table.write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be read as a table"):
        opened(images)
    table.write_text("file_name,label,label\na.jpg,BA,MO\n")
    with pytest.raises(SourceError, match="two columns of one name"):
        opened(images)
    table.write_text("picture,label\na.jpg,BA\n")
    with pytest.raises(SourceError, match="no column for the file name: expected one of file_name"):
        opened(images)
    table.write_text("file_name,diagnosis\na.jpg,BA\n")
    with pytest.raises(SourceError, match="no column for the label.*found file_name, diagnosis"):
        opened(images)
    with pytest.raises(SourceError, match="no column 'ward'"):
        opened(images, label="ward")
    (images / "metadata.jsonl").write_text("{}\n")
    with pytest.raises(SourceError, match="2 metadata tables; keep one"):
        opened(images)
    table.unlink()
    for broken in ('{"file_name": "Jane Roe"', "[1, 2]\n", '"Jane Roe"\n'):
        (images / "metadata.jsonl").write_text(broken)
        with pytest.raises(SourceError, match="cannot be read as a table") as caught:
            opened(images)
        assert "Jane" not in str(caught.value)


def image_table(labels: list[Any], cell: Cell, encoded: Encoded, **more: list[Any]) -> pa.Table:
    images = [{"bytes": encoded(cell(i, 16)), "path": f"p{i}.jpg"} for i in range(len(labels))]
    return pa.table({"image": images, "label": labels, **more})


@pytest.mark.parametrize("group_rows", [1, 3, 100])
def test_parquet_reads_any_range(
    group_rows: int, tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    table = image_table(
        ["BA", "MO", None, "LY", "EO", "", "BA"], cell, encoded,
        case=["01", "01", None, "2", "2", "3", "3"], operator=["Ann"] * 7,
    )  # fmt: skip
    (tmp_path / "p").mkdir()
    pq.write_table(table.slice(0, 4), tmp_path / "p" / "1.parquet", row_group_size=group_rows)
    pq.write_table(table.slice(0, 0), tmp_path / "p" / "2.parquet")
    pq.write_table(table.slice(4), tmp_path / "p" / "3.parquet", row_group_size=group_rows)
    source = opened(tmp_path / "p")
    whole = cells(source)
    assert [c.problem for c in whole] == [
        None, None, "label_missing", None, None, "label_missing", None
    ]  # fmt: skip
    assert [c.fields["case"] for c in whole] == ["01", "01", None, "2", "2", "3", "3"]
    for start in range(8):
        for stop in range(start, 8):
            assert list(source.read(start, stop)) == whole[start:stop]
    assert dict(source.labels()) == {"BA": 2, "MO": 1, "LY": 1, "EO": 1}
    assert source.columns == ("case", "operator")
    assert {("file", "p3"), ("case", "01"), ("operator", "Ann")} <= set(source.identifiers())


def test_parquet_with_class_labels(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    names = ["BA", "MO"]
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = image_table([0, 1, -1, 7, None], cell, encoded)
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "x.parquet"
    )
    found = cells(opened(tmp_path / "x.parquet"))
    assert [c.label for c in found] == ["BA", "MO", "", "", ""]
    assert found[2].problem == "label_missing"


def test_parquet_that_is_refused(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    file = tmp_path / "x.parquet"
    file.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        opened(file)
    pq.write_table(pa.table({"label": ["BA"]}), file)
    with pytest.raises(SourceError, match="no column of images"):
        opened(file)
    pq.write_table(image_table(["BA"], cell, encoded), file)
    pq.write_table(pa.table({"other": [1]}), tmp_path / "y.parquet")
    with pytest.raises(SourceError, match=r"a file \(id \w{8}\) of the source has other columns"):
        opened(tmp_path)


def test_a_metadata_table_goes_before_parquet_beside_it(images: Path) -> None:
    (images / "metadata.csv").write_text("file,label\na.jpg,BA\n")
    pq.write_table(pa.table({"feature": [0.5]}), images / "features.parquet")
    assert opened(images).kind == "image folder with metadata"


def test_saved_datasets(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    import datasets

    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["BA", "MO"]),
            "subject": datasets.Value("string"),
            "operator": datasets.Value("string"),
        }
    )
    rows: dict[str, list[Any]] = {
        "image": [{"bytes": encoded(cell(i, 16)), "path": f"p{i}.jpg"} for i in range(4)],
        "label": [0, 1, 1, -1],
        "subject": ["01", "01", None, "2"],
        "operator": ["Ann"] * 4,
    }
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.save_to_disk(tmp_path / "one")
    source = opened(tmp_path / "one")
    found = cells(source)
    assert [(c.label, c.fields["subject"], c.problem) for c in found] == [
        ("BA", "01", None), ("MO", "01", None), ("MO", None, None), ("", "2", "label_missing"),
    ]  # fmt: skip
    assert found[0].data == rows["image"][0]["bytes"]
    assert dict(source.labels()) == {"BA": 1, "MO": 2}
    assert {("file", "p3"), ("subject", "01"), ("operator", "Ann")} <= set(source.identifiers())
    assert source.columns == ("subject", "operator")
    parts = datasets.DatasetDict({"train": dataset.select([0, 1]), "test": dataset.select([2, 3])})
    parts.save_to_disk(str(tmp_path / "two"))
    both = opened(tmp_path / "two")
    assert [c.data for c in cells(both)] == [c.data for c in found]
    assert both.identity() != source.identity()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{}")
    with pytest.raises(SourceError, match="saved to disk"):
        opened(tmp_path / "broken")


def test_a_corpus_is_a_source_again(class_folders: Folder, tmp_path: Path) -> None:
    root = class_folders(basophil=8, monocyte=8)
    first = curate([root], tmp_path / "one")
    again = curate([first.path], tmp_path / "two")
    assert again.manifest.n_out == first.manifest.n_out
    ids = [sorted(c.rows(["image_id"])["image_id"].to_pylist()) for c in (first, again)]
    assert ids[0] == ids[1]


def test_synthetic_cells_do_not_pass_for_real(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    table = image_table(["BA", "MO"], cell, encoded, origin=["real", "synthetic"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(SourceError, match="only real cells are curated"):
        opened(tmp_path / "x.parquet")


@pytest.mark.parametrize("kind", ["folders", "table", "parquet"])
def test_identity_follows_the_files(
    kind: str, images: Path, class_folders: Folder, cell: Cell, encoded: Encoded
) -> None:
    root = class_folders(BA=2) if kind == "folders" else images
    victim = root / "BA" / "BA_000.jpg" if kind == "folders" else root / "a.jpg"
    if kind == "table":
        (root / "metadata.csv").write_text("file,label\na.jpg,BA\n")
    if kind == "parquet":
        victim = root / "x.parquet"
        pq.write_table(image_table(["BA"], cell, encoded), victim)
    before = opened(root).identity()
    assert opened(root).identity() == before
    os.utime(victim, ns=(1, 1))
    assert opened(root).identity() != before
