"""`smearkit verify`: is a release, years later, still what was released?

Everything is compared with what the folder itself holds, so that no network is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from curation.cells import LATER_COLUMNS, SCHEMA, check_rows, schema_with
from curation.corpus import corpus_fingerprint, rows_digest
from curation.errors import CorpusError, ReleaseRefusedError, SmearkitError
from curation.frozen import Frozen
from curation.pixels import decode_rgb
from curation.progress import Progress, silent

from .check_card import check_folder
from .checksums import check_files
from .croissant import CROISSANT_NAME
from .dataset_folder import is_dataset, open_dataset
from .gates import mark_fault, origin_fault, split_fault
from .release_info import RELEASE_NAME, read_release
from .release_record import read_record
from .snapshot import snapshot, split_name
from .vocabulary_gate import label_fault

_SHOWN = 3


class Check(Frozen):
    """What one check of a verification found."""

    dataset: str
    name: str
    state: Literal["passed", "failed", "warned"]
    detail: str


class Verification(Frozen):
    """What `verify` found; `whole` says that nothing failed."""

    target: str
    version: str
    checks: tuple[Check, ...]

    @property
    def whole(self) -> bool:
        """Whether no check failed."""
        return all(check.state != "failed" for check in self.checks)


class _FaultError(Exception):
    """A check failed; the text says why."""


def verify(
    target: str | Path, *, cache: Path | None = None, progress: Progress = silent
) -> Verification:
    """Verify a release, a dataset folder of one, or a dataset on the Hub (ORG/NAME@1.2.0).

    Raises: ReleaseRefusedError where there is no such thing.
    """
    path = Path(target)
    if not path.exists():
        repository, revision = split_name(str(target))
        folder = snapshot(repository, revision, cache)
        _refuse_other(folder)
        wanted = _check(repository, "version", folder, lambda f: _is_version(f, revision))
        checks = (wanted, *_verify_folder(repository, folder, progress))
        return Verification(target=str(target), version=revision, checks=checks)
    if (path / RELEASE_NAME).is_file():
        release = read_release(path)
        version = release.info.version
        found = [
            check
            for folder in (release.real, release.synthetic)
            for check in (
                _check(folder.name, "version", folder, lambda f: _is_version(f, version)),
                *_verify_folder(folder.name, folder, progress),
            )
        ]
        return Verification(target=str(target), version=version, checks=tuple(found))
    _refuse_other(path)
    version = read_record(path).version
    checks = tuple(_verify_folder(path.name, path, progress))
    return Verification(target=str(target), version=version, checks=checks)


def _refuse_other(folder: Path) -> None:
    if not is_dataset(folder):
        raise ReleaseRefusedError(
            f"{folder} is no release and no dataset of one. Next: give what `smearkit release` made"
        )


def _verify_folder(name: str, folder: Path, progress: Progress) -> list[Check]:
    found = []
    for number, (what, check) in enumerate(VERIFICATIONS.items()):
        progress("verify", number, len(VERIFICATIONS))
        found.append(_check(name, what, folder, check))
        if what == "files" and found[-1].state == "failed":
            # What follows would only repeat, less clearly, that a file is not as it was.
            break
    return found


def _check(dataset: str, name: str, folder: Path, check: Callable[[Path], str]) -> Check:
    try:
        detail = check(folder)
    except (_FaultError, SmearkitError) as error:
        return Check(dataset=dataset, name=name, state="failed", detail=str(error))
    state: Literal["passed", "warned"] = "passed"
    if detail.startswith("warned: "):
        state, detail = "warned", detail.removeprefix("warned: ")
    return Check(dataset=dataset, name=name, state=state, detail=detail)


def _is_version(folder: Path, version: str) -> str:
    found = read_record(folder).version
    if found != version:
        raise _FaultError(f"it says that it is version {found}, not {version}")
    return f"version {version}"


def _files(folder: Path) -> str:
    return f"{check_files(folder)} files have the checksums of checksums.txt"


def _rows(folder: Path) -> str:
    corpus = open_dataset(folder)
    manifest = corpus.manifest
    schema = schema_with(manifest.attributes)
    for shard in manifest.shards:
        table = pq.read_table(folder / shard.path, partitioning=None)
        if len(table) != shard.rows or rows_digest(table) != shard.digest:
            raise _FaultError(f"{shard.path} does not hold the rows that the manifest names")
        try:
            check_rows(_with_later_columns(table), shard.split, schema)
        except CorpusError as error:
            raise _FaultError(f"{shard.path}: {error}") from error
        if fault := label_fault(folder / shard.path):
            raise _FaultError(f"{shard.path} {fault}")
        for row in (0, len(table) - 1) if len(table) else ():
            _decodes(shard.path, table["image"][row]["bytes"].as_py())
    made = corpus_fingerprint(manifest.kind, manifest.shards, manifest.vocabulary_version)
    if made != corpus.fingerprint:
        raise _FaultError("the fingerprint is not that of the rows")
    return f"{manifest.n_out} rows in the schema, fingerprint {corpus.fingerprint}"


def _with_later_columns(table: pa.Table) -> pa.Table:
    """Return rows of before some columns came, with these empty."""
    for name in LATER_COLUMNS:
        if name not in table.column_names:
            field = SCHEMA.field(name)
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(SCHEMA.names + [n for n in table.column_names if n not in SCHEMA.names])


def _decodes(shard: str, data: bytes) -> None:
    try:
        decode_rgb(data)
    except (OSError, ValueError, SmearkitError) as error:
        raise _FaultError(f"{shard}: an image cannot be decoded: {error}") from error


def _splits(folder: Path) -> str:
    corpus = open_dataset(folder)
    fault = origin_fault(corpus) or split_fault(corpus)
    if fault:
        raise _FaultError(fault)
    return "no subject, slide or image in two splits; no synthetic row outside train"


def _marks(folder: Path) -> str:
    fault = mark_fault(open_dataset(folder))
    if fault:
        raise _FaultError(fault.partition(". ")[0])
    return "images say what they are, and hold nothing else"


def _gates(folder: Path) -> str:
    gates = read_record(folder).gates
    failed = [gate.name for gate in gates if gate.state == "failed"]
    if failed:
        raise _FaultError(f"released in spite of {', '.join(failed)}")
    forced = [gate.name for gate in gates if gate.state == "overridden"]
    if forced:
        return f"warned: {', '.join(forced)} overridden by the maintainer; the card says why"
    warned = [gate.name for gate in gates if gate.state == "warned"]
    told = f", {len(warned)} of them with a warning ({', '.join(warned)})" if warned else ""
    return f"{len(gates)} gates passed when it was released{told}"


def _card(folder: Path) -> str:
    faults = check_folder(folder)
    if faults:
        shown = "; ".join(str(fault) for fault in faults[:_SHOWN])
        more = f"; {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise _FaultError(f"{shown}{more}")
    return "every number of the card is that of the rows and the reports"


def _croissant(folder: Path) -> str:
    told = json.loads((folder / CROISSANT_NAME).read_bytes())
    listed = {
        entry["contentUrl"]: entry["sha256"]
        for entry in told["distribution"]
        if entry["@type"] == "cr:FileObject"
    }
    held = {shard.path: shard.sha256 for shard in open_dataset(folder).manifest.shards}
    if listed != held:
        raise _FaultError(f"{CROISSANT_NAME} lists other shards than there are")
    return f"{len(held)} shards listed"


VERIFICATIONS: dict[str, Callable[[Path], str]] = {
    "files": _files, "rows": _rows, "splits": _splits, "marks": _marks, "gates": _gates,
    "card": _card, "croissant": _croissant,
}  # fmt: skip
