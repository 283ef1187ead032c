"""The first pass of `curate`: each source image once, into staging files that can be mapped.

A chunk is a run of cells of one source and becomes one file, whoever makes it and whenever.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .cells import Attribute
from .closeup import Closeup, closeup, gather
from .deidentify.treat import Treat
from .engine import chosen_engine, run_chunks
from .measures import MEASURED, measured_columns
from .private_names import Naming, naming_as, present_naming
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


@dataclass(frozen=True, slots=True)
class StageJob:
    """Everything that a worker needs to make any chunk. Private: it holds the vault's key."""

    sources: Sequence[Source]
    treats: Sequence[Treat]
    attributes: Sequence[Attribute]
    handling: Handling
    folder: Path
    chunk_rows: int
    naming: Naming = field(default_factory=present_naming)


def staging_schema(attributes: Sequence[Attribute]) -> pa.Schema:
    """Return the schema of staged rows: what is measured, and the columns that the policy adds."""
    added = [(a.name, pa.float64() if a.is_number else pa.string()) for a in attributes]
    return pa.schema([*pa.schema(_STAGED), *MEASURED, *pa.schema(added)])


def stage_cells(
    sources: Sequence[Source],
    treats: Sequence[Treat],
    attributes: Sequence[Attribute],
    handling: Handling,
    folder: Path,
    progress: Progress,
    *,
    engine: str = "local",
    workers: int | None = None,
) -> StagedRows:
    """Turn every source image into what may be released; chunks that are there are not made again.

    Raises: SmearkitError from the sources and the engine; a bad image only costs its row.
    """
    place = _staging_folder(folder)
    job = StageJob(sources, treats, attributes, handling, place, CHUNK_ROWS)
    files = [_staging_file(job.folder, number) for number in range(chunk_count(job))]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    total = sum(len(source) for source in sources)
    done = total - sum(_chunk(job, number).rows for number in missing)
    progress("curate", done, total)

    def finished(number: int) -> None:
        nonlocal done
        done += _chunk(job, number).rows
        progress("curate", done, total)

    def seen(rows: int) -> None:
        progress("curate", done + rows, total)

    work = partial(stage_chunk, job)
    if chosen_engine(engine, len(missing), workers) == "local":
        work = partial(work, seen=seen)
    run_chunks(work, missing, engine, workers=workers, finished=finished)
    return StagedRows(files)


def _staging_folder(folder: Path) -> Path:
    """Return the folder for staging files: the one that an interrupted run left, or a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    # Named by chance: a worker that outlives a killed run must not write into another run's.
    place = found[0] if found else folder / secrets.token_hex(4)
    place.mkdir(exist_ok=True)
    return place.resolve()


def _unseen(rows: int) -> None:
    pass


def stage_chunk(job: StageJob, number: int, *, seen: Callable[[int], None] = _unseen) -> None:
    """Make one staging file, whole or not at all, unless it is there.

    `seen` hears now and then how many of its cells are done.

    Raises: SmearkitError from the source; a bad image only costs its row.
    """
    path = _staging_file(job.folder, number)
    if path.exists():
        return
    chunk = _chunk(job, number)
    maker = CellMaker(job.handling, job.treats[chunk.source])
    rows: list[dict[str, Any]] = []
    usable: list[int] = []
    closeups: list[Closeup] = []
    with naming_as(job.naming), _one_thread():
        for cell in job.sources[chunk.source].read(chunk.start, chunk.stop):
            row, image = maker.row(cell)
            if image is not None:
                usable.append(len(rows))
                closeups.append(closeup(image))
            rows.append(row)
            if len(rows) % 64 == 0:
                seen(len(rows))
        measured = _measured(closeups, usable, len(rows))
    schema = staging_schema(job.attributes)
    table = pa.Table.from_pylist(rows, schema=schema)
    write_rows(path, _with_measures(table, measured))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hold OpenCV to one thread: for pictures so small, waking a second costs more than it does."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _measured(closeups: Sequence[Closeup], usable: Sequence[int], rows: int) -> dict[str, pa.Array]:
    """Return the measured columns of all rows of a chunk, null where a row cannot be used."""
    if not closeups:
        return {}
    position = np.full(rows, -1, np.int64)
    position[usable] = np.arange(len(usable))
    places = pa.array(position, mask=position < 0)
    columns = measured_columns(gather(closeups))
    return {name: column.take(places) for name, column in columns.items()}


def _with_measures(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), column)
    return table


def locate(sources: Sequence[Source], position: int) -> tuple[Source, int]:
    """Return the source that holds a row of the whole, and the row's position in it."""
    ends = list(accumulate(len(source) for source in sources))
    number = int(np.searchsorted(ends, position, side="right"))
    return sources[number], position - (ends[number] - len(sources[number]))


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A run of cells of one source, which is given by its number."""

    source: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


def chunk_count(job: StageJob) -> int:
    """Return how many staging files a job makes."""
    return sum(-(-len(source) // job.chunk_rows) for source in job.sources)


def _chunk(job: StageJob, number: int) -> _Chunk:
    before = 0
    for which, source in enumerate(job.sources):
        count = -(-len(source) // job.chunk_rows)
        if number < before + count:
            start = (number - before) * job.chunk_rows
            return _Chunk(which, start, min(start + job.chunk_rows, len(source)))
        before += count
    raise IndexError(f"chunk {number} of {before}")


def _staging_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.arrow"
