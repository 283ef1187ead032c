"""Distances and copying, until each has its own file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contact_sheet import contact_sheet
from .measure.frechet import frechet_distance
from .measure.kernel import kernel_distance
from .measure.measurement import ALL_CLASSES, FID_NEEDS, Measurement
from .measure.memorisation import COPY_CORRELATION, copies, nearest_correlation, prepare
from .measure.proportion import median_interval, share_interval
from .measure.sides import Cells as _Cells
from .measure.sides import Context, Found, Picture, Sides

_COPY_EXTRACTOR = "normalised cross-correlation, 32 px, 8 orientations"


def measure_distances(sides: Sides, context: Context) -> Found:
    """Measure KID and FID."""
    per_side = [context.features(sides.equal(c)) for c in (sides.held, sides.train, sides.drawn)]
    found = _pair_of_distances(ALL_CLASSES, per_side, context)
    start = 0
    for label, count in sides.sizes.items():
        found.extend(
            _pair_of_distances(label, [s[start : start + count] for s in per_side], context)
        )
        start += count
    return Found(tuple(found))


def measure_copying(sides: Sides, context: Context) -> Found:
    """Measure copies."""
    found, pairs = _copying(sides.held, sides.train, sides.drawn, context, context.progress)
    return Found(tuple(found), (pairs,))


def _pair_of_distances(
    label: str, sides: Sequence[NDArray[np.float32]], context: Context
) -> list[Measurement]:
    """Return KID and FID of one class; `sides` are features of held-out, training, synthetic."""
    held, train, drawn = sides
    common: dict[str, Any] = {
        "label": label, "n_real": len(held), "n_synthetic": len(drawn), "direction": "lower",
        "extractor": context.extractor, "pipeline": context.pipeline,
        "reference": context.reference,
    }  # fmt: skip
    kid = kernel_distance(held, drawn, seed=context.config.seed)
    kid_floor = kernel_distance(held, train, seed=context.config.seed)
    reliable = min(len(held), len(drawn)) >= FID_NEEDS
    return [
        Measurement(
            name="kid", value=kid.value, low=kid.low, high=kid.high, floor=kid_floor.value,
            floor_low=kid_floor.low, floor_high=kid_floor.high, **common,
        ),
        Measurement(
            name="fid", value=frechet_distance(held, drawn), floor=frechet_distance(held, train),
            reliable=reliable, **common,
        ),
    ]  # fmt: skip


def _copying(
    held: _Cells, train: _Cells, drawn: _Cells, context: Context, progress: Any
) -> tuple[list[Measurement], Picture]:
    progress("copies", 0, 3)
    training = prepare(train.images)
    held_best, _ = nearest_correlation(prepare(held.images), training)
    progress("copies", 1, 3)
    best, index = nearest_correlation(prepare(drawn.images), training)
    progress("copies", 3, 3)
    copied = copies(best, held_best)
    common: dict[str, Any] = {
        "label": ALL_CLASSES, "family": "copying", "n_real": len(train.labels),
        "extractor": _COPY_EXTRACTOR,
        "pipeline": context.pipeline.split(";")[0],
        "reference": context.train_reference,
    }  # fmt: skip
    count = int(copied.sum())
    low, high = share_interval(count, len(best))
    held_low, held_high = median_interval(held_best)
    drawn_low, drawn_high = median_interval(best)
    found = [
        Measurement(
            name="copied_share", value=count / len(best), low=low, high=high, floor=0.0,
            n_synthetic=len(best), direction="zero",
            note=_copy_note(float(held_best.max())),
            **common,
        ),
        Measurement(
            name="nearest_train", value=float(np.median(best)), low=drawn_low, high=drawn_high,
            floor=float(np.median(held_best)), floor_low=held_low, floor_high=held_high,
            n_synthetic=len(best), direction="lower", **common,
        ),
        Measurement(
            name="nearest_train_held_out", value=float(np.median(held_best)), low=held_low,
            high=held_high, n_synthetic=0, direction="lower",
            note=f"of {len(held_best)} held-out real cells: the baseline", **common,
        ),
    ]  # fmt: skip
    return found, _closest_pairs(train, drawn, best, index)


def _copy_note(held_out_most: float) -> str:
    note = (
        f"a copy correlates at least {COPY_CORRELATION} with a training cell and more than every "
        f"held-out cell does ({held_out_most:.3f})"
    )
    if held_out_most >= COPY_CORRELATION:
        note += "; held-out cells pass the threshold themselves, so copies up to there go unseen"
    return note


def _closest_pairs(
    train: _Cells, drawn: _Cells, best: NDArray[np.float32], index: NDArray[np.int64]
) -> Picture:
    order = np.argsort(-best, kind="stable")[:12]
    rows = [
        ("synthetic", [drawn.images[i] for i in order]),
        ("nearest\ntraining cell", [train.images[index[i]] for i in order]),
    ]
    values = ", ".join(f"{best[i]:.3f}" for i in order)
    return Picture(
        "closest_training_pairs",
        "The synthetic cells that are closest to a training cell",
        f"Correlations, from the left: {values}. The training cell is shown as it lies in the "
        "corpus; it was compared in all 8 orientations.",
        "A row of synthetic cells above the training cells nearest to them.",
        contact_sheet(rows),
        shows_real=True,
    )
