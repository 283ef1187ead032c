"""The drawn cells that look least like real ones, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.pixels import Pixels

from .sheets import SHEET_COLUMNS, cell_rows
from .sides import Cells, Context, Found, Picture, Sides

WORST_CELLS = 3 * SHEET_COLUMNS
_BLOCK = 512


def measure_worst(sides: Sides, context: Context) -> Found:
    """Return the picture of the least realistic of the cells that distances use."""
    held, drawn = sides.equal(sides.held), sides.equal(sides.drawn)
    neighbours = min(context.config.neighbours, len(held))
    if neighbours < 1 or not len(drawn):
        return Found(skipped={"worst cells": "no held-out or no synthetic cell to compare"})
    distances = neighbour_distances(context.features(held), context.features(drawn), neighbours)
    picture = worst_picture(drawn, distances, neighbours, len(held))
    return Found(pictures=(picture,))


def neighbour_distances(
    held: NDArray[np.float32], drawn: NDArray[np.float32], neighbours: int
) -> NDArray[np.float64]:
    """Return each drawn cell's distance to its k-th nearest held-out real cell, (m,) float64.

    `held` and `drawn` are features, (n, d) and (m, d) float32.

    Raises: MeasurementError where there are fewer held-out cells than neighbours, or a feature is
    not finite.
    """
    if not 1 <= neighbours <= len(held):
        raise MeasurementError(f"{neighbours} neighbours among {len(held)} held-out cells")
    if not (np.isfinite(held).all() and np.isfinite(drawn).all()):
        raise MeasurementError("features hold values that are not finite")
    real = held.astype(np.float64)
    lengths = (real**2).sum(axis=1)
    found = np.empty(len(drawn))
    for start in range(0, len(drawn), _BLOCK):
        block = drawn[start : start + _BLOCK].astype(np.float64)
        squares = lengths - 2 * block @ real.T + (block**2).sum(axis=1)[:, None]
        nearest = np.partition(squares, neighbours - 1, axis=1)[:, neighbours - 1]
        found[start : start + len(block)] = np.sqrt(np.maximum(nearest, 0))
    return found


def worst_picture(
    drawn: Cells, distances: NDArray[np.float64], neighbours: int, held: int
) -> Picture:
    """Return the drawn cells that lie furthest from real ones, the furthest first."""
    order = np.argsort(-distances, kind="stable")[:WORST_CELLS]
    chosen: Sequence[Pixels] = [drawn.images[i] for i in order]
    rows = [chosen[i : i + SHEET_COLUMNS] for i in range(0, len(chosen), SHEET_COLUMNS)]
    names = list(dict.fromkeys(drawn.labels[i].replace("_", " ") for i in order))
    counts = [sum(drawn.labels[i].replace("_", " ") == name for i in order) for name in names]
    mix = ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    return Picture(
        "worst",
        "Synthetic cells furthest from any real one",
        f"The {len(order)} of {len(drawn)} synthetic cells whose features lie furthest from their "
        f"{neighbours} nearest of {held} held-out real cells, the furthest first, row by row: "
        f"{mix}. Many of one class point to a class that is drawn badly.",
        f"{len(order)} synthetic cells in rows, the least realistic first.",
        cell_rows(rows),
        shows_real=False,
    )
