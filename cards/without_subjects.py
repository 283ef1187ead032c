"""A corpus without the cells of some subjects: the other rows, in the same order."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.cells import SPLITS, schema_with
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.deidentify.k_anonymity import generalised, rules_for, small_groups
from curation.manifest import Deidentification, Shard
from curation.output import write_whole

DROPPED = "withdrawn"


@dataclass(frozen=True, slots=True)
class Removed:
    """What went: cells by split, and the cells whose quasi-identifiers were emptied for it."""

    subjects: frozenset[str]
    cells: dict[str, int]
    image_ids: frozenset[str]
    generalised: int


@dataclass(frozen=True, slots=True)
class _Emptied:
    """Column -> rows of what is left in which it is emptied, for so many groups too small."""

    rows: dict[str, set[int]]
    groups: int

    @property
    def changed(self) -> set[int]:
        """Rows in which anything is emptied."""
        return {row for rows in self.rows.values() for row in rows}


def without_subjects(
    corpus: Corpus, subjects: Collection[str], out: Path
) -> tuple[Corpus, Removed]:
    """Write a corpus without the cells of some subjects, given by pseudonym.

    Where too few subjects are left to share a combination of quasi-identifiers, these are emptied.

    Raises: CorpusError.
    """
    manifest = corpus.manifest
    schema = schema_with(manifest.attributes)
    gone = pa.array(sorted(subjects), pa.string())
    emptied = _emptied(corpus, gone)
    shards: list[Shard] = []
    cells: dict[str, int] = {}
    ids: set[str] = set()
    total = 0
    for split in SPLITS:
        tables, old = [], corpus.shards([split])
        for shard in old:
            table = pq.read_table(corpus.path / shard.path, partitioning=None)
            mask = pc.fill_null(pc.is_in(table["subject"], value_set=gone), False)
            lost = table.filter(mask)["image_id"].to_pylist()
            ids.update(lost)
            cells[split] = cells.get(split, 0) + len(lost)
            kept = table.filter(pc.invert(mask))
            tables.append(_with_emptied(kept, emptied, total))
            total += len(kept)
        filled = [table for table in tables if len(table)]
        for index, table in enumerate(filled):
            path = shard_name(split, index, len(filled))
            shards.append(write_shard(out, split, path, _in_schema(table, schema), schema))
    lost_cells = {split: count for split, count in cells.items() if count}
    write_manifest(
        out, kind=manifest.kind, shards=shards, n_in=manifest.n_in,
        dropped=_added(manifest.dropped, sum(lost_cells.values())),
        grouped_by=manifest.grouped_by, codec=manifest.codec,
        parents={**manifest.parents, "withdrawn_from": corpus.fingerprint},
        config=manifest.config, view=manifest.view, attributes=manifest.attributes,
        deidentification=_deidentification(manifest.deidentification, emptied),
        duplicate_groups=manifest.duplicate_groups, conflicts=manifest.conflicts,
        quarantined=manifest.quarantined,
    )  # fmt: skip
    removed = Removed(frozenset(subjects), lost_cells, frozenset(ids), len(emptied.changed))
    return load_corpus(out), removed


def _added(dropped: dict[str, int], count: int) -> dict[str, int]:
    return {**dropped, DROPPED: dropped.get(DROPPED, 0) + count}


def _in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names)


def _emptied(corpus: Corpus, gone: pa.Array) -> _Emptied:
    """Return what has to be emptied, so that too few subjects share no combination."""
    record = corpus.manifest.deidentification
    if record is None or not record.k_anonymity.quasi_identifiers:
        return _Emptied({}, 0)
    found = record.k_anonymity
    names = [*found.quasi_identifiers, *found.sensitive]
    rows = corpus.rows([*dict.fromkeys([*names, "site", "label", "subject"])])
    left = rows.filter(pc.invert(pc.fill_null(pc.is_in(rows["subject"], value_set=gone), False)))
    columns = {name: left[name].to_pylist() for name in [*names, "site", "label"]}
    subjects = left["subject"].to_pylist()
    attributes = corpus.manifest.attributes
    rules = rules_for(attributes, columns["site"], found.k, found.l, _rare_labels(rows, corpus))
    groups = small_groups(columns, subjects, rules)[0]
    if not groups:
        return _Emptied({}, 0)
    made = generalised(columns, subjects, rules)
    rows_of = {
        name: {row for row, (a, b) in enumerate(zip(columns[name], values, strict=True)) if a != b}
        for name, values in made.items()
    }
    return _Emptied(rows_of, len(groups))


def _rare_labels(rows: pa.Table, corpus: Corpus) -> bool:
    """Return whether the label counted as a quasi-identifier: it did if that rule held before."""
    record = corpus.manifest.deidentification
    assert record is not None, "asked of corpora with quasi-identifiers only"
    found = record.k_anonymity
    names = [*found.quasi_identifiers, *found.sensitive, "site", "label"]
    columns = {name: rows[name].to_pylist() for name in names}
    rules = rules_for(corpus.manifest.attributes, columns["site"], found.k, found.l, True)
    return not small_groups(columns, rows["subject"].to_pylist(), rules)[0]


def _with_emptied(table: pa.Table, emptied: _Emptied, first: int) -> pa.Table:
    for name, rows in emptied.rows.items():
        column = table[name]
        mask = pa.array([first + row in rows for row in range(len(table))], pa.bool_())
        nothing = pa.scalar(None, column.type)
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pc.if_else(mask, nothing, column))
    return table


def _deidentification(
    record: Deidentification | None, emptied: _Emptied
) -> Deidentification | None:
    if record is None or not emptied.groups:
        return record
    found = record.k_anonymity
    changed = found.model_copy(
        update={"choice": "generalise", "found_groups": found.found_groups + emptied.groups,
                "found_rows": found.found_rows + len(emptied.changed)}
    )  # fmt: skip
    return record.model_copy(update={"k_anonymity": changed})


def clean_reports(reports: Path, removed: Removed, corpus: Corpus) -> None:
    """Take what is left of removed cells out of the reports that came with a corpus."""
    _without(reports / "conflicts.parquet", "subject", removed.subjects)
    _without(reports / "overlap.parquet", "image_id", removed.image_ids)
    file = reports / "curation.json"
    if not file.is_file():
        return
    found = json.loads(file.read_bytes())
    conflicts = reports / "conflicts.parquet"
    listed = set(pq.read_table(conflicts)["image_id"].to_pylist()) if conflicts.is_file() else set()
    found["conflicts"] = [entry for entry in found["conflicts"] if entry["image_id"] in listed]
    found["n_out"] = corpus.manifest.n_out
    found["dropped"] = corpus.manifest.dropped
    found["splits"]["cells"] = corpus.manifest.splits
    total = corpus.manifest.n_out
    found["splits"]["shares"] = {
        split: round(count / total, 4) for split, count in corpus.manifest.splits.items()
    }
    write_whole(file, json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n")


def _without(file: Path, column: str, values: Collection[str]) -> None:
    if not file.is_file():
        return
    rows = pq.read_table(file, partitioning=None)
    gone = pa.array(sorted(values), pa.string())
    mask = pc.fill_null(pc.is_in(rows[column], value_set=gone), False)
    pq.write_table(rows.filter(pc.invert(mask)), file, compression="zstd")
