"""Membership inference as measurements: by pixels over 8 orientations, and by features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curation.errors import MeasurementError

from .copying_common import PIXELS, copying_common, pixels_of
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
from .memorisation import prepare
from .sides import Context, Sides

MEMBERSHIP_GOAL = 0.55
"""What of an area counts as giving nothing away: intervals of some thousand cells reach it."""


def membership_measurements(
    sides: Sides, context: Context
) -> tuple[list[Measurement], dict[str, str]]:
    """Return what tells members apart, by pixels and by features, or why it cannot be said."""
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
        context, extractor=PIXELS, pipeline=pixels_of(context),
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
        **{**copying_common(context, ALL_CLASSES, 2 * count), "extractor": extractor,
           "pipeline": pipeline, "reference": f"{context.train_reference}, {context.reference}"},
    )  # fmt: skip
