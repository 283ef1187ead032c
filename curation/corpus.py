"""Reading a corpus directory: its manifest, its rows, its images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from .cells import LATER_COLUMNS, SCHEMA, SPLITS, schema_with
from .errors import CorpusError
from .manifest import MANIFEST_NAME, Manifest, Shard, canonical_json, read_manifest
from .vocabulary import LABELS, VOCABULARY_VERSION

_BATCH_ROWS = 256
_DIGEST_FORMAT = 1  # of what is hashed, not of the manifest


@dataclass(frozen=True, slots=True)
class Corpus:
    """A complete corpus directory."""

    path: Path
    manifest: Manifest

    @property
    def fingerprint(self) -> str:
        """The identity of its rows."""
        return self.manifest.fingerprint

    def shards(self, splits: Sequence[str] = SPLITS) -> list[Shard]:
        """Return the shards of some splits, in order."""
        return [shard for shard in self.manifest.shards if shard.split in splits]

    def rows(self, columns: Sequence[str], splits: Sequence[str] = SPLITS) -> pa.Table:
        """Return some columns of some splits as one table, in the corpus' order.

        Columns that came later than the corpus are null.
        """
        tables = [_read_columns(self.path / shard.path, columns) for shard in self.shards(splits)]
        if not tables:
            return schema_with(self.manifest.attributes).empty_table().select(list(columns))
        return pa.concat_tables(tables)

    def labels(self, splits: Sequence[str] = SPLITS) -> list[str]:
        """Return the label of each row of some splits, in the corpus' order."""
        return [LABELS[i] for i in self.rows(["label"], splits)["label"].to_pylist()]

    def batches(
        self, columns: Sequence[str], splits: Sequence[str] = SPLITS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some splits in batches, in the corpus' order; memory is one batch."""
        for shard in self.shards(splits):
            with pq.ParquetFile(self.path / shard.path) as file:
                yield from file.iter_batches(_BATCH_ROWS, columns=list(columns))

    def images(self, splits: Sequence[str] = SPLITS) -> Iterator[bytes]:
        """Yield the encoded image of each row of some splits, in the corpus' order."""
        for batch in self.batches(["image"], splits):
            for image in batch.column("image"):
                yield image["bytes"].as_py()


def _read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    held = set(pq.read_schema(path).names)
    later = [name for name in columns if name in LATER_COLUMNS and name not in held]
    table = pq.read_table(path, columns=[c for c in columns if c not in later], partitioning=None)
    for name in later:
        field = SCHEMA.field(name)
        table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(list(columns))


def load_corpus(path: Path) -> Corpus:
    """Open a complete corpus; shards are checked for presence and size, not read.

    Raises: CorpusError.
    """
    manifest = read_manifest(path)
    if manifest.vocabulary_version > VOCABULARY_VERSION:
        raise CorpusError(
            f"{path} uses vocabulary {manifest.vocabulary_version}; this smearkit knows up to "
            f"{VOCABULARY_VERSION}. Next: upgrade smearkit"
        )
    for shard in manifest.shards:
        file = path / shard.path
        if not file.is_file():
            raise CorpusError(f"{path} is not whole: {shard.path} is missing")
        if file.stat().st_size != shard.bytes:
            raise CorpusError(
                f"{path} is not whole: {shard.path} has {file.stat().st_size} bytes, "
                f"the manifest says {shard.bytes}"
            )
    return Corpus(path, manifest)


def verify_corpus(corpus: Corpus) -> None:
    """Read every byte of a corpus and compare it with the manifest.

    Raises: CorpusError naming the first file that differs.
    """
    for shard in corpus.manifest.shards:
        found = file_sha256(corpus.path / shard.path)
        if found != shard.sha256:
            raise CorpusError(
                f"{shard.path} was changed: sha256 {found}, the manifest says {shard.sha256}"
            )
    known = {shard.path for shard in corpus.manifest.shards}
    for path in sorted((corpus.path / "data").iterdir()):
        # `datasets` would load it with the others.
        if f"data/{path.name}" not in known:
            raise CorpusError(f"data/{path.name} is not in the manifest")
    manifest = corpus.manifest
    expected = corpus_fingerprint(manifest.kind, manifest.shards, manifest.vocabulary_version)
    if expected != corpus.fingerprint:
        raise CorpusError(f"{MANIFEST_NAME} was changed: fingerprint does not fit its shards")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_digest(table: pa.Table) -> str:
    """Return the identity of rows: a hash over every column but the image bytes.

    The pixels are covered by `image_id`, the bytes by the shard's SHA-256. A later column that no
    row has a value in counts for nothing, so the same rows are the same as before it came.
    """
    unused = [c for c in LATER_COLUMNS if c in table.column_names and _is_empty(table[c])]
    rows = table.drop_columns(["image", *unused]).to_pylist()
    return blake3(canonical_json(rows)).hexdigest(length=16)


def _is_empty(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == len(column))


def corpus_fingerprint(
    kind: str, shards: Sequence[Shard], vocabulary: int = VOCABULARY_VERSION
) -> str:
    """Return the identity of a corpus: a hash over its kind, vocabulary and rows in order."""
    content = {
        "format": _DIGEST_FORMAT,
        "kind": kind,
        "vocabulary": vocabulary,
        "rows": [[shard.split, shard.digest] for shard in shards],
    }
    return blake3(canonical_json(content)).hexdigest(length=16)
