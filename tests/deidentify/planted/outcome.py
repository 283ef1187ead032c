"""What came out: the rows of the corpora as any reader of Parquet sees them."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread

from .fact import Array


@dataclass(frozen=True)
class Released:
    """One released cell: its bytes, its pixels as Pillow shows them, and its columns."""

    data: bytes
    pixels: Array
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The name of its label."""
        return str(self.values["label"])


@dataclass(frozen=True)
class Outcome:
    """Every released cell of some corpora, and cleaned DICOM files by their instance number."""

    cells: tuple[Released, ...]
    dicom: Mapping[int, Dataset] = field(default_factory=dict)

    @cached_property
    def _by_pixels(self) -> dict[tuple[tuple[int, ...], bytes], Released]:
        return {(c.pixels.shape, c.pixels.tobytes()): c for c in self.cells}

    @cached_property
    def _by_shape(self) -> dict[tuple[int, ...], tuple[list[Released], NDArray[np.int16]]]:
        groups: dict[tuple[int, ...], list[Released]] = defaultdict(list)
        for cell in self.cells:
            groups[cell.pixels.shape].append(cell)
        return {
            shape: (cells, np.stack([c.pixels for c in cells]).astype(np.int16))
            for shape, cells in groups.items()
        }

    def find(self, shown: Array, levels: int = 0) -> Released | None:
        """Return the released cell that shows the same within some levels of 255."""
        exact = self._by_pixels.get((shown.shape, shown.tobytes()))
        if exact is not None or not levels or shown.shape not in self._by_shape:
            return exact
        cells, stack = self._by_shape[shown.shape]
        apart = np.abs(stack - shown).reshape(len(cells), -1).max(axis=1)
        nearest = int(apart.argmin())
        return cells[nearest] if apart[nearest] <= levels else None

    def value(self, shown: Array, column: str, levels: int = 0) -> Any:
        """Return what a column says of the cell that shows this, None where there is none."""
        cell = self.find(shown, levels)
        return None if cell is None else cell.values.get(column)


def read_outcome(corpora: Iterable[Path], cleaned: Path | None = None) -> Outcome:
    """Read the shards of some corpora, and the files of a folder of cleaned DICOM files."""
    shards = [path for corpus in corpora for path in sorted((corpus / "data").glob("*.parquet"))]
    files = [] if cleaned is None else [dcmread(path) for path in sorted(cleaned.glob("*.dcm"))]
    cells = tuple(cell for shard in shards for cell in _cells(shard))
    return Outcome(cells, {int(file.InstanceNumber): file for file in files})


def _cells(shard: Path) -> list[Released]:
    table = pq.read_table(shard)
    info = json.loads(table.schema.metadata[b"huggingface"])
    labels = info["info"]["features"]["label"]["names"]
    found = []
    for row in table.to_pylist():
        data = row.pop("image")["bytes"]
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image)
        found.append(Released(data, pixels, {**row, "label": labels[row["label"]]}))
    return found
