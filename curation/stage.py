"""The first pass of `curate`: each source image once, into staging files that can be mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa

from .cells import Attribute
from .deidentify.treat import Treat
from .progress import Progress
from .released_cell import CellMaker, Handling
from .sources import Source
from .staged_rows import StagedRows, write_rows

CHUNK_ROWS = 1024

_STAGED = (
    ("data", pa.large_binary()),
    ("size", pa.int64()),
    ("codec", pa.string()),
    ("image_id", pa.string()),
    ("label", pa.string()),
    ("label_found", pa.string()),
    ("subject", pa.string()),
    ("slide", pa.string()),
    ("site", pa.string()),
    ("field", pa.string()),
    ("reason", pa.string()),
    ("detail", pa.string()),
    # What was found burned in: private, and gone with the staging files.
    ("read", pa.bool_()),
    ("hits", pa.string()),
    ("outcome", pa.string()),
    ("entry_id", pa.string()),
)


def staging_schema(attributes: Sequence[Attribute]) -> pa.Schema:
    """Return the schema of staged rows, with the columns that the policy adds."""
    added = [(a.name, pa.float64() if a.is_number else pa.string()) for a in attributes]
    return pa.schema([*_STAGED, *added])


def stage_cells(
    sources: Sequence[Source],
    treats: Sequence[Treat],
    attributes: Sequence[Attribute],
    handling: Handling,
    folder: Path,
    progress: Progress,
) -> StagedRows:
    """Turn every source image into what may be released; chunks that are there are not made again.

    Raises: SmearkitError from the sources; a bad image only costs its row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    schema = staging_schema(attributes)
    makers = [CellMaker(handling, treat) for treat in treats]
    total = sum(len(source) for source in sources)
    files = []
    done = 0
    for number, (which, start, stop) in enumerate(_chunks(sources)):
        path = folder / f"{number:06d}.arrow"
        files.append(path)
        if not path.exists():
            progress("curate", done, total)
            rows = []
            for cell in sources[which].read(start, stop):
                rows.append(makers[which].row(cell))
                if len(rows) % 64 == 0:
                    progress("curate", done + len(rows), total)
            write_rows(path, pa.Table.from_pylist(rows, schema=schema))
        done += stop - start
        progress("curate", done, total)
    return StagedRows(files)


def locate(sources: Sequence[Source], position: int) -> tuple[Source, int]:
    """Return the source that holds a row of the whole, and the row's position in it."""
    ends = list(accumulate(len(source) for source in sources))
    number = int(np.searchsorted(ends, position, side="right"))
    return sources[number], position - (ends[number] - len(sources[number]))


def _chunks(sources: Sequence[Source]) -> Iterator[tuple[int, int, int]]:
    for which, source in enumerate(sources):
        for start in range(0, len(source), CHUNK_ROWS):
            yield which, start, min(start + CHUNK_ROWS, len(source))
