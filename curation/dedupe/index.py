"""The hash index: what a run of `curate` knew of every row, so that a later one can add to it.

    VAULT/index/FINGERPRINT/
      index.json     written first in a hidden folder, which is renamed as a whole
      000000.arrow…  staged rows without their images, with what became of them
      pairs.arrow    the pairs that show one place, numbered by row

It holds small pictures and pseudonyms of cells that were not released, so it is private and lies in
the vault. Nothing that reads a corpus needs it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import HashIndexError, VaultError
from ..manifest import Frozen, Manifest
from ..staged_rows import StagedRows
from .model import MODEL_VERSION
from .near import PAIR_COLUMNS, NearPairs

INDEX_FORMAT = 2
"""1 had other ids of turned copies."""
INDEX_FOLDER = "index"
_HEAD_NAME, _PAIRS_NAME = "index.json", "pairs.arrow"
_ANEW = "Next: curate all sources anew, without --add-to"
FATE: pa.Schema = pa.schema([
    ("index_reason", pa.string()),  # "" = kept
    ("index_split", pa.int8()),  # the first one it had, also where it is gone by now; -1: none
    ("index_source", pa.string()),
    ("index_license", pa.string()),
])  # fmt: skip
"""Of each row: what became of it."""

# Read in a picture, or of use to the quarantine alone.
_NOT_KEPT = ("data", "detail", "entry_id")


class IndexHead(Frozen):
    """What an index belongs to, and what made it."""

    format_version: int
    model_version: int
    fingerprint: str
    key_id: str
    policy_id: str
    rows: int
    searched_for_altered: bool


@dataclass(frozen=True, slots=True)
class HashIndex:
    """An index on the disk; `pairs` are None where altered copies were not searched for."""

    head: IndexHead
    files: tuple[Path, ...]
    pairs: NearPairs | None


def index_path(vault: Path, fingerprint: str) -> Path:
    """Return where the index of a corpus lies."""
    return vault / INDEX_FOLDER / fingerprint


def indexed_corpora(vault: Path, key_id: str) -> list[str]:
    """Return the fingerprints of the corpora of which a vault holds an index under one key."""
    heads = sorted((vault / INDEX_FOLDER).glob(f"[!.]*/{_HEAD_NAME}"))
    return [head.parent.name for head in heads if _key_of(head) == key_id]


def _key_of(head: Path) -> object:
    try:
        found = json.loads(head.read_bytes())
    except (OSError, ValueError):
        return None  # whoever adds to the corpus is told
    return found.get("key_id") if isinstance(found, dict) else None


def write_index(
    vault: Path, head: IndexHead, staged: StagedRows, fate: pa.Table, pairs: NearPairs | None
) -> Path:
    """Write the index of a corpus, whole or not at all; one of the same corpus is replaced.

    `fate` has the columns `FATE` of every staged row.

    Raises: VaultError where it cannot be written.
    """
    place = index_path(vault, head.fingerprint)
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        _write_private(partial / _HEAD_NAME, head.model_dump_json(indent=2).encode())
        for number, table in enumerate(_rows(staged, fate)):
            _write_table(partial / f"{number:06d}.arrow", table)
        if pairs is not None:
            _write_table(
                partial / _PAIRS_NAME, pa.table({n: getattr(pairs, n) for n in PAIR_COLUMNS})
            )
        shutil.rmtree(place, ignore_errors=True)
        partial.rename(place)
    except OSError as error:
        raise VaultError(f"{vault} cannot be written: {error.strerror}") from error
    return place


def _rows(staged: StagedRows, fate: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows of each staging file as they are kept."""
    names = [name for name in staged.names if name not in FATE.names]
    start = 0
    for table in staged.tables(names):
        for name in _NOT_KEPT:
            at = table.schema.get_field_index(name)
            field = table.schema.field(at)
            table = table.set_column(at, field, pa.nulls(len(table), field.type))
        at = table.schema.get_field_index("hits")
        # That there was text is counted; what it said stands in the vault's identifiers.
        seen = pc.if_else(pc.is_valid(table["hits"]), "[]", None).cast(pa.string())
        table = table.set_column(at, "hits", seen)
        part = fate.slice(start, len(table))
        start += len(table)
        for name in FATE.names:
            table = table.append_column(name, part[name])
        yield table


def _write_table(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    _write_private(path, sink.getvalue())


def _write_private(path: Path, data: bytes | pa.Buffer) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read_index(vault: Path, manifest: Manifest, schema: pa.Schema) -> HashIndex:
    """Open the index of a corpus, whose rows have to have the staged columns `schema`.

    Raises: HashIndexError where there is none, where it is not whole, or where another version
    made it.
    """
    place = index_path(vault, manifest.fingerprint)
    if not place.is_dir():
        raise HashIndexError(
            f"{vault} holds no hash index of corpus {manifest.fingerprint}: the index was removed, "
            "or the corpus was made with another vault or an earlier version. "
            f"Next: name its vault with --vault, or {_ANEW.removeprefix('Next: ')}"
        )
    head = _head(place, manifest)
    files = tuple(sorted(place.glob("[0-9]*.arrow")))
    wanted = pa.schema([*schema, *FATE])
    try:
        staged = StagedRows(files)
        whole = len(staged) == head.rows and all(_schema(file).equals(wanted) for file in files)
        pairs = _read_pairs(place / _PAIRS_NAME) if head.searched_for_altered else None
    except (OSError, pa.ArrowInvalid, KeyError, IndexError) as error:
        raise HashIndexError(f"the hash index {place} is damaged. {_ANEW}") from error
    if not whole:
        raise HashIndexError(
            f"the hash index {place} does not fit: expected {head.rows} rows with the columns of "
            f"this version and policy, found {len(staged)} in {len(files)} files. {_ANEW}"
        )
    return HashIndex(head, files, pairs)


def _head(place: Path, manifest: Manifest) -> IndexHead:
    try:
        text = (place / _HEAD_NAME).read_bytes()
        found: dict[str, Any] = json.loads(text)
        versions = found["format_version"], found["model_version"]
        if versions != (INDEX_FORMAT, MODEL_VERSION):
            raise HashIndexError(
                f"the hash index {place} is of another version: format {versions[0]} with "
                f"signatures {versions[1]}; this smearkit compares format {INDEX_FORMAT} with "
                f"signatures {MODEL_VERSION}. {_ANEW}, with this version"
            )
        head = IndexHead.model_validate_json(text)
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise HashIndexError(f"the hash index {place} is damaged. {_ANEW}") from error
    if (head.fingerprint, head.rows) != (manifest.fingerprint, manifest.n_in):
        raise HashIndexError(
            f"the hash index {place} is of another run: it knows {head.rows} images, the corpus "
            f"was made of {manifest.n_in}. {_ANEW}"
        )
    return head


def _schema(file: Path) -> pa.Schema:
    with pa.memory_map(str(file)) as mapped:
        return pa.ipc.open_file(mapped).schema


def _read_pairs(path: Path) -> NearPairs:
    with pa.memory_map(str(path)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
        # Copied: nothing stays mapped.
        columns: dict[str, NDArray[Any]] = {n: np.array(table[n].to_numpy()) for n in PAIR_COLUMNS}
    return NearPairs(**columns, candidates=0, registered=0, highest_rejected=-1.0, cut_off=0)


def fate_table(
    reasons: Sequence[str],
    split: NDArray[np.int64],
    source: Sequence[str | None],
    license_id: Sequence[str | None],
) -> pa.Table:
    """Return the columns `FATE`."""
    columns = [
        pa.array(reasons, pa.string()), pa.array(split.astype(np.int8)),
        pa.array(source, pa.string()), pa.array(license_id, pa.string()),
    ]  # fmt: skip
    return pa.table(columns, schema=FATE)
