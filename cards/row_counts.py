"""What the rows of a dataset say, counted from its Parquet files and nothing else."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import simplejpeg

from curation.cells import SPLITS
from curation.corpus import Corpus
from curation.errors import CorpusError
from curation.vocabulary import LABELS

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class PerSubject:
    """How many cells a subject has."""

    subjects: int
    least: int
    median: float
    most: int


@dataclass(frozen=True, slots=True)
class ImageKind:
    """One codec and size of images, and how many have it."""

    codec: str
    width: int
    height: int
    rows: int


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Counts over the rows of a dataset; `values` is column -> value -> rows, most first."""

    rows: int
    splits: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    subjects: Mapping[str, int]
    slides: Mapping[str, int]
    per_subject: PerSubject | None
    subjects_of_class: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    images: tuple[ImageKind, ...]
    file_bytes: Mapping[str, int]
    table_bytes: Mapping[str, int]

    def of_class(self, label: str) -> int:
        """Return the rows of a class over all splits."""
        return sum(counts.get(label, 0) for counts in self.classes.values())


def count_rows(corpus: Corpus) -> RowCounts:
    """Count the rows of a dataset; the heads of its images are read, too."""
    told = [a.name for a in corpus.manifest.attributes if not a.is_number]
    columns = ["label", "subject", "slide", "site", "source", "license", *told]
    tables: dict[str, pa.Table] = {
        split: corpus.rows(columns, [split]) for split in SPLITS if corpus.shards([split])
    }
    every = pa.concat_tables(tables.values()) if tables else corpus.rows(columns)
    files, tabled = _sizes(corpus)
    return RowCounts(
        rows=len(every),
        splits={split: len(table) for split, table in tables.items()},
        classes={split: _labels(table) for split, table in tables.items()},
        subjects=_distinct(tables, "subject"),
        slides=_distinct(tables, "slide"),
        per_subject=_per_subject(every),
        subjects_of_class=_subjects_of_class(every),
        values={name: _values(every[name]) for name in ("site", "source", "license", *told)},
        images=_images(corpus),
        file_bytes=files,
        table_bytes=tabled,
    )


def _labels(table: pa.Table) -> dict[str, int]:
    counts = _values(table["label"])
    return {LABELS[label]: counts[label] for label in sorted(counts)}


def _values(column: pa.ChunkedArray) -> dict:  # type: ignore[type-arg]
    """Return value -> rows, the most frequent first; nulls are not counted."""
    found = pc.value_counts(column.drop_null().combine_chunks()).to_pylist()
    pairs = [(entry["values"], entry["counts"]) for entry in found]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], str(pair[0]))))


def _distinct(tables: Mapping[str, pa.Table], column: str) -> dict[str, int]:
    counts = {split: pc.count_distinct(table[column]).as_py() for split, table in tables.items()}
    return {split: count for split, count in counts.items() if count}


def _per_subject(every: pa.Table) -> PerSubject | None:
    counts = sorted(_values(every["subject"]).values())
    if not counts:
        return None
    middle = len(counts) // 2
    median = counts[middle] if len(counts) % 2 else (counts[middle - 1] + counts[middle]) / 2
    return PerSubject(len(counts), counts[0], median, counts[-1])


def _subjects_of_class(every: pa.Table) -> dict[str, int]:
    known = every.select(["label", "subject"]).filter(pc.is_valid(every["subject"]))
    grouped = known.group_by("label").aggregate([("subject", "count_distinct")]).to_pylist()
    counts = {row["label"]: row["subject_count_distinct"] for row in grouped}
    return {LABELS[label]: counts[label] for label in sorted(counts)}


def _images(corpus: Corpus) -> tuple[ImageKind, ...]:
    counts: Counter[tuple[str, int, int]] = Counter()
    for data in corpus.images():
        counts[image_kind(data)] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ImageKind(*kind, rows) for kind, rows in ordered)


def image_kind(data: bytes) -> tuple[str, int, int]:
    """Return codec, width and height of a released image, from its head.

    Raises: CorpusError where it is none.
    """
    if data[:8] == _PNG_HEAD:
        width, height = struct.unpack(">II", data[16:24])
        return "PNG", width, height
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:
        raise CorpusError("an image is neither a PNG nor a JPEG") from error
    return "JPEG", width, height


def _sizes(corpus: Corpus) -> tuple[dict[str, int], dict[str, int]]:
    """Return split -> bytes of its files, and split -> bytes of its tables without compression."""
    files: Counter[str] = Counter()
    tables: Counter[str] = Counter()
    for shard in corpus.manifest.shards:
        path = corpus.path / shard.path
        found = pq.read_metadata(path)
        groups = (found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        files[shard.split] += path.stat().st_size
        tables[shard.split] += sum(groups)
    return dict(files), dict(tables)
