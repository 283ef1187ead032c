"""How near drawn cells come to training cells as the extractor sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .copying_common import copying_common
from .measurement import ALL_CLASSES, Measurement
from .membership import cosines
from .nearest_pixels import Copies, Nearest
from .proportion import median_interval, share_interval
from .sides import Cells, Context, Sides
from .turned import nearest_orientations, turned_image

FEATURE_CELLS = 300
"""Cells a side whose nearest training cell is looked at by features: one more image each."""

Rows = NDArray[np.int64]


def feature_measurements(sides: Sides, found: Copies, context: Context) -> Iterator[Measurement]:
    """Yield how near drawn cells come to training cells, and how many nearer than held-out ones.

    Raises: MeasurementError where a feature is not finite.
    """
    train = context.features(sides.equal(sides.train))
    drawn, held = (
        _feature_nearness(cells, nearest, sides, train, context)
        for cells, nearest in ((sides.drawn, found.drawn), (sides.held, found.held))
    )
    low, high = median_interval(drawn)
    held_low, held_high = median_interval(held)
    common = {
        **copying_common(context, ALL_CLASSES, len(sides.train)), "n_synthetic": len(drawn),
        "extractor": context.extractor, "pipeline": context.pipeline,
        "note": f"cosine with the nearest training cell by pixels, in its orientation, or with one "
        f"of {len(train)} others; baseline: {len(held)} held-out cells",
    }  # fmt: skip
    yield Measurement(
        name="nearest_train_features", value=float(np.median(drawn)), low=low, high=high,
        floor=float(np.median(held)), floor_low=held_low, floor_high=held_high,
        goal_high=held_high, direction="lower", **common,
    )  # fmt: skip
    reached = float(held.max())
    count = int((drawn > reached).sum())
    low, high = share_interval(count, len(drawn))
    # Of exchangeable cells, the nearest of all is as likely to be any of them.
    chance = 1 / (len(held) + 1)
    yield Measurement(
        name="nearer_than_held_out_share",
        value=count / len(drawn),
        low=low,
        high=high,
        floor=chance,
        direction="lower",
        goal_high=3 * chance,
        **{**common, "note": f"{common['note']}; the nearest of these reaches {reached:.3f}"},
    )


def _feature_nearness(
    cells: Cells,
    nearest: Nearest,
    sides: Sides,
    train_features: NDArray[np.float32],
    context: Context,
) -> NDArray[np.float64]:
    """Return the highest cosine with a training cell that was looked at, (k,) in [-1, 1]."""
    rows = _evenly(sides, cells, FEATURE_CELLS)
    queries, matches = cells.take(rows), sides.train.take(nearest.copied_from[rows])
    ways = nearest_orientations(queries.images, matches.images)
    laid = Cells(
        np.stack([turned_image(i, int(w)) for i, w in zip(matches.images, ways, strict=True)]),
        matches.labels,
        tuple(f"{name}@{way}" for name, way in zip(matches.ids, ways, strict=True)),
        matches.subjects,
    )
    own = context.features(queries)
    _check_finite(own)
    others = cosines(own, train_features).max(axis=1)
    unit, match = (_unit(rows) for rows in (own, context.features(laid)))
    return np.asarray(np.maximum(np.einsum("nd,nd->n", unit, match), others), np.float64)


def equal_rows(sides: Sides, cells: Cells) -> Rows:
    """Return the rows of a side that distances use, class after class: one mix on all sides."""
    return np.concatenate([cells.rows(label, count) for label, count in sides.sizes.items()])


def _evenly(sides: Sides, cells: Cells, most: int) -> Rows:
    """Return rows of the cells that distances use, all classes by the same share."""
    rows = equal_rows(sides, cells)
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    return np.asarray(rows[places], np.int64)


def _check_finite(features: NDArray[np.float32]) -> None:
    if not np.isfinite(features).all():
        raise MeasurementError("features hold values that are not finite")


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / norms, np.float32)
