"""An earlier version of a corpus that new cells are added to: its rows, and what binds them.

Its released images come over bit for bit. Everything else about its rows comes from the hash index,
also about those that were dropped: a copy of theirs is still a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .cells import Attribute
from .corpus import Corpus, load_corpus, verify_corpus
from .decide import Bound
from .dedupe.exact import Conflict, Duplicates
from .dedupe.find import Known
from .dedupe.index import FATE, HashIndex, fate_table, read_index
from .deidentify.policy import Policy
from .deidentify.vault import Vault
from .errors import CorpusError, PolicyError
from .grown_rows import GrownRows, ReleasedImages
from .manifest import Deidentification, canonical_json
from .released_cell import DROPPED_IN_REVIEW
from .stage import staging_schema
from .staged_rows import StagedRows, write_rows

Flat = NDArray[np.int64]
Reasons = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier version; `fate` has the columns `FATE` of each of its rows, kept or dropped."""

    corpus: Corpus
    index: HashIndex
    fate: pa.Table

    def __len__(self) -> int:
        return self.index.head.rows

    @property
    def reasons(self) -> Reasons:
        """Why each row was dropped, "" where it is in the corpus."""
        return np.array(self.fate["index_reason"].to_pylist(), dtype=object)

    @property
    def split(self) -> Flat:
        """The split each row had first, also where it is gone by now; -1: none."""
        split: Flat = self.fate["index_split"].to_numpy().astype(np.int64)
        return split

    @property
    def bound(self) -> Bound:
        """What it binds of its rows."""
        reasons = self.reasons
        return Bound(Known(reasons != "", self.index.pairs), reasons, self.split)

    @property
    def record(self) -> Deidentification:
        """What was done to its cells."""
        found = self.corpus.manifest.deidentification
        assert found is not None, "looked at when it was opened"
        return found

    def with_new(
        self, new: StagedRows, folder: Path, label_decisions: Mapping[str, str | None]
    ) -> GrownRows:
        """Return its rows followed by new ones; `folder` is one for files of this run.

        Raises: CorpusError.
        """
        staged = StagedRows(self.index.files)
        ids = staged.columns(["image_id"])["image_id"].combine_chunks()
        held = pc.equal(self.fate["index_reason"], "").combine_chunks()
        images = ReleasedImages(self.corpus, pc.if_else(held, ids, pa.scalar(None, ids.type)))
        files = _relabelled(self.index.files, ids, folder, label_decisions)
        return GrownRows(files, images, new)


def open_earlier(
    path: Path, vault: Vault, policy: Policy, attributes: Sequence[Attribute], text: str
) -> Earlier:
    """Open a corpus to add to, and its index in the vault; every byte of it is verified.

    Raises: CorpusError, PolicyError, HashIndexError.
    """
    corpus = load_corpus(path)
    record = corpus.manifest.deidentification
    if corpus.manifest.kind != "real" or record is None:
        raise CorpusError(
            f"{path} is not a curated corpus of real cells; only such can be added to"
        )
    if record.key_id != vault.key_id:
        raise CorpusError(
            f"{path} was curated under key {record.key_id}, the key of {vault.path} is "
            f"{vault.key_id}: one patient would get two pseudonyms. Next: name the vault it was "
            "made with (--vault); after a rotation, curate all sources anew"
        )
    _check_attributes(path, corpus.manifest.attributes, attributes)
    if (record.text.mode == "off") != (text == "off"):
        raise PolicyError(
            f"images of {path} were searched for text with {record.text.mode!r}, the new ones "
            f"would be with {text!r}: one corpus needs one answer. Next: choose the same"
        )
    index = read_index(vault.path, corpus.manifest, staging_schema(attributes))
    if index.head.policy_id != policy_id(vault, policy):
        raise PolicyError(
            f"{path} was curated with another policy than {policy.name!r}. Next: give the one it "
            "was made with (--policy), or curate all sources anew"
        )
    verify_corpus(corpus)
    return Earlier(corpus, index, StagedRows(index.files).columns(FATE.names))


def policy_id(vault: Vault, policy: Policy) -> str:
    """Return the keyed hash of a policy, before columns were named for it."""
    return vault.pseudonym("policy", canonical_json(policy.model_dump(mode="json")).decode())


def _check_attributes(path: Path, had: Sequence[Attribute], made: Sequence[Attribute]) -> None:
    if tuple(had) == tuple(made):
        return
    before, now = (", ".join(a.name for a in side) or "none" for side in (had, made))
    raise PolicyError(
        f"{path} has these columns from its policy: {before}; the new sources make: {now}. "
        "Next: give the new sources the same columns, treated alike, or curate all sources anew"
    )


def _relabelled(
    files: Sequence[Path], ids: pa.Array, folder: Path, decisions: Mapping[str, str | None]
) -> list[Path]:
    """Return the index files, rewritten into `folder` where a person decided about a label."""
    if not decisions or not pc.any(pc.is_in(ids, pa.array(list(decisions), pa.string()))).as_py():
        return list(files)
    folder.mkdir(exist_ok=True)
    made = []
    for path in files:
        staged = StagedRows([path])
        table = staged.columns(staged.names)
        made.append(folder / path.name)
        write_rows(made[-1], _with_decisions(table, decisions))
    return made


def _with_decisions(table: pa.Table, decisions: Mapping[str, str | None]) -> pa.Table:
    ids, labels, reasons = (table[name].to_pylist() for name in ("image_id", "label", "reason"))
    for row, image_id in enumerate(ids):
        if image_id in decisions:
            labels[row] = decisions[image_id]
            if labels[row] is None and not reasons[row]:
                reasons[row] = DROPPED_IN_REVIEW
    for name, values in (("label", labels), ("reason", reasons)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, pa.string()))
    return table


def new_conflicts(duplicates: Duplicates, earlier: int) -> Duplicates:
    """Return the conflicts that new rows have a part in, by the numbers of the new rows alone."""
    found = tuple(
        Conflict(c.image_id, c.kind, c.labels, tuple(r - earlier for r in c.rows if r >= earlier))
        for c in duplicates.conflicts
        if max(c.rows) >= earlier
    )
    return Duplicates(duplicates.n_groups, duplicates.reasons[earlier:], found)


Origins = dict[str, list[str | None]]


def origins(
    earlier: Earlier | None, new: int, source: str | None, license_id: str | None
) -> Origins:
    """Return the columns `source` and `license`: those the earlier rows had, then the new."""
    made: Origins = {"source": [source] * new, "license": [license_id] * new}
    if earlier is None:
        return made
    return {name: earlier.fate[f"index_{name}"].to_pylist() + made[name] for name in made}


def grown_fate(
    earlier: Earlier | None, reasons: Reasons, kept: Flat, split: Flat, origin: Origins
) -> pa.Table:
    """Return the columns `FATE` of all rows; `split` is that of the kept ones."""
    whole = np.full(len(reasons), -1, np.int64)
    whole[kept] = split
    if earlier is not None:
        before = whole[: len(earlier)]
        before[:] = np.where(before < 0, earlier.split, before)
    return fate_table(reasons.tolist(), whole, origin["source"], origin["license"])


def grown_record(record: Deidentification, earlier: Earlier | None) -> Deidentification:
    """Return the record of a run with what was done to the columns of the earlier version."""
    if earlier is None:
        return record
    before = earlier.record
    codes = dict.fromkeys((*before.method_codes, *record.method_codes))
    return record.model_copy(update={
        "columns": {**before.columns, **record.columns},
        "elements_dropped": max(before.elements_dropped, record.elements_dropped),
        "method_codes": tuple(sorted(codes)),
    })  # fmt: skip
