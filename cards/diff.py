"""The difference between two versions of a dataset, row by row, and the version that it asks for.

Rows are the same where their `image_id` is: the hash of the released pixels.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from curation.cells import LATER_COLUMNS
from curation.corpus import Corpus
from curation.errors import CorpusError
from curation.frozen import Frozen
from curation.vocabulary import LABELS

from .dataset_folder import open_dataset
from .release_info import RELEASE_NAME, read_release
from .versions import BUMPS, Bump

_SHOWN = 5


class Difference(Frozen):
    """How one dataset differs from an earlier one, in rows; per class by the vocabulary's name."""

    kind: str
    old: str = Field(description="fingerprint of the earlier rows")
    new: str = Field(description="fingerprint of the rows now")
    kept: int
    added: int
    removed: int
    relabelled: int
    moved: int = Field(description="in another split than before: an error")
    changed: int = Field(description="same image and label, another value in some column")
    added_by_class: dict[str, int]
    removed_by_class: dict[str, int]
    relabelled_as: dict[str, int] = Field(description='"old -> new" -> rows')
    moved_between: dict[str, int] = Field(description='"old -> new" -> rows')
    changed_columns: dict[str, int]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    examples: dict[str, tuple[str, ...]] = Field(description="what -> the first image ids")

    def without_examples(self) -> Difference:
        """Return the difference in numbers alone."""
        return self.model_copy(update={"examples": {}})

    @property
    def bump(self) -> Bump:
        """The least bump of the version that tells users what happened."""
        if self.removed or self.relabelled or self.moved or self.changed or self.columns_removed:
            return "major"
        return "minor" if self.added or self.columns_added else "patch"


class ReleaseDifference(Frozen):
    """How the datasets of two versions differ."""

    datasets: tuple[Difference, ...]

    @property
    def bump(self) -> Bump:
        """The least bump that fits every dataset, for they share one version."""
        return max((one.bump for one in self.datasets), key=BUMPS.index)

    @property
    def moved(self) -> int:
        """Rows that stand in another split than before, of all datasets."""
        return sum(one.moved for one in self.datasets)


def diff(old: Path, new: Path) -> ReleaseDifference:
    """Compare two releases, or two datasets or corpora of one kind.

    Raises: CorpusError where they cannot be compared; ReleaseRefusedError.
    """
    old_parts, new_parts = _parts(old), _parts(new)
    if set(old_parts) != set(new_parts):
        raise CorpusError(
            f"{old} holds {', '.join(old_parts)} cells and {new} {', '.join(new_parts)} ones. "
            "Next: compare two releases, or two corpora of one kind"
        )
    pairs = [(old_parts[kind], new_parts[kind]) for kind in old_parts]
    return ReleaseDifference(datasets=tuple(difference(a, b) for a, b in pairs))


def _parts(path: Path) -> dict[str, Corpus]:
    if (path / RELEASE_NAME).is_file():
        release = read_release(path)
        return {"real": open_dataset(release.real), "synthetic": open_dataset(release.synthetic)}
    corpus = open_dataset(path)
    return {corpus.manifest.kind: corpus}


def difference(old: Corpus, new: Corpus) -> Difference:
    """Return how the rows of one corpus differ from those of an earlier one."""
    before, after = _rows(old), _rows(new)
    place = pc.index_in(after["image_id"], value_set=before["image_id"])
    known = pc.is_valid(place)
    common_after = after.filter(known)
    common_before = before.take(place.filter(known))
    gone = before.filter(pc.invert(pc.is_in(before["image_id"], value_set=after["image_id"])))
    fresh = after.filter(pc.invert(known))
    relabelled = _unequal(common_before["label"], common_after["label"])
    moved = _unequal(common_before["split"], common_after["split"])
    columns, changed = _changed(common_before, common_after)
    ids = common_after["image_id"]
    return Difference(
        kind=new.manifest.kind,
        old=old.fingerprint,
        new=new.fingerprint,
        kept=len(common_after),
        added=len(fresh),
        removed=len(gone),
        relabelled=_count(relabelled),
        moved=_count(moved),
        changed=_count(changed),
        added_by_class=_by_class(fresh),
        removed_by_class=_by_class(gone),
        relabelled_as=_pairs(common_before["label"], common_after["label"], relabelled),
        moved_between=_pairs(common_before["split"], common_after["split"], moved),
        changed_columns=columns,
        columns_added=_more(after, before),
        columns_removed=_more(before, after),
        examples=_examples(
            {"added": fresh["image_id"], "removed": gone["image_id"],
             "relabelled": ids.filter(relabelled), "moved": ids.filter(moved),
             "changed": ids.filter(changed)}
        ),
    )  # fmt: skip


def _rows(corpus: Corpus) -> pa.Table:
    """Return all columns of all rows but the images, with the split; unused columns are left out.

    A later column that no row has a value in says nothing: `rows_digest` leaves it out, too.
    """
    first = corpus.manifest.shards[0] if corpus.manifest.shards else None
    names = [] if first is None else pq.read_schema(corpus.path / first.path).names
    names = [name for name in names if name != "image"] or ["image_id", "label"]
    tables = []
    for split in corpus.manifest.splits:
        table = corpus.rows(names, [split])
        tables.append(table.append_column("split", pa.array([split] * len(table), pa.string())))
    rows = pa.concat_tables(tables) if tables else corpus.rows(names)
    if "split" not in rows.column_names:
        rows = rows.append_column("split", pa.array([], pa.string()))
    unused = [n for n in LATER_COLUMNS if n in names and rows[n].null_count == len(rows)]
    return rows.drop_columns(unused).combine_chunks()


def _unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    both_null = pc.and_(pc.is_null(old), pc.is_null(new))
    return pc.invert(pc.or_(pc.fill_null(pc.equal(old, new), False), both_null))


def _changed(old: pa.Table, new: pa.Table) -> tuple[dict[str, int], pa.ChunkedArray]:
    """Return column -> rows in which it differs, and which rows differ in any."""
    counts: dict[str, int] = {}
    rows = _unequal(old["image_id"], new["image_id"])
    for name in new.column_names:
        if name in ("image_id", "label", "split") or name not in old.column_names:
            continue
        if old[name].type != new[name].type:
            counts[name] = len(new)
            rows = pc.is_valid(new["image_id"])
            continue
        unequal = _unequal(old[name], new[name])
        if count := _count(unequal):
            counts[name] = count
            rows = pc.or_(rows, unequal)
    return counts, rows


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _by_class(rows: pa.Table) -> dict[str, int]:
    counts = Counter(rows["label"].to_pylist())
    return {LABELS[label]: counts[label] for label in sorted(counts)}


def _pairs(old: pa.ChunkedArray, new: pa.ChunkedArray, mask: pa.ChunkedArray) -> dict[str, int]:
    """Return "old -> new" -> rows, of the masked rows; a number is a label's."""
    chosen = zip(old.filter(mask).to_pylist(), new.filter(mask).to_pylist(), strict=True)
    counts = Counter(f"{_name(a)} -> {_name(b)}" for a, b in chosen)
    return dict(sorted(counts.items()))


def _name(value: int | str) -> str:
    return LABELS[value] if isinstance(value, int) else value


def _more(one: pa.Table, other: pa.Table) -> tuple[str, ...]:
    return tuple(name for name in one.column_names if name not in other.column_names)


def _examples(found: dict[str, pa.ChunkedArray]) -> dict[str, tuple[str, ...]]:
    return {what: tuple(ids[:_SHOWN].to_pylist()) for what, ids in found.items() if len(ids)}
