"""Shortcuts: can drawn cells be told from real ones by what is no part of a cell? Then: at all?

First the trivial features, family by family and together. Then the two-sample test proper, by
logistic regression on the extractor's features and by a small network on the pixels. Both sides
came through one view and one codec (`load_sides`), and are compared at equal n of each class.

The goal is an area of 0.4 to 0.6. An interval that holds 0.5 is no goal: few cells give one to any
generator. Where the interval is wider than the goal, the number is marked as not reliable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .floors import Floor, floor_of, halves
from .kernel import Estimate
from .measurement import ALL_CLASSES, Measurement
from .pixel_scores import PIXEL_FOLDS, pixel_scores
from .sides import Cells, Context, Found, Sides
from .trivial_features import FEWEST_PX, trivial_features
from .two_sample import FEWEST, FOLDS, Score, curved_scores, linear_scores, told_apart

TOGETHER = "together"
GOAL = 0.4, 0.6
_TRIVIAL_TOLD = 0.75
"""An area of trivial features from which on a deep test says nothing of its own."""
_MOST_PIXEL_CELLS = 1_000
_LARGE_SPLITS = 5
_LARGE = 1_000

Rows = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Apart:
    """How well two sides are told apart, and how well real ones are."""

    area: Estimate
    floor: Floor | None
    floor_interval: tuple[float, float]
    floor_value: float


def measure_shortcuts(sides: Sides, context: Context) -> Found:
    """Measure whether drawn and held-out cells can be told apart, by trivia and at all."""
    held, train, drawn = (sides.equal(cells) for cells in (sides.held, sides.train, sides.drawn))
    if len(drawn) < FEWEST:
        return Found(skipped={"shortcuts": f"{len(drawn)} cells a side; {FEWEST} are needed"})
    side_px = drawn.images.shape[1]
    if side_px < FEWEST_PX:
        reason = f"images of {side_px} px show no grid; {FEWEST_PX} px are needed"
        return Found(skipped={"shortcuts": reason})
    trivial = list(_trivial((held, train, drawn), sides, context))
    told = max(trivial, key=lambda found: found.value)
    deep = (_of_features(sides, context), _of_pixels((held, train, drawn), sides, context))
    return Found(measurements=(*trivial, *(_warned(found, told) for found in deep)))


def tell_apart(
    held: Rows,
    train: Rows,
    drawn: Rows,
    labels: Sequence[str],
    sizes: Sequence[int],
    score: Score,
    *,
    splits: int,
    seed: int,
    parts: int = FOLDS,
) -> Apart:
    """Return how well drawn rows are told from held-out ones, and halves of real ones apart.

    All three are (n, …) in the order of `labels`, class after class of `sizes`. Without splits the
    floor is the area between held-out and training cells as they are, with its interval.

    Raises: MeasurementError where there are too few cells, or a value is not finite.
    """
    area = told_apart(held, drawn, labels, labels, score, parts=parts, seed=seed)
    plain = told_apart(held, train, labels, labels, score, parts=parts, seed=seed)
    if not splits:
        return Apart(area, None, (plain.low, plain.high), plain.value)
    pool = np.concatenate([held, train])
    values = [plain.value]
    for first in halves(sizes, splits, seed)[1:]:
        one, other = (pool[in_class_order(chosen, labels, sizes)] for chosen in (first, ~first))
        values.append(told_apart(one, other, labels, labels, score, parts=parts, seed=seed).value)
    floor = floor_of(values)
    return Apart(area, floor, (floor.low, floor.high), floor.median)


def in_class_order(
    chosen: NDArray[np.bool_], labels: Sequence[str], sizes: Sequence[int]
) -> NDArray[np.int64]:
    """Return the chosen rows of the pool, class after class."""
    count, start, found = len(labels), 0, []
    for size in sizes:
        own = np.r_[start : start + size, count + start : count + start + size]
        found.append(own[chosen[own]])
        start += size
    return np.concatenate(found)


def _trivial(
    cells: tuple[Cells, Cells, Cells], sides: Sides, context: Context
) -> Iterator[Measurement]:
    tables = [trivial_features(side.images) for side in cells]
    for table in tables:
        table[TOGETHER] = np.concatenate(list(table.values()), axis=1)
    labels, sizes = cells[0].labels, list(sides.sizes.values())
    splits = context.config.floor_splits if len(labels) <= _LARGE else _LARGE_SPLITS
    for family in tables[0]:
        found = tell_apart(
            tables[0][family], tables[1][family], tables[2][family], labels, sizes, curved_scores,
            splits=min(splits, context.config.floor_splits), seed=context.config.seed,
        )  # fmt: skip
        yield _measurement(
            "shortcut_auc", family, found, len(labels), context,
            extractor=f"logistic regression on {family.replace('_', ' ')} and squares, "
            f"{FOLDS} folds", pipeline=_pixels_of(context),
        )  # fmt: skip


def _of_features(sides: Sides, context: Context) -> Measurement:
    held, train, drawn = (
        context.features(sides.equal(cells)) for cells in (sides.held, sides.train, sides.drawn)
    )
    labels, sizes = sides.equal(sides.held).labels, list(sides.sizes.values())
    found = tell_apart(
        held, train, drawn, labels, sizes, linear_scores,
        splits=min(_LARGE_SPLITS, context.config.floor_splits), seed=context.config.seed,
    )  # fmt: skip
    return _measurement(
        "c2st_auc", "features", found, len(labels), context, pipeline=context.pipeline,
        extractor=f"logistic regression on {context.extractor}, {FOLDS} folds",
    )  # fmt: skip


def _of_pixels(cells: tuple[Cells, Cells, Cells], sides: Sides, context: Context) -> Measurement:
    share = min(1.0, _MOST_PIXEL_CELLS / len(cells[0]))
    sizes = [max(2, int(size * share)) for size in sides.sizes.values()]
    rows = np.concatenate([
        cells[0].rows(label, size) for label, size in zip(sides.sizes, sizes, strict=True)
    ])  # fmt: skip
    held, train, drawn = (side.take(rows) for side in cells)
    found = tell_apart(
        held.images, train.images, drawn.images, held.labels, sizes, pixel_scores,
        splits=0, seed=context.config.seed, parts=PIXEL_FOLDS,
    )  # fmt: skip
    return _measurement(
        "c2st_auc", "pixels", found, len(held), context, pipeline=_pixels_of(context),
        extractor=f"small convolutional network, {PIXEL_FOLDS} folds",
    )  # fmt: skip


def _measurement(
    name: str, arm: str, found: Apart, count: int, context: Context,
    *, extractor: str, pipeline: str,
) -> Measurement:  # fmt: skip
    area, (floor_low, floor_high) = found.area, found.floor_interval
    wide = area.low < 0.5 < area.high and area.high - area.low > GOAL[1] - GOAL[0]
    floor = (
        f"{found.floor.splits} random splits of held-out and training cells, which as they are "
        f"come to {found.floor.as_they_are:.3f}"
        if found.floor
        else "held-out against training cells"
    )
    note = f"floor: {floor}"
    if wide:
        note += f"; the interval is wider than the goal: {count} cells a side are too few"
    return Measurement(
        name=name, family="shortcuts", arm=arm, label=ALL_CLASSES, value=area.value, low=area.low,
        high=area.high, n_real=count, n_synthetic=count, floor=found.floor_value,
        floor_low=floor_low, floor_high=floor_high, direction="lower", extractor=extractor,
        pipeline=pipeline, reference=context.reference, goal_low=GOAL[0], goal_high=GOAL[1],
        reliable=not wide, note=note,
    )  # fmt: skip


def _warned(deep: Measurement, told: Measurement) -> Measurement:
    """Say of a deep test what trivial features reach alone: it may have found no more."""
    if told.value < _TRIVIAL_TOLD:
        return deep
    trivia = (told.arm or "").replace("_", " ")
    note = (
        f"{deep.note}; trivial features tell the sides apart already ({trivia}: {told.value:.3f})"
    )
    return deep.model_copy(update={"note": note})


def _pixels_of(context: Context) -> str:
    return context.pipeline.split(";")[0]
