from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.cells import LATER_COLUMNS, SCHEMA
from curation.corpus import (
    Corpus,
    corpus_fingerprint,
    file_sha256,
    load_corpus,
    rows_digest,
    verify_corpus,
)
from curation.curate import curate
from curation.errors import CorpusError
from curation.pixels import decode_rgb, pixel_id

Folder = Callable[..., Path]
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def corpus(class_folders: Folder, tmp_path: Path) -> Corpus:
    return curate([class_folders(basophil=10, monocyte=14)], tmp_path / "corpus")


def edit(corpus: Corpus, change: Change) -> None:
    path = corpus.path / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_rows_labels_images_and_batches_agree(corpus: Corpus) -> None:
    table = corpus.rows(["image", "image_id", "label"])
    assert len(table) == 24
    assert [image["bytes"].as_py() for image in table["image"]] == list(corpus.images())
    assert len(corpus.labels(["train"])) == corpus.manifest.splits["train"]
    ids = [pixel_id(decode_rgb(data)) for data in corpus.images()]
    assert ids == table["image_id"].to_pylist()
    batches = list(corpus.batches(["label"], ["test"]))
    assert sum(len(batch) for batch in batches) == corpus.manifest.splits["test"]
    assert corpus.rows(["label"], []).num_rows == 0
    assert corpus.manifest.class_totals() == {"basophil": 10, "monocyte": 14}
    verify_corpus(corpus)
    assert load_corpus(corpus.path) == corpus


def test_a_directory_that_is_no_corpus(tmp_path: Path, corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="is no directory; expected a corpus"):
        load_corpus(tmp_path / "absent")
    (corpus.path / "manifest.json").unlink()
    with pytest.raises(CorpusError, match=r"has no manifest\.json.*run the command that makes it"):
        load_corpus(corpus.path)
    for broken in (b"", b"{}", b"[]", b"3", b"\xff\xfe\x00", b"not json"):
        (corpus.path / "manifest.json").write_bytes(broken)
        with pytest.raises(CorpusError, match="no corpus manifest"):
            load_corpus(corpus.path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.update(format_version=3), "corpus format 3; .*reads up to 2.*upgrade"),
        (lambda m: m.update(format_version="1"), "corpus format 1"),
        (lambda m: m.update(vocabulary_version=99), "vocabulary 99.*upgrade"),
        (lambda m: m.update(patient_name="Jane"), "at patient_name: Extra inputs"),
        (lambda m: m.pop("kind"), "at kind: Field required"),
        (lambda m: m.update(n_in=25), r"n_in 25 != n_out 24 \+ dropped 0"),
        (
            lambda m: m.update(n_in=25, dropped={"duplicate": 2}),
            r"n_in 25 != n_out 24 \+ dropped 2",
        ),
        (lambda m: m["splits"].update(test=999), "splits add up to .*, but n_out is 24"),
        (lambda m: m["classes"]["test"].update(basophil=999), "classes add up to"),
        (lambda m: m["shards"].pop(), "shards add up to"),
    ],
)
def test_a_manifest_that_does_not_fit(change: Change, match: str, corpus: Corpus) -> None:
    edit(corpus, change)
    with pytest.raises(CorpusError, match=match):
        load_corpus(corpus.path)


def test_a_shard_that_is_missing_or_cut(corpus: Corpus) -> None:
    first, second = (corpus.path / shard.path for shard in corpus.manifest.shards[:2])
    data = second.read_bytes()
    second.write_bytes(data[:-1])
    with pytest.raises(CorpusError, match=f"{second.name} has {len(data) - 1} bytes"):
        load_corpus(corpus.path)
    first.unlink()
    with pytest.raises(CorpusError, match=f"not whole: data/{first.name} is missing"):
        load_corpus(corpus.path)


def test_an_edited_shard_is_named(corpus: Corpus) -> None:
    path = corpus.manifest.shards[1].path
    data = bytearray((corpus.path / path).read_bytes())
    data[len(data) // 2] ^= 1
    (corpus.path / path).write_bytes(data)
    with pytest.raises(CorpusError, match=f"{path} was changed: sha256"):
        verify_corpus(load_corpus(corpus.path))


def test_an_edited_fingerprint_is_found(corpus: Corpus) -> None:
    edit(corpus, lambda m: m.update(fingerprint="0" * 32))
    with pytest.raises(CorpusError, match=r"manifest\.json was changed: fingerprint"):
        verify_corpus(load_corpus(corpus.path))


def test_a_shard_that_the_manifest_does_not_know(corpus: Corpus) -> None:
    shard = corpus.path / corpus.manifest.shards[0].path
    shutil.copy(shard, shard.with_name("train-00009-of-00010.parquet"))
    with pytest.raises(CorpusError, match=r"train-00009-of-00010\.parquet is not in the manifest"):
        verify_corpus(load_corpus(corpus.path))


def test_the_fingerprint_is_over_rows_not_bytes(corpus: Corpus) -> None:
    shards = corpus.manifest.shards
    other = [shard.model_copy(update={"sha256": "0", "bytes": 1}) for shard in shards]
    assert corpus_fingerprint("real", other) == corpus.fingerprint
    assert corpus_fingerprint("real", shards[::-1]) != corpus.fingerprint
    assert corpus_fingerprint("synthetic", shards) != corpus.fingerprint


def test_shards_are_what_the_design_says(corpus: Corpus) -> None:
    for shard in corpus.manifest.shards:
        file = pq.ParquetFile(corpus.path / shard.path)
        assert file.schema_arrow.equals(SCHEMA, check_metadata=False)
        assert set(file.schema_arrow.metadata) == {b"huggingface"}
        group = file.metadata.row_group(0)
        columns = [group.column(i) for i in range(group.num_columns)]
        codecs = {column.path_in_schema: column.compression for column in columns}
        assert codecs["image.bytes"] == "UNCOMPRESSED"
        assert codecs["label"] == "ZSTD"
        file.close()
    assert np.unique(corpus.rows(["image_id"])["image_id"].to_numpy()).size == 24


def of_before(corpus: Corpus) -> Corpus:
    """Make a corpus what it would have been before the later columns came."""
    for number, shard in enumerate(corpus.manifest.shards):
        path = corpus.path / shard.path
        pq.write_table(pq.read_table(path).drop_columns(list(LATER_COLUMNS)), path)
        size, digest = path.stat().st_size, file_sha256(path)

        def change(m: dict[str, Any], n: int = number, size: int = size, sha: str = digest) -> None:
            m["shards"][n].update(bytes=size, sha256=sha)

        edit(corpus, change)
    return load_corpus(corpus.path)


def test_a_corpus_without_the_later_columns_is_read(corpus: Corpus) -> None:
    before = of_before(corpus)
    verify_corpus(before)
    table = before.rows(["seed", "realism", "label", "acquisition"])
    assert table.column_names == ["seed", "realism", "label", "acquisition"]
    assert table.schema.field("acquisition").type == SCHEMA.field("acquisition").type
    assert set(table["realism"].to_pylist()) == set(table["acquisition"].to_pylist()) == {None}
    assert len(before.rows(SCHEMA.names)) == 24


def test_a_later_column_without_values_changes_no_fingerprint(corpus: Corpus) -> None:
    table = pq.read_table(corpus.path / corpus.manifest.shards[0].path)
    digest = rows_digest(table)
    assert digest == corpus.manifest.shards[0].digest
    assert rows_digest(table.drop_columns(list(LATER_COLUMNS))) == digest
    place = table.column_names.index("realism")
    scored = table.set_column(place, SCHEMA.field("realism"), [[0.5] * len(table)])
    assert rows_digest(scored) != digest
