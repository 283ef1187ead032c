"""Copies: how near drawn cells come to the cells that their generator learned from.

Pixels: the nearest training cell of every drawn cell over 8 orientations, and by registration where
it was shifted, cropped or turned by any angle; held-out real cells are the baseline. Features: of
some cells of each side, evenly taken, the cosine with that nearest cell, laid in the same
orientation, or with one of the training cells whose features are there anyway, whichever is more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .closest_pairs import closest_pairs
from .floors import Floor
from .kernel import Estimate
from .measurement import ALL_CLASSES, Measurement
from .membership import (
    cosines,
    membership_auc,
    membership_floor,
    suspects,
    turned_correlations,
)
from .memorisation import COPY_CORRELATION, prepare
from .nearest_pixels import Copies, Nearest, find_copies
from .proportion import median_interval, share_interval
from .sides import Cells, Context, Found, Sides
from .turned import nearest_orientations, turned_image

PIXELS = "normalised cross-correlation, 32 px, 8 orientations"
REGISTERED = f"{PIXELS}; registration of 64 px from codes of stained blobs"
FEATURE_CELLS = 300
"""Cells a side whose nearest training cell is looked at by features: one more image each."""
MEMBERSHIP_GOAL = 0.55
"""What of an area counts as giving nothing away: intervals of some thousand cells reach it."""

Rows = NDArray[np.int64]


def measure_copying(sides: Sides, context: Context) -> Found:
    """Measure copies of training cells, nearness to them, and what gives away who they are."""
    if not len(sides.held):
        return Found(skipped={"copies": "no held-out cell tells what counts as near"})
    found = find_copies(sides.drawn.images, sides.train.images, sides.held.images, context.progress)
    membership, skipped = _membership(sides, context)
    return Found(
        measurements=(
            *_pixel_measurements(sides, found, context),
            *_feature_measurements(sides, found, context),
            *membership,
        ),
        pictures=(closest_pairs(sides.drawn, sides.train, found),),
        skipped=skipped,
    )


def _pixel_measurements(sides: Sides, found: Copies, context: Context) -> Iterator[Measurement]:
    for label in (ALL_CLASSES, *sides.sizes):
        drawn, train, held = (
            np.arange(len(cells)) if label == ALL_CLASSES else cells.rows(label)
            for cells in (sides.drawn, sides.train, sides.held)
        )
        common = {**_common(context, label, len(train)), "n_synthetic": len(drawn)}
        yield _copied(found, drawn, held, len(sides.train), context, common)
        yield from _nearness(found.drawn.correlation[drawn], found.held.correlation[held], common)


def _copied(
    found: Copies, drawn: Rows, held: Rows, searched: int, context: Context, common: dict[str, Any]
) -> Measurement:
    count, total = int(found.copied[drawn].sum()), len(drawn)
    low, high = share_interval(count, total)
    real = int(found.held.like_a_copy[held].sum())
    floor_low, floor_high = share_interval(real, len(held))
    return Measurement(
        name="copied_share", value=count / total, low=low, high=high, floor=real / len(held),
        floor_low=floor_low, floor_high=floor_high, direction="zero", goal_high=0.0,
        extractor=REGISTERED if found.searched_altered else PIXELS,
        note=_copy_note(found, searched, context.config.max_train), **common,
    )  # fmt: skip


def _copy_note(found: Copies, searched: int, most: int) -> str:
    reached = float(found.held.correlation.max())
    notes = [
        f"a copy correlates at least {COPY_CORRELATION} with a training cell and more than every "
        f"held-out cell does ({reached:.3f})"
    ]
    if found.searched_altered:
        notes[0] += ", or lies on one when registered"
    else:
        notes.append("images are too small to be registered: shifted copies go unseen")
    if reached >= COPY_CORRELATION:
        notes.append(
            "held-out cells pass the threshold themselves, so copies up to there go unseen"
        )
    registered = int(found.held.altered.sum())
    if registered:
        notes.append(f"{registered} held-out cells lie on training cells: the corpus has copies")
    if searched >= most:
        notes.append(
            f"{searched} training cells were searched, the most that max_train allows: copies of "
            "others, if there are any, go unseen"
        )
    return "; ".join(notes)


def _nearness(
    drawn: NDArray[np.float32], held: NDArray[np.float32], common: dict[str, Any]
) -> Iterator[Measurement]:
    drawn_low, drawn_high = median_interval(drawn)
    held_low, held_high = median_interval(held)
    common = {**common, "direction": "lower", "extractor": PIXELS}
    yield Measurement(
        name="nearest_train", value=float(np.median(drawn)), low=drawn_low, high=drawn_high,
        floor=float(np.median(held)), floor_low=held_low, floor_high=held_high,
        goal_high=held_high, **common,
    )  # fmt: skip
    yield Measurement(
        name="nearest_train_held_out", value=float(np.median(held)), low=held_low, high=held_high,
        note=f"of {len(held)} held-out real cells: the baseline", **{**common, "n_synthetic": 0},
    )  # fmt: skip


def _feature_measurements(sides: Sides, found: Copies, context: Context) -> Iterator[Measurement]:
    train = context.features(sides.equal(sides.train))
    drawn, held = (
        _feature_nearness(cells, nearest, sides, train, context)
        for cells, nearest in ((sides.drawn, found.drawn), (sides.held, found.held))
    )
    low, high = median_interval(drawn)
    held_low, held_high = median_interval(held)
    common = {
        **_common(context, ALL_CLASSES, len(sides.train)), "n_synthetic": len(drawn),
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


def _evenly(sides: Sides, cells: Cells, most: int) -> Rows:
    """Return rows of the cells that distances use, all classes by the same share."""
    rows = np.concatenate([cells.rows(label, count) for label, count in sides.sizes.items()])
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    return np.asarray(rows[places], np.int64)


def _membership(sides: Sides, context: Context) -> tuple[list[Measurement], dict[str, str]]:
    try:
        return [*_pixel_membership(sides, context), *_feature_membership(sides, context)], {}
    except MeasurementError as error:
        return [], {"membership inference": str(error)}


def _pixel_membership(sides: Sides, context: Context) -> Iterator[Measurement]:
    config = context.config
    chosen = suspects(
        sides.train.labels, sides.held.labels, sides.drawn.labels,
        most=config.max_per_class, seed=config.seed,
    )  # fmt: skip
    labels = [sides.train.labels[row] for row in chosen.members]
    members, others, spare, drawn = (
        prepare(images)
        for images in (
            sides.train.images[chosen.members], sides.held.images[chosen.others],
            sides.train.images[chosen.spare], sides.drawn.images,
        )
    )  # fmt: skip
    near = [turned_correlations(rows, drawn).max(axis=1) for rows in (members, others)]
    floor = membership_floor(
        turned_correlations(members, spare), turned_correlations(others, spare), labels,
        stand_ins=len(drawn), splits=config.floor_splits, seed=config.seed,
    )  # fmt: skip
    yield _membership_measurement(
        "pixels", membership_auc(near[0], near[1], labels), floor, len(labels), len(drawn),
        context, extractor=PIXELS, pipeline=_pixels_of(context),
    )  # fmt: skip


def _feature_membership(sides: Sides, context: Context) -> Iterator[Measurement]:
    train, held, drawn = (
        context.features(sides.equal(cells)) for cells in (sides.train, sides.held, sides.drawn)
    )
    labels = np.repeat(np.array(list(sides.sizes), object), list(sides.sizes.values()))
    # One in two is a member, so that the others can stand in for drawn cells.
    member = np.concatenate([np.arange(count) % 2 == 0 for count in sides.sizes.values()])
    near = [cosines(rows, drawn).max(axis=1) for rows in (train, held)]
    floor = membership_floor(
        cosines(train[member], train[~member]), cosines(held[member], train[~member]),
        labels[member].tolist(), stand_ins=len(drawn), splits=context.config.floor_splits,
        seed=context.config.seed,
    )  # fmt: skip
    yield _membership_measurement(
        "features", membership_auc(near[0], near[1], labels.tolist()), floor, len(labels),
        len(drawn), context, extractor=context.extractor, pipeline=context.pipeline,
    )  # fmt: skip


def _membership_measurement(
    arm: str, area: Estimate, floor: Floor, count: int, n_drawn: int, context: Context,
    *, extractor: str, pipeline: str,
) -> Measurement:  # fmt: skip
    return Measurement(
        name="membership_auc", arm=arm, value=area.value, low=area.low, high=area.high,
        floor=floor.median, floor_low=floor.low, floor_high=floor.high,
        n_synthetic=n_drawn, direction="lower", goal_high=MEMBERSHIP_GOAL,
        note=f"{count} training cells and as many held-out ones of the same classes, told apart by "
        f"how near a drawn cell comes; floor: {floor.splits} choices of other training cells in "
        "the place of the drawn ones",
        **{**_common(context, ALL_CLASSES, 2 * count), "extractor": extractor,
           "pipeline": pipeline, "reference": f"{context.train_reference}, {context.reference}"},
    )  # fmt: skip


def _common(context: Context, label: str, n_real: int) -> dict[str, Any]:
    return {
        "family": "copying", "label": label, "n_real": n_real,
        "pipeline": _pixels_of(context), "reference": context.train_reference,
    }  # fmt: skip


def _pixels_of(context: Context) -> str:
    return context.pipeline.split(";")[0]


def _check_finite(features: NDArray[np.float32]) -> None:
    if not np.isfinite(features).all():
        raise MeasurementError("features hold values that are not finite")


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / norms, np.float32)
