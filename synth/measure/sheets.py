"""Sheets of cells for a report: held-out real ones above drawn ones, class by class, by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.pixels import Pixels
from curation.vocabulary import LABELS

from .sides import Cells, Context, Found, Picture, Sides

SHEET_COLUMNS = 8
CELL_PX = 96
_GAP_PX = 3
_PAPER = (255, 255, 255)


def measure_sheets(sides: Sides, context: Context) -> Found:
    """Return a sheet of each drawn class; nothing is measured."""
    return Found(pictures=class_sheets(sides.held, sides.drawn, context.config.seed))


def class_sheets(
    held: Cells, drawn: Cells, seed: int, columns: int = SHEET_COLUMNS
) -> tuple[Picture, ...]:
    """Return a picture of each drawn class: real cells in the upper row, drawn ones in the lower.

    The cells are those that the seed picks, not the first ones and not chosen by anyone. A class
    without held-out cells has one row.
    """
    found = []
    for label in LABELS:
        if not len(drawn.rows(label)):
            continue
        made = picked(drawn, label, columns, seed)
        real = picked(held, label, columns, seed)
        rows = [[held.images[i] for i in real]] if len(real) else []
        rows.append([drawn.images[i] for i in made])
        found.append(_sheet(label, rows, len(real), len(made), seed))
    return tuple(found)


def picked(cells: Cells, label: str, count: int, seed: int) -> NDArray[np.int64]:
    """Return at most `count` rows of a class, picked by the seed, in the order of the cells."""
    rows = cells.rows(label)
    rng = np.random.default_rng([seed, LABELS.index(label)])
    return np.sort(rng.permutation(rows)[:count])


def cell_rows(rows: Sequence[Sequence[Pixels]], cell_px: int = CELL_PX) -> Image.Image:
    """Return rows of cells without words, each cell scaled to `cell_px`."""
    step = cell_px + _GAP_PX
    columns = max((len(row) for row in rows), default=0)
    size = max(columns * step - _GAP_PX, 1), max(len(rows) * step - _GAP_PX, 1)
    sheet = Image.new("RGB", size, _PAPER)
    for down, row in enumerate(rows):
        for across, pixels in enumerate(row):
            cell = Image.fromarray(pixels).resize((cell_px, cell_px), Image.Resampling.LANCZOS)
            sheet.paste(cell, (across * step, down * step))
    return sheet


def _sheet(
    label: str, rows: Sequence[Sequence[Pixels]], real: int, made: int, seed: int
) -> Picture:
    words = label.replace("_", " ")
    upper = f"Above {real} held-out real, below {made} synthetic cells"
    only = f"{made} synthetic cells; there is no held-out real one"
    return Picture(
        f"cells_{label}",
        words,
        f"{upper if real else only}, picked by the seed {seed}.",
        f"{words}: a row of {real} real cells above a row of {made} synthetic ones."
        if real
        else f"{words}: a row of {made} synthetic cells.",
        cell_rows(rows),
        shows_real=bool(real),
    )
