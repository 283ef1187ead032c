"""Rows on disk between two passes: Arrow files of which as much is in memory as is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa


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
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        with _mapped(self._files[0]) as table:
            return tuple(table.column_names)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of every row."""
        parts = []
        for path in self._files:
            with _mapped(path, names) as table:
                # Taken, not sliced: a slice would keep the file mapped.
                parts.append(table.take(pa.array(np.arange(len(table)))))
        return pa.concat_tables(parts)

    def take(self, rows: np.ndarray[Any, Any], names: Sequence[str] | None = None) -> pa.Table:
        """Return rows, images included, in the order asked for; all their columns, or some."""
        if len(rows) == 0:
            with _mapped(self._files[0], names) as table:
                return table.schema.empty_table()
        files = np.searchsorted(self._starts, rows, side="right") - 1
        by_file = np.argsort(files, kind="stable")
        found, first = np.unique(files[by_file], return_index=True)
        parts = []
        for file, places in zip(found, np.split(by_file, first[1:]), strict=True):
            with _mapped(self._files[file], names) as table:
                parts.append(table.take(pa.array(rows[places] - self._starts[file])))
        back = np.empty(len(rows), np.int64)
        back[by_file] = np.arange(len(rows))
        together = pa.concat_tables(parts)
        parts.clear()
        return together.take(pa.array(back))

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
