"""Writing a corpus directory: shards first, each whole; the manifest last."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from .cells import SCHEMA, SPLITS, Attribute, check_rows
from .corpus import corpus_fingerprint, file_sha256, rows_digest
from .manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Codec,
    Deidentification,
    Manifest,
    Shard,
    View,
    parse_model,
)
from .output import write_whole
from .versions import library_versions
from .vocabulary import LABELS, VOCABULARY_VERSION

SHARD_BYTES = 150 * 2**20
_ROW_GROUP_BYTES = 64 * 2**20  # the Hub's viewer fails above 286 MiB


def shard_name(split: str, index: int, count: int) -> str:
    """Return the path of a shard inside a corpus, as `datasets` expects it."""
    return f"data/{split}-{index:05d}-of-{count:05d}.parquet"


def shards_done(folder: Path) -> dict[str, Shard]:
    """Return path -> shard of what an interrupted run finished writing into `folder`."""
    notes = sorted((folder / "shards").glob("*.json")) if (folder / "shards").is_dir() else []
    found = (parse_model(Shard, note) for note in notes)
    return {shard.path: shard for shard in found}


def write_shard(
    folder: Path, split: str, path: str, table: pa.Table, schema: pa.Schema = SCHEMA
) -> Shard:
    """Check rows and write them as one shard; it counts as done once its note is written.

    Raises: CorpusError where a row breaks the schema.
    """
    table = table.replace_schema_metadata(schema.metadata)
    check_rows(table, split, schema)
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    group_rows = max(1, int(len(table) * _ROW_GROUP_BYTES / max(table.nbytes, 1)))
    pq.write_table(
        table,
        temporary,
        row_group_size=group_rows,
        # Images are compressed already; compressing them again costs time and gains nothing.
        compression={name: "NONE" if name == "image.bytes" else "ZSTD" for name in _leaves(schema)},
        use_dictionary=[name for name in _leaves(schema) if not name.startswith("image")],
        write_page_index=True,
    )
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    shard = Shard(
        path=path,
        split=split,
        rows=len(table),
        bytes=target.stat().st_size,
        sha256=file_sha256(target),
        digest=rows_digest(table),
    )
    notes = folder / "shards"
    notes.mkdir(exist_ok=True)
    write_whole(notes / f"{target.stem}.json", shard.model_dump_json().encode())
    return shard


def _leaves(schema: pa.Schema) -> list[str]:
    return ["image.bytes", "image.path", *(name for name in schema.names if name != "image")]


def count_classes(tables: Iterable[tuple[str, pa.Table]]) -> dict[str, dict[str, int]]:
    """Return split -> label -> rows for (split, table with a label column) pairs."""
    counts: dict[str, Counter[int]] = {}
    for split, table in tables:
        counts.setdefault(split, Counter()).update(table["label"].to_pylist())
    return {
        split: {LABELS[i]: counts[split][i] for i in sorted(counts[split])}
        for split in SPLITS
        if split in counts
    }


def write_manifest(
    folder: Path,
    *,
    kind: Literal["real", "synthetic"],
    shards: list[Shard],
    n_in: int,
    dropped: Mapping[str, int],
    grouped_by: Literal["subject", "slide", "field", "duplicate_group", "none"],
    codec: Codec,
    parents: Mapping[str, str],
    config: Mapping[str, Any],
    view: View | None = None,
    attributes: tuple[Attribute, ...] = (),
    deidentification: Deidentification | None = None,
    duplicate_groups: int = 0,
    conflicts: int = 0,
    quarantined: int = 0,
    libraries: tuple[str, ...] = (),
) -> Manifest:
    """Write `manifest.json` over finished shards, counting classes and subjects from the rows."""
    columns = ["label", "subject", "slide"]
    tables = [
        (shard.split, pq.read_table(folder / shard.path, columns=columns, partitioning=None))
        for shard in shards
    ]
    splits: Counter[str] = Counter()
    for shard in shards:
        splits[shard.split] += shard.rows
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind=kind,
        fingerprint=corpus_fingerprint(kind, shards),
        vocabulary_version=VOCABULARY_VERSION,
        n_in=n_in,
        n_out=sum(splits.values()),
        dropped={reason: count for reason, count in sorted(dropped.items()) if count},
        classes=count_classes(tables),
        splits={split: splits[split] for split in SPLITS if split in splits},
        subjects=_distinct(tables, "subject"),
        slides=_distinct(tables, "slide"),
        grouped_by=grouped_by,
        duplicate_groups=duplicate_groups,
        conflicts=conflicts,
        quarantined=quarantined,
        codec=codec,
        view=view,
        attributes=attributes,
        deidentification=deidentification,
        parents=dict(parents),
        config=dict(config),
        versions=library_versions(*libraries),
        shards=tuple(shards),
    )
    write_whole(folder / MANIFEST_NAME, (manifest.model_dump_json(indent=2) + "\n").encode())
    shutil.rmtree(folder / "shards")
    return manifest


def _distinct(tables: list[tuple[str, pa.Table]], column: str) -> dict[str, int]:
    values: dict[str, set[str]] = {}
    for split, table in tables:
        known = {value for value in table[column].to_pylist() if value is not None}
        values.setdefault(split, set()).update(known)
    return {split: len(known) for split, known in values.items() if known}
