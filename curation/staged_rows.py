"""Rows on disk between two passes: Arrow files of which as much is in memory as is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Numbers of rows, counted over all files."""


class StagedRows:
    """Staged rows: plain columns of all of them, images by row.

    No file stays open and none stays mapped: there may be more than a process may hold, and pages
    of a mapping count as the memory of whoever touched them.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        counts = [_row_count(path) for path in self._files]
        self._starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in row order."""
        return self._files

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        with _mapped(self._files[0]) as table:
            return tuple(table.column_names)

    def columns(self, names: Sequence[str], rows: Rows | None = None) -> pa.Table:
        """Return some columns of every row, or of some rows, which are given in ascending order."""
        parts = []
        for path, here in zip(self._files, self._here(rows), strict=True):
            with _mapped(path, names) as table:
                # Taken, not sliced: a slice would keep the file mapped.
                parts.append(table.take(pa.array(here)))
        return pa.concat_tables(parts)

    def _here(self, rows: Rows | None) -> Iterator[Rows]:
        """Yield for each file which of its rows are asked for."""
        if rows is None:
            yield from (np.arange(count) for count in np.diff(self._starts).tolist())
            return
        ends = np.searchsorted(rows, self._starts)
        for file, start in enumerate(self._starts[:-1].tolist()):
            yield rows[ends[file] : ends[file + 1]] - start

    def parts(self, name: str) -> Iterator[pa.Array]:
        """Yield one column in row order, a file at a time; what was yielded goes with its file."""
        for path in self._files:
            with _mapped(path, [name]) as table:
                yield table[name].combine_chunks()

    def tables(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns of each file, in row order; what was yielded goes with its file."""
        for path in self._files:
            with _mapped(path, names) as table:
                yield table

    def take(self, rows: Rows, names: Sequence[str] | None = None) -> pa.Table:
        """Return rows, images included, in the order asked for; all their columns, or some."""
        if len(rows) == 0:
            with _mapped(self._files[0], names) as table:
                return table.schema.empty_table()
        parts, order = [], []
        for file, places in self._by_file(rows):
            with _mapped(self._files[file], names) as table:
                parts.append(table.take(pa.array(rows[places] - self._starts[file])))
            order.append(places)
        back = np.empty(len(rows), np.int64)
        back[np.concatenate(order)] = np.arange(len(rows))
        return pa.concat_tables(parts).take(pa.array(back))

    def images(self, rows: Rows, sizes: NDArray[np.int64]) -> pa.BinaryArray:
        """Return the images of rows in the order asked for, given the bytes of each.

        They are copied once, each to its place: `take` holds them twice meanwhile.
        """
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        held = pa.allocate_buffer(int(offsets[-1]))
        bytes_ = np.frombuffer(held, np.uint8)
        for place, image in self.each_image(rows):
            bytes_[offsets[place] : offsets[place + 1]] = np.frombuffer(image, np.uint8)
        # Arrow refuses what is too long for the 32-bit offsets that are published.
        ends = pa.array(offsets).cast(pa.int32()).buffers()[1]
        return pa.Array.from_buffers(pa.binary(), len(rows), [None, ends, held])

    def each_image(self, rows: Rows) -> Iterator[tuple[int, pa.Buffer]]:
        """Yield each place in `rows` with its image, a file at a time; a buffer goes with it."""
        for file, places in self._by_file(rows):
            with _mapped(self._files[file], ["data"]) as table:
                data = table["data"].combine_chunks()
                for place in places.tolist():
                    yield place, data[int(rows[place] - self._starts[file])].as_buffer()

    def _by_file(self, rows: Rows) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each file that holds some of the rows, and which of them."""
        files = np.searchsorted(self._starts, rows, side="right") - 1
        by_file = np.argsort(files, kind="stable")
        found, first = np.unique(files[by_file], return_index=True)
        if len(rows):
            yield from zip(found.tolist(), np.split(by_file, first[1:]), strict=True)

    def close(self) -> None:
        """Let go of the files: they may be removed."""
        self._files = ()


@contextmanager
def _mapped(path: Path, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the table of a file, or some columns of it; what is kept of it must be copied."""
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
        yield table if names is None else table.select(list(names))


def _row_count(path: Path) -> int:
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        return sum(reader.get_batch(n).num_rows for n in range(reader.num_record_batches))


def write_rows(path: Path, table: pa.Table) -> None:
    """Write rows as one staging file, whole or not at all."""
    # A name of its own: an engine may have two workers make one file, and both are right.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    temporary.replace(path)
