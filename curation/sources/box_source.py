"""Cells cut from fields and whole slides by a table of boxes.

The cells of a field follow each other and share its pixels, which are decoded once. A slide is
read block by block: as much of it as the cells of one block need is held at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..errors import ImageError
from ..pixels import Limits, Pixels
from .box_plan import Part, PlannedCell, plan_parts
from .boxes import Box, box_rows
from .crops import CropRules, Edge, clipped, crop_window, cut_out, place_problem
from .fields import FIELD, Field, field_files, match_files, read_field, read_slide_region
from .image_files import Picture, file_identifiers, files_identity
from .source import CutFrom, RawCell, distinct_values
from .tables import read_table


@dataclass(frozen=True, slots=True)
class _Shown:
    """Decoded pixels of a field, and where their upper left corner lies in it."""

    pixels: Pixels
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class BoxSource:
    """Cells by position: those of a field one after the other."""

    images: Path
    table_path: Path
    parts: tuple[Part, ...]
    ends: tuple[int, ...]
    rest: pa.Table
    files: tuple[Path, ...]
    rules: CropRules
    limits: Limits
    kind: str = "boxes in fields"

    @property
    def places(self) -> list[Field]:
        """The fields that the table names, found or not."""
        return list({id(part.place): part.place for part in self.parts}.values())

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns but file, label and box, and of the fields' own texts."""
        own = (name for place in self.places for name in place.texts)
        return tuple(dict.fromkeys([*self.rest.column_names, *own]))

    @property
    def fields_without_boxes(self) -> int:
        """How many files the table says nothing of."""
        return len(self.files) - sum(place.path is not None for place in self.places)

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells with nothing wrong that is known without the image."""
        return Counter(
            cell.label for part in self.parts for cell in part.cells if cell.problem is None
        )

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""
        stop = min(stop, len(self))
        at = start
        while at < stop:
            number = bisect_right(self.ends, at)
            part = self.parts[number]
            first = self.ends[number] - len(part.cells)
            chosen = part.cells[at - first : stop - first]
            yield from self._cells(part, chosen)
            at += len(chosen)

    def _cells(self, part: Part, chosen: Sequence[PlannedCell]) -> Iterator[RawCell]:
        shown: _Shown | str | None = None
        for cell in chosen:
            if cell.problem is None:
                shown = shown or _show(part, self.rules, self.limits)
                yield self._cut(part, cell, shown)
            else:
                yield self._without_image(part.place, cell, cell.problem)

    def _cut(self, part: Part, cell: PlannedCell, shown: _Shown | str) -> RawCell:
        if isinstance(shown, str) and part.place.is_slide:
            # One damaged tile, or one left out where no cell lies, costs only the cells on it.
            shown = _show(replace(part, cells=(cell,)), self.rules, self.limits)
        if isinstance(shown, str):
            return self._without_image(part.place, cell, shown)
        problem = place_problem(cell.box, shown.width, shown.height, self.rules)
        if problem is not None:
            return self._without_image(part.place, cell, problem)
        window = crop_window(cell.box, shown.width, shown.height, self.rules)
        place = _moved(window, -shown.left, -shown.top)
        crop = cut_out(shown.pixels, place)
        cut_from = CutFrom(part.place.name, shown.pixels, place)
        return replace(self._without_image(part.place, cell, None), pixels=crop, cut_from=cut_from)

    def _without_image(self, place: Field, cell: PlannedCell, problem: str | None) -> RawCell:
        name = f"{place.name} box {cell.row + 1}"
        return RawCell(name, cell.label, None, self._fields(place, cell.row), problem)

    def _fields(self, place: Field, row: int) -> Mapping[str, str | None]:
        own = {name: self.rest[name][row].as_py() for name in self.rest.column_names}
        return {**place.texts, **own}

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield the names of files and folders, the values of the table, the texts of fields."""
        root = self.images if self.images.is_dir() else self.images.parent
        yield from file_identifiers((Picture(path) for path in self.files), root)
        for place in self.places:
            yield "file", Path(place.name).stem
            yield from place.found
        yield from distinct_values({n: self.rest[n].to_pylist() for n in self.rest.column_names})

    def identity(self) -> str:
        """Return a text that changes with the table, the fields or the way cells are cut out."""
        return f"{files_identity([self.table_path, *self.files])} {self.rules} {self.limits}"


def open_boxes(
    images: Path,
    table: Path,
    *,
    file_column: str | None = None,
    label_column: str | None = None,
    margin: float = 0.0,
    square: bool = False,
    min_box_px: int = 16,
    edge: Edge = "drop",
    limits: Limits | None = None,
) -> BoxSource:
    """Open fields or slides (a folder, or one file) with a table of boxes as a source of cells.

    Boxes count pixels of the upright field, or of the slide at full resolution, from 0.

    Raises: SourceError where the table or the fields cannot be used at all.
    """
    rules, limits = CropRules(margin, square, min_box_px, edge), limits or Limits()
    rows = box_rows(read_table(table), file_column, label_column)
    files = field_files(images)
    paths = match_files(files, (name for name in rows.files if name is not None))
    parts = tuple(plan_parts(rows, paths, rules, limits))
    ends = tuple(np.cumsum([len(part.cells) for part in parts], dtype=np.int64).tolist())
    return BoxSource(images, table, parts, ends, rows.rest, tuple(files.values()), rules, limits)


def _show(part: Part, rules: CropRules, limits: Limits) -> _Shown | str:
    """Return the pixels that the cells of a part need, or the problem that all of them have."""
    place = part.place
    try:
        if place.size is None:
            pixels = read_field(place, limits)
            return _Shown(pixels, 0, 0, pixels.shape[1], pixels.shape[0])
        width, height = place.size
        windows = [
            clipped(crop_window(cell.box, width, height, rules), width, height)
            for cell in part.cells
            if cell.problem is None
        ]
        left, top = min(box[0] for box in windows), min(box[1] for box in windows)
        right, bottom = max(box[2] for box in windows), max(box[3] for box in windows)
        pixels = read_slide_region(place, (left, top, right, bottom), limits)
        return _Shown(pixels, left, top, width, height)
    except ImageError as error:
        return f"{FIELD}{error.reason}"


def _moved(box: Box, right: int, down: int) -> Box:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down
