"""Corpora and reports like the made ones, but for a fault or a change planted in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.cells import SCHEMA
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from synth.measure.measurement import Measurements


def measured_as(report: Path, folder: Path, **changes: Any) -> Path:
    """Copy a report as if it had measured something else."""
    copy = shutil.copytree(report, folder)
    file = copy / "measurements.json"
    found = Measurements.model_validate_json(file.read_bytes())
    file.write_text(found.model_copy(update=changes).model_dump_json())
    return copy


def rewritten(
    corpus: Corpus, folder: Path, change: Callable[[dict[str, pa.Table]], None]
) -> Corpus:
    """Write a corpus again with changed rows, by the corpus' own writer."""
    folder.mkdir()
    tables = {split: corpus.rows(SCHEMA.names, [split]) for split in corpus.manifest.splits}
    change(tables)
    shards = [
        write_shard(folder, split, shard_name(split, 0, 1), table)
        for split, table in tables.items()
    ]
    old = corpus.manifest
    total = sum(len(table) for table in tables.values())
    write_manifest(
        folder, kind=old.kind, shards=shards, n_in=total, dropped={}, grouped_by=old.grouped_by,
        codec=old.codec, view=old.view, parents=old.parents, config=old.config,
        deidentification=old.deidentification,
    )  # fmt: skip
    return load_corpus(folder)
