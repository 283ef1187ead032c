"""Small grey pictures of cells by row, in memory or on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

THUMB_PX = 64
"""Side of the small picture: at 48 px, copies and different cells come close to each other."""
_BYTES = THUMB_PX**2

Pictures = NDArray[np.uint8]
"""(n, 64, 64) grey, uint8 in [0, 255]."""


class Thumbs(Protocol):
    """Small pictures that can be asked for by row."""

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Return the pictures of some rows."""


class ThumbArray:
    """Small pictures in memory."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Return the pictures of some rows."""
        return self._pictures[rows]


class ThumbFile:
    """Small pictures in a file: of a large corpus they fill no memory, as a mapping would."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Return the pictures of some rows."""
        taken = np.empty((len(rows), THUMB_PX, THUMB_PX), np.uint8)
        for slot, row in enumerate(rows.tolist()):
            data = os.pread(self._file, _BYTES, row * _BYTES)
            taken[slot] = np.frombuffer(data, np.uint8).reshape(THUMB_PX, THUMB_PX)
        return taken

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class ChosenThumbs:
    """Some of other small pictures, renumbered."""

    def __init__(self, thumbs: Thumbs, rows: NDArray[np.int64]) -> None:
        self._thumbs, self._rows = thumbs, rows

    def take(self, rows: NDArray[np.int64]) -> Pictures:
        """Return the pictures of some rows."""
        return self._thumbs.take(self._rows[rows])


def write_thumbs(path: Path, columns: Iterable[pa.Array]) -> ThumbFile:
    """Write the `thumbs` column, given in parts, as one file in row order, and open it."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        for column in columns:
            file.write(fixed_bytes(column).data)
    temporary.replace(path)
    return ThumbFile(path)


def fixed_bytes(column: pa.Array) -> NDArray[np.uint8]:
    """Return a column of byte strings of one length as they lie in memory, flat; nulls included."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    return flat[column.offset * width : (column.offset + len(column)) * width]
