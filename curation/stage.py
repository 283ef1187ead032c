"""The first pass of `curate`: each source image once, into staging files that can be mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .deidentify.vault import Vault
from .errors import ImageError
from .pixels import Limits, ReleasedImage, release_image
from .progress import Progress
from .sources import RawCell, Source
from .staged_rows import StagedRows, write_rows

CHUNK_ROWS = 1024

STAGING_SCHEMA = pa.schema(
    [
        ("data", pa.large_binary()),
        ("size", pa.int64()),
        ("image_id", pa.string()),
        ("label", pa.string()),
        ("label_found", pa.string()),
        ("subject", pa.string()),
        ("slide", pa.string()),
        ("site", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


def stage_cells(
    sources: Sequence[Source],
    labels: Mapping[str, str | None],
    limits: Limits,
    vault: Vault,
    folder: Path,
    progress: Progress,
) -> StagedRows:
    """Turn every source image into what may be released; chunks that are there are not made again.

    Raises: SmearkitError from the sources; a bad image only costs its row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(source) for source in sources)
    files = []
    done = 0
    for number, (source, start, stop) in enumerate(_chunks(sources)):
        path = folder / f"{number:06d}.arrow"
        files.append(path)
        if not path.exists():
            progress("curate", done, total)
            rows = []
            for cell in source.read(start, stop):
                rows.append(_staged(cell, labels, limits, vault))
                if len(rows) % 64 == 0:
                    progress("curate", done + len(rows), total)
            write_rows(path, pa.Table.from_pylist(rows, schema=STAGING_SCHEMA))
        done += stop - start
        progress("curate", done, total)
    return StagedRows(files)


def locate(sources: Sequence[Source], position: int) -> tuple[Source, int]:
    """Return the source that holds a row of the whole, and the row's position in it."""
    ends = list(accumulate(len(source) for source in sources))
    number = int(np.searchsorted(ends, position, side="right"))
    return sources[number], position - (ends[number] - len(sources[number]))


def _chunks(sources: Sequence[Source]) -> Iterator[tuple[Source, int, int]]:
    for source in sources:
        for start in range(0, len(source), CHUNK_ROWS):
            yield source, start, min(start + CHUNK_ROWS, len(source))


def _staged(
    cell: RawCell, labels: Mapping[str, str | None], limits: Limits, vault: Vault
) -> dict[str, Any]:
    label = labels.get(cell.label)
    image: ReleasedImage | None = None
    reason, detail = cell.problem or "", ""
    if not reason and label is None:
        reason = "unknown_label"
    if not reason and cell.data is not None:
        try:
            image = release_image(cell.data, limits)
        except ImageError as error:
            reason, detail = error.reason, error.detail
    pseudonyms = {
        kind: vault.pseudonym(kind, value) if value is not None else None
        for kind, value in (("subject", cell.subject), ("slide", cell.slide), ("site", cell.site))
    }
    return {
        "data": image.data if image else None,
        "size": len(image.data) if image else 0,
        "image_id": image.image_id if image else None,
        "label": label,
        "label_found": cell.label,
        **pseudonyms,
        "reason": reason,
        "detail": detail,
    }
