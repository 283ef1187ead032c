"""How much of the real cells synthetic ones cover: precision, recall, density, coverage, Vendi.

Everything is compared at equal n, and at most at `MOST` images a side, each class by the same
share: the number of distances grows with the square. Its memory does not grow further.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .equal_sides import EqualSides, equal_sides
from .floors import LARGE_SPLITS, floor_of
from .half_samples import half_widths
from .measurement import Measurement
from .neighbours import NAMES, neighbours, squared_distances
from .proportion import share_interval
from .sides import Context, Found, Sides
from .vendi import cosines, vendi

MOST = 2_000
"""Images a side that are compared at most."""

VENDI_RATIO = "vendi_ratio"

_SHARES = ("precision", "recall", "coverage")  # density is none: it can exceed 1
_LARGE = 1_000  # images a side from where an eigenvalue problem takes seconds
_MOST_HALF = 500

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Found:
    """Values of one or several measures, (v,), half their intervals, and over splits."""

    value: Array
    half: Array
    floors: Array


def measure_coverage(sides: Sides, context: Context) -> Found:
    """Measure precision, recall, density, coverage and the Vendi ratio, pooled and of each class.

    The floors are what as many real cells come to against each other. The Vendi score is given as
    its ratio to that of the held-out cells: by itself it only grows with their number.

    Raises: MeasurementError where features are not finite.
    """
    found: list[Measurement] = []
    skipped: dict[str, str] = {}
    parts = list(equal_sides(sides, context))
    for number, part in enumerate(parts):
        some = part.at_most(MOST)
        for name, of in (("neighbours", _neighbours), (VENDI_RATIO, _vendi)):
            try:
                found += of(some, context)
            except MeasurementError as error:
                skipped[f"{name} of {part.label}"] = str(error)
        context.progress("coverage", number + 1, len(parts))
    return Found(tuple(found), skipped=skipped)


def _neighbours(part: EqualSides, context: Context) -> list[Measurement]:
    k = context.config.neighbours
    n = len(part.held)
    # Half of the images need neighbours as well: their spread is the interval.
    if n // 2 <= k:
        raise MeasurementError(f"{n} cells a side; {2 * (k + 1)} are needed for {k} neighbours")
    distances = squared_distances(np.concatenate([part.held, part.drawn]))

    def statistic(of_held: Rows, of_drawn: Rows) -> Array:
        return np.array(astuple(neighbours(distances, of_held, n + of_drawn, k)))

    rows = np.arange(n)
    values = statistic(rows, rows)
    halves = half_widths(statistic, n, n, seed=part.seed)
    real = squared_distances(part.real)
    floors = np.array([
        astuple(neighbours(real, np.flatnonzero(held), np.flatnonzero(~held), k))
        for held in part.parted
    ])  # fmt: skip
    found = _Found(values, halves, floors)
    return [_share(name, place, found, part, context) for place, name in enumerate(NAMES)]


def _share(name: str, place: int, found: _Found, part: EqualSides, context: Context) -> Measurement:
    value, half = float(found.value[place]), float(found.half[place])
    low, high = max(0.0, value - half), value + half
    if name in _SHARES:
        # Halves that all come to 0 or to 1 have no spread; the count of images still has one.
        least, most = share_interval(round(value * len(part.held)), len(part.held))
        low, high = min(low, least), min(1.0, max(high, most))
    floor = floor_of(found.floors[:, place])
    return Measurement(
        name=name, value=value, low=low, high=high, floor=floor.median, floor_low=floor.low,
        floor_high=floor.high, goal_low=floor.least,
        note=f"{context.config.neighbours} nearest neighbours; {floor.note}",
        **_common(part, context),
    )  # fmt: skip


def _vendi(part: EqualSides, context: Context) -> list[Measurement]:
    n = len(part.held)
    drawn, held = cosines(part.drawn), cosines(part.held)

    def statistic(of_held: Rows, of_drawn: Rows) -> Array:
        return np.array([vendi(drawn, of_drawn) / vendi(held, of_held)])

    rows = np.arange(n)
    score_drawn, score_held = vendi(drawn, rows), vendi(held, rows)
    value = score_drawn / score_held
    half = float(half_widths(statistic, n, n, seed=part.seed, most=_MOST_HALF)[0])
    real = cosines(part.real)
    parted = part.parted if n <= _LARGE else part.parted[: 1 + LARGE_SPLITS]
    # The sides as they are: training over held-out cells, as drawn over held-out ones.
    floor = floor_of([
        vendi(real, np.flatnonzero(~held)) / vendi(real, np.flatnonzero(held)) for held in parted
    ])  # fmt: skip
    return [
        Measurement(
            name=VENDI_RATIO, value=value, low=value - half, high=value + half,
            floor=floor.median, floor_low=floor.low, floor_high=floor.high, goal_low=floor.least,
            note=f"Vendi score {score_drawn:.4g} of drawn, {score_held:.4g} of held-out cells; "
            f"{floor.note}",
            **_common(part, context),
        )
    ]  # fmt: skip


def _common(part: EqualSides, context: Context) -> dict[str, Any]:
    return {
        "family": "coverage", "label": part.label, "n_real": len(part.held),
        "n_synthetic": len(part.drawn), "direction": "higher", "extractor": context.extractor,
        "pipeline": context.pipeline, "reference": context.reference,
    }  # fmt: skip
