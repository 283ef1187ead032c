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

from .closest_pairs import closest_pairs
from .copying_common import PIXELS, copying_common
from .copying_features import equal_rows, feature_measurements
from .copying_membership import membership_measurements
from .measurement import ALL_CLASSES, Measurement
from .memorisation import COPY_CORRELATION
from .nearest_pixels import Copies, find_copies
from .proportion import median_interval, share_interval
from .sides import Context, Found, Sides

REGISTERED = f"{PIXELS}; registration of 64 px from codes of stained blobs"

Rows = NDArray[np.int64]


def measure_copying(sides: Sides, context: Context) -> Found:
    """Measure copies of training cells, nearness to them, and what gives away who they are."""
    if not len(sides.held):
        return Found(skipped={"copies": "no held-out cell tells what counts as near"})
    found = find_copies(sides.drawn.images, sides.train.images, sides.held.images, context.progress)
    membership, skipped = membership_measurements(sides, context)
    return Found(
        measurements=(
            *_pixel_measurements(sides, found, context),
            *feature_measurements(sides, found, context),
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
        common = {**copying_common(context, label, len(train)), "n_synthetic": len(drawn)}
        yield _copied(found, drawn, held, len(sides.train), context, common)
        if label == ALL_CLASSES:
            # Some classes lie nearer than others: medians are compared at the same mix.
            drawn, held = (equal_rows(sides, cells) for cells in (sides.drawn, sides.held))
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
        notes.append(
            f"{registered} held-out cells lie on training cells when registered: the corpus shows "
            "one place in two splits"
        )
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
    common = {**common, "n_synthetic": len(drawn), "direction": "lower", "extractor": PIXELS}
    yield Measurement(
        name="nearest_train", value=float(np.median(drawn)), low=drawn_low, high=drawn_high,
        floor=float(np.median(held)), floor_low=held_low, floor_high=held_high,
        goal_high=held_high, **common,
    )  # fmt: skip
    yield Measurement(
        name="nearest_train_held_out", value=float(np.median(held)), low=held_low, high=held_high,
        note=f"of {len(held)} held-out real cells: the baseline", **{**common, "n_synthetic": 0},
    )  # fmt: skip
