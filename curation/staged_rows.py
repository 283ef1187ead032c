"""Rows on disk between two passes: Arrow files that are mapped, not read."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa


class StagedRows:
    """Staged rows, mapped into memory: plain columns whole, images by row."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._maps = [pa.memory_map(str(path)) for path in files]
        self._tables = [pa.ipc.open_file(file).read_all() for file in self._maps]
        self._table = pa.concat_tables(self._tables)
        self._starts = np.cumsum([0, *(len(table) for table in self._tables)])

    def __len__(self) -> int:
        return len(self._table)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of every row."""
        return self._table.select(list(names))

    def take(self, rows: np.ndarray[Any, Any]) -> pa.Table:
        """Return whole rows, images included, in the order asked for."""
        # File by file: to take from all at once, Arrow would first copy every image into memory.
        files = np.searchsorted(self._starts, rows, side="right") - 1
        by_file = np.argsort(files, kind="stable")
        parts = [
            self._tables[file].take(pa.array(rows[files == file] - self._starts[file]))
            for file in np.unique(files)
        ]
        if not parts:
            return self._table.slice(0, 0)
        back = np.empty(len(rows), np.int64)
        back[by_file] = np.arange(len(rows))
        return pa.concat_tables(parts).take(pa.array(back))

    def close(self) -> None:
        """Let go of the files."""
        for file in self._maps:
            file.close()


def write_rows(path: Path, table: pa.Table) -> None:
    """Write rows as one staging file, whole or not at all."""
    # A name of its own: an engine may have two workers make one file, and both are right.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp")
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    temporary.replace(path)
