"""The quarantine: what could not be used, for a person to look at. Private, beside the vault."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from .dedupe.exact import Duplicates
from .deidentify.quarantine_entry import ENTRIES_NAME, ConflictEntry, QuarantineEntry
from .deidentify.vault import Vault
from .pixels import encode_png
from .released_cell import BURNED_IN, source_id
from .sources import RawCell, Source
from .stage import locate
from .staged_rows import StagedRows

QUARANTINED = (
    "unreadable", "too_small", "too_large", "several_images", "dicom_unsupported",
    "burned_in_annotation", BURNED_IN,
)  # fmt: skip


def default_quarantine(corpus: Path) -> Path:
    """Return where `curate` puts the quarantine of a corpus unless told otherwise: beside it."""
    return corpus.parent / f"{corpus.name}-quarantine"


def write_quarantine(
    folder: Path,
    sources: Sequence[Source],
    staged: StagedRows,
    reasons: NDArray[np.object_],
    duplicates: Duplicates,
    vault: Vault,
) -> None:
    """Write the unusable source images and `entries.jsonl`; nothing where nothing was quarantined.

    What an interrupted run left in the folder goes first. Each entry names the source file, so the
    folder has mode 0700 and never leaves the house.
    """
    shutil.rmtree(folder, ignore_errors=True)
    rows = np.array([row for row, why in enumerate(reasons) if why in QUARANTINED], dtype=np.int64)
    if len(rows) == 0 and not duplicates.conflicts:
        return
    folder.mkdir(mode=0o700, parents=True)
    handle = os.open(folder / ENTRIES_NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for entry in _images(folder, sources, staged, rows, reasons, vault):
            file.write(entry.model_dump_json() + "\n")
        for conflict in _conflicts(sources, duplicates):
            file.write(conflict.model_dump_json() + "\n")


def burned_in_texts(staged: StagedRows) -> Iterator[tuple[str, str]]:
    """Yield ("burned_in_text", text) of what was read in the pictures."""
    hits = staged.columns(["hits"])["hits"]
    for line in hits.filter(pc.is_valid(hits)).to_pylist():
        yield from ((BURNED_IN, hit["text"]) for hit in json.loads(line) if hit["text"].strip())


def _images(
    folder: Path,
    sources: Sequence[Source],
    staged: StagedRows,
    rows: NDArray[np.int64],
    reasons: NDArray[np.object_],
    vault: Vault,
) -> Iterator[QuarantineEntry]:
    written: set[str] = set()
    for row in rows.tolist():
        cell = _cell(sources, row)
        found = staged.take(np.array([row])).to_pylist()[0]
        entry_id = found["entry_id"] or source_id(cell, None, vault)
        if entry_id in written:
            continue  # copies of one file wait for one decision
        written.add(entry_id)
        hits: list[dict[str, Any]] = json.loads(found["hits"] or "[]")
        yield QuarantineEntry(
            id=entry_id, position=row, reason=str(reasons[row]), detail=found["detail"] or "",
            name=cell.name, boxes=tuple(tuple(hit["box"]) for hit in hits),
            texts=tuple(hit["text"] for hit in hits),
            file=_write(folder / f"{entry_id}.bin", cell.data),
            picture=_write(folder / f"{entry_id}.png", _picture(cell, found["data"], bool(hits))),
        )  # fmt: skip


def _picture(cell: RawCell, released: bytes | None, has_hits: bool) -> bytes | None:
    """Return a picture for the reviewer where the source has no file of its own to show."""
    if cell.pixels is not None:
        return encode_png(cell.pixels)
    return released if has_hits and released and released[:4] == b"\x89PNG" else None


def _write(path: Path, data: bytes | None) -> str | None:
    if data is None:
        return None
    path.write_bytes(data)
    return path.name


def _conflicts(sources: Sequence[Source], duplicates: Duplicates) -> Iterator[ConflictEntry]:
    for conflict in duplicates.conflicts:
        yield ConflictEntry.model_validate({
            "reason": f"{conflict.kind}_conflict", "image_id": conflict.image_id,
            "labels": conflict.labels, "positions": conflict.rows,
            "names": tuple(_cell(sources, row).name for row in conflict.rows),
        })  # fmt: skip


def _cell(sources: Sequence[Source], row: int) -> RawCell:
    source, position = locate(sources, row)
    return next(source.read(position, position + 1))
