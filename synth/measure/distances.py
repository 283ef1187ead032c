"""How far synthetic cells lie from held-out real ones: KID, FID, and FID at endless images."""

from __future__ import annotations

from typing import Any

from curation.errors import MeasurementError

from .cmmd import CLIP_LIKE, cmmd, cmmd_floors
from .equal_sides import EqualSides, equal_sides
from .fid_infinity import INFINITY_NEEDS, frechet_estimates
from .floors import Floor, floor_of, frechet_floors, kernel_floors
from .kernel import Estimate, kernel_distance
from .measurement import ALL_CLASSES, FID_NEEDS, Measurement
from .sides import Context, Found, Sides

FID_GOAL_FLOORS = 1.5
"""A FID of at most so many times its floor is the goal: its own noise is far below that."""


def measure_distances(sides: Sides, context: Context) -> Found:
    """Measure KID and FID of all classes together and of each, at equal n.

    Features named after CLIP or DINOv2 give CMMD too. What cannot be measured is skipped.
    """
    measures = [("kid", _kid), ("fid", _fids)]
    if any(name in context.extractor.lower() for name in CLIP_LIKE):
        measures.append(("cmmd", _cmmd))
    found: list[Measurement] = []
    skipped: dict[str, str] = {}
    parts = list(equal_sides(sides, context))
    for number, part in enumerate(parts):
        for name, measured in measures:
            try:
                found += measured(part, context)
            except MeasurementError as error:
                skipped[f"{name} of {part.label}"] = str(error)
        context.progress("distances", number + 1, len(parts))
    return Found(tuple(found), skipped=skipped)


def _fids(part: EqualSides, context: Context) -> list[Measurement]:
    estimates = frechet_estimates(part.held, part.drawn, seed=part.seed)
    found = [_fid(part, estimates.plain, context)]
    if part.label == ALL_CLASSES or len(part.held) >= INFINITY_NEEDS:
        found.append(_fid_infinity(part, estimates.infinity, context))
    return found


def _kid(part: EqualSides, context: Context) -> list[Measurement]:
    seed = part.seed
    floor = floor_of(kernel_floors(part.real, part.parted, seed=seed))
    return [
        Measurement(
            name="kid", goal_high=floor.most, note=floor.note,
            **_estimated(kernel_distance(part.held, part.drawn, seed=seed)), **_floored(floor),
            **_common(part, context),
        )
    ]  # fmt: skip


def _fid(part: EqualSides, plain: Estimate, context: Context) -> Measurement:
    floor = floor_of(frechet_floors(part.real, part.parted))
    reliable = min(len(part.held), len(part.drawn)) >= FID_NEEDS
    note = floor.note + "; the interval holds what as many other images would give, bias and all"
    return Measurement(
        name="fid", goal_high=FID_GOAL_FLOORS * floor.median, reliable=reliable, note=note,
        **_estimated(plain), **_floored(floor), **_common(part, context),
    )  # fmt: skip


def _fid_infinity(part: EqualSides, infinity: Estimate, context: Context) -> Measurement:
    floor = frechet_estimates(part.held, part.train, seed=part.seed).infinity
    reliable = min(len(part.held), len(part.drawn)) >= INFINITY_NEEDS
    note = "floor: held-out against training cells, extrapolated alike, with its own interval"
    if not reliable:
        note += f"; under {INFINITY_NEEDS:,} images a side the extrapolation keeps some bias"
    return Measurement(
        name="fid_infinity", goal_high=floor.high, reliable=reliable, note=note,
        floor=floor.value, floor_low=floor.low, floor_high=floor.high,
        **_estimated(infinity), **_common(part, context),
    )  # fmt: skip


def _cmmd(part: EqualSides, context: Context) -> list[Measurement]:
    seed = part.seed
    floor = floor_of(cmmd_floors(part.real, part.parted, seed=seed))
    return [
        Measurement(
            name="cmmd", goal_high=floor.most, note=floor.note,
            **_estimated(cmmd(part.held, part.drawn, seed=seed)), **_floored(floor),
            **_common(part, context),
        )
    ]  # fmt: skip


def _estimated(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _floored(floor: Floor) -> dict[str, Any]:
    return {"floor": floor.median, "floor_low": floor.low, "floor_high": floor.high}


def _common(part: EqualSides, context: Context) -> dict[str, Any]:
    return {
        "family": "distance", "label": part.label, "n_real": len(part.held),
        "n_synthetic": len(part.drawn), "direction": "lower", "extractor": context.extractor,
        "pipeline": context.pipeline, "reference": context.reference,
    }  # fmt: skip
