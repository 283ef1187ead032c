"""Which cells are read together: the rows of a table of boxes by field, and by block of a slide."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..pixels import Limits
from .boxes import Box, BoxRows, same_cell_problems
from .crops import TINY, CropRules, crop_window, place_problem
from .fields import MISSING, Field, open_field

BLOCK_PX = 2048
"""Side of the blocks of a slide whose cells are read together, in px."""

_TOO_LARGE = "box_too_large"
_NO_LABEL = "label_missing"


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One row of the table; `box` is in the pixels of the whole field."""

    row: int
    label: str
    box: Box
    problem: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """Cells that are read together, from one field or one block of a slide."""

    place: Field
    cells: tuple[PlannedCell, ...]


def plan_parts(
    rows: BoxRows, paths: Mapping[str, Path], rules: CropRules, limits: Limits
) -> Iterator[Part]:
    """Yield what is read at once, with what is known to be wrong before a pixel is decoded.

    `paths` is name in the table -> file. The parts of one field follow each other.
    """
    for place, numbers in _by_field(rows, paths, limits):
        yield from _split(place, _checked(rows, numbers, place, rules, limits), rules, limits)


def _by_field(
    rows: BoxRows, paths: Mapping[str, Path], limits: Limits
) -> Iterator[tuple[Field, list[int]]]:
    """Yield each field with the numbers of its rows, in the order in which the table names them."""
    grouped: dict[Path | str, list[int]] = defaultdict(list)
    for row, name in enumerate(rows.files):
        grouped[paths.get(name or "", name or "")].append(row)
    for key, numbers in grouped.items():
        name = rows.files[numbers[0]] or ""
        if isinstance(key, Path):
            yield open_field(name, key, limits), numbers
        else:
            yield Field(name, problem=MISSING), numbers


def _checked(
    rows: BoxRows, numbers: Sequence[int], place: Field, rules: CropRules, limits: Limits
) -> list[PlannedCell]:
    """Return the cells of a field with what is wrong with them, as far as it is known now."""
    cells = [_cell(rows, row, place, rules, limits) for row in numbers]
    sound = [index for index, cell in enumerate(cells) if cell.problem is None]
    twice = same_cell_problems(
        rows.corners[[numbers[index] for index in sound]], [cells[index].label for index in sound]
    )
    for index, problem in twice.items():
        cells[sound[index]] = replace(cells[sound[index]], problem=problem)
    return cells


def _cell(rows: BoxRows, row: int, place: Field, rules: CropRules, limits: Limits) -> PlannedCell:
    left, top, right, bottom = rows.corners[row].tolist()
    box = (left, top, right, bottom)
    label = rows.labels[row]
    problem = place.problem or rows.problems[row] or (_NO_LABEL if label is None else None)
    if problem is None and min(right - left, bottom - top) < rules.min_box_px:
        problem = TINY
    if problem is None and place.size is not None:
        problem = place_problem(box, *place.size, rules) or _area_problem(
            crop_window(box, *place.size, rules), limits
        )
    return PlannedCell(row, label or "", box, problem)


def _area_problem(window: Box, limits: Limits) -> str | None:
    left, top, right, bottom = window
    return _TOO_LARGE if (right - left) * (bottom - top) > limits.max_pixels else None


def _split(
    place: Field, cells: Sequence[PlannedCell], rules: CropRules, limits: Limits
) -> Iterator[Part]:
    if place.size is None:
        yield Part(place, tuple(cells))
        return
    blocks: dict[tuple[int, ...], list[PlannedCell]] = defaultdict(list)
    for cell in cells:
        blocks[_block(cell, place.size, rules, limits)].append(cell)
    yield from (Part(place, tuple(blocks[key])) for key in sorted(blocks))


def _block(
    cell: PlannedCell, size: tuple[int, int], rules: CropRules, limits: Limits
) -> tuple[int, ...]:
    """Return the block that a cell is read with: by its centre, a very large one alone."""
    if cell.problem is not None:
        return (-1,)
    # Three blocks on a side is the most that the cells of one can reach over.
    side = min(BLOCK_PX, max(1, math.isqrt(limits.max_pixels) // 3))
    left, top, right, bottom = crop_window(cell.box, *size, rules)
    key = (top + bottom) // 2 // side, (left + right) // 2 // side
    return key if max(right - left, bottom - top) <= side else (*key, cell.row)
