"""The table of boxes: which cell lies where in which field, and which boxes cannot be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import SourceError
from .source import find_column

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in px; right and bottom are the first pixels outside."""

Corners = NDArray[np.int64]
"""(boxes, 4) int64: a `Box` a row."""

NOT_NUMERIC = "box_not_numeric"
INVERTED = "box_inverted"
REPEATED = "box_repeated"
CONFLICT = "box_conflict"

SAME_BOX_IOU = 0.9
"""Boxes of one field that overlap more than this (intersection over union) are one cell's."""

_WHERE = "the table of boxes"
_CORNER_NAMES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
)
_SIZE_NAMES = (
    ("xmin", "ymin", "width", "height"),
    ("left", "top", "width", "height"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
)
_LIST_NAME = "bbox"  # COCO's: x, y, width, height in one field
_PREFIX = re.compile(r"^(?:bbox|box)(?=.)")
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
_LIST = (
    rf"^\s*[\[(]?\s*(?P<a>{_NUMBER})[\s,;]+(?P<b>{_NUMBER})[\s,;]+(?P<c>{_NUMBER})[\s,;]+"
    rf"(?P<d>{_NUMBER})\s*[\])]?\s*$"
)
_FAR = 2.0**40


@dataclass(frozen=True, slots=True)
class BoxRows:
    """The rows of a table of boxes; `rest` is its columns that play no part here, as text."""

    files: Sequence[str | None]
    labels: Sequence[str | None]
    corners: Corners
    problems: Sequence[str | None]
    rest: pa.Table


def box_rows(table: pa.Table, file_column: str | None, label_column: str | None) -> BoxRows:
    """Return the boxes of a table of text columns, each with what is wrong with it alone.

    Raises: SourceError where it has no columns for the file, the label or the box.
    """
    names = table.column_names
    file = (
        find_column(names, "file_name", file_column, _WHERE)
        or find_column(names, "image", None, _WHERE)
        or find_column(names, "file_name", None, _WHERE, required=True)
    )
    label = find_column(names, "label", label_column, _WHERE, required=True)
    columns, is_size = _box_columns([name for name in names if name not in (file, label)])
    numbers = _numbers(table, columns)
    if is_size:
        numbers[:, 2:] += numbers[:, :2]
    corners = _whole_pixels(numbers)
    problems: list[str | None] = [None] * len(corners)
    for row in np.flatnonzero(~_is_upright(numbers)).tolist():
        problems[row] = INVERTED if np.isfinite(numbers[row]).all() else NOT_NUMERIC
    return BoxRows(
        table[file].to_pylist(),
        table[label].to_pylist(),
        corners,
        problems,
        table.drop_columns([file, label, *columns]),
    )


def _box_columns(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Return the columns that hold the box, and whether they say its size, not its far corner."""
    plain: dict[str, list[str]] = {}
    for name in names:
        folded = re.sub(r"[^a-z0-9]", "", name.casefold())
        plain.setdefault(_PREFIX.sub("", folded), []).append(name)
    for layouts, is_size in ((_CORNER_NAMES, False), (_SIZE_NAMES, True), (((_LIST_NAME,),), True)):
        for layout in layouts:
            if all(part in plain for part in layout):
                twice = [part for part in layout if len(plain[part]) > 1]
                if twice:
                    raise SourceError(f"{_WHERE} has two columns for {twice[0]}; keep one of them")
                return tuple(plain[part][0] for part in layout), is_size
    raise SourceError(
        f"{_WHERE} has no columns for the corners: expected xmin, ymin, xmax, ymax, or left, top, "
        "right, bottom, or x, y, width, height (x and y of the upper left corner), or bbox; "
        f"found {', '.join(names)}"
    )


def _numbers(table: pa.Table, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return (rows, 4) float64, NaN where a field is no number."""
    if len(columns) == 1:
        parts = pc.extract_regex(table[columns[0]], _LIST)
        texts = [pc.struct_field(parts, name) for name in "abcd"]
    else:
        # A comma is how some countries write the decimal point.
        texts = [pc.replace_substring(table[name], ",", ".") for name in columns]
    found = [pc.if_else(pc.match_substring_regex(t, f"^{_NUMBER}$"), t, None) for t in texts]
    numbers = [column.cast(pa.float64()).to_numpy() for column in found]
    return np.stack(numbers, axis=1).astype(np.float64)


def _whole_pixels(numbers: NDArray[np.float64]) -> Corners:
    # Outwards, so that nothing of the cell is cut off; rounded first, since 0.1 + 0.2 is not 0.3.
    rounded = np.round(np.nan_to_num(numbers, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR), 6)
    near, far = np.floor(rounded[:, :2]), np.ceil(rounded[:, 2:])
    return np.concatenate([near, far], axis=1).astype(np.int64)


def _is_upright(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which boxes are numbers with the far corner not above or left of the near."""
    finite = np.isfinite(numbers).all(axis=1)
    return np.asarray(finite & (numbers[:, 2:] >= numbers[:, :2]).all(axis=1))


def same_cell_problems(corners: Corners, labels: Sequence[str]) -> dict[int, str]:
    """Return index -> problem for the boxes of one field that nearly coincide with others.

    Of boxes with one label the first stays; boxes with two labels all go: none is picked.
    """
    problems, kept = _without_copies(corners, labels)
    pairs = [(kept[one], kept[other]) for one, other in _coinciding(corners[kept])]
    for one, other in pairs:
        if labels[one] == labels[other]:
            problems[other] = REPEATED
    for one, other in pairs:
        if labels[one] != labels[other]:
            problems[one] = problems[other] = CONFLICT
    return problems


def _without_copies(corners: Corners, labels: Sequence[str]) -> tuple[dict[int, str], list[int]]:
    """Return what repeats another box exactly, and the indices of the rest.

    Compared pair by pair, a hundred thousand copies of one box would take for ever.
    """
    seen = set()
    problems, kept = {}, []
    for index, said in enumerate(zip(map(tuple, corners.tolist()), labels, strict=True)):
        if said in seen:
            problems[index] = REPEATED
        else:
            seen.add(said)
            kept.append(index)
    return problems, kept


def _coinciding(corners: Corners) -> Iterator[tuple[int, int]]:
    """Yield pairs (earlier, later row) of boxes with an IoU above `SAME_BOX_IOU`."""
    order = np.argsort(corners[:, 0], kind="stable")
    boxes = corners[order].astype(np.float64)
    # The left edges of two such boxes are less than this share of a width apart.
    reach = boxes[:, 0] + (1 - SAME_BOX_IOU) * (boxes[:, 2] - boxes[:, 0])
    ends = np.searchsorted(boxes[:, 0], reach, side="right")
    for place in range(len(boxes)):
        others = boxes[place + 1 : ends[place]]
        for hit in np.flatnonzero(_iou(boxes[place], others) > SAME_BOX_IOU):
            pair = int(order[place]), int(order[place + 1 + hit])
            yield min(pair), max(pair)


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    near = np.maximum(box[:2], others[:, :2])
    far = np.minimum(box[2:], others[:, 2:])
    shared = (far - near).clip(min=0).prod(axis=1)
    area = (box[2:] - box[:2]).prod()
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / (area + areas - shared))
