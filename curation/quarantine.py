"""The quarantine: what could not be used, for a person to look at. Private, beside the vault."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dedupe.exact import Duplicates
from .deidentify.vault import Vault
from .sources import Source
from .stage import locate
from .staged_rows import StagedRows

QUARANTINED = ("unreadable", "too_small", "too_large", "several_images")


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
    rows = [row for row, reason in enumerate(reasons) if reason in QUARANTINED]
    if not rows and not duplicates.conflicts:
        return
    folder.mkdir(mode=0o700, parents=True)
    details = staged.columns(["detail"])["detail"].to_pylist()
    entries: list[dict[str, Any]] = []
    for row in rows:
        source, position = locate(sources, row)
        cell = next(source.read(position, position + 1))
        # The position is part of it: two sources may each have a file of this name.
        short = vault.pseudonym("file", f"{row} {cell.name}")
        (folder / f"{short}.bin").write_bytes(cell.data or b"")
        entries.append(
            {"id": short, "position": row, "reason": reasons[row], "detail": details[row],
             "name": cell.name, "file": f"{short}.bin"}
        )  # fmt: skip
    for conflict in duplicates.conflicts:
        names = []
        for row in conflict.rows:
            source, position = locate(sources, row)
            names.append(next(source.read(position, position + 1)).name)
        entries.append(
            {"reason": f"{conflict.kind}_conflict", "image_id": conflict.image_id,
             "labels": conflict.labels, "positions": conflict.rows, "names": names}
        )  # fmt: skip
    handle = os.open(folder / "entries.jsonl", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
