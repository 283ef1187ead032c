"""Privacy of subjects: are drawn cells nearest to the cells of some subjects more than of others?

Of every drawn cell the nearest training cell of its class is found, and whose it is. A generator
that learned the class and no person comes as near to each subject as its share of the class says,
or as held-out real cells do: these are the baseline, for some subjects' cells lie in the middle of
their class and are near to everybody's.

Only counts leave: which subject it is stays here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .measurement import ALL_CLASSES, Measurement
from .memorisation import nearest_correlation, prepare
from .sides import Cells, Context, Found, Sides

Ints = NDArray[np.int64]
Shares = NDArray[np.float64]

FEWEST_CELLS = 20
FEWEST_EXPECTED = 5.0
"""Cells that a subject must be expected to be nearest to, for a ratio to say anything."""
_LEAST_KNOWN = 0.5
_DRAWS = 400
_QUANTILES = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Favour:
    """How unevenly cells fall to subjects, with intervals, and the same of held-out cells.

    `imbalance` is the share of cells that would have to be nearest to another subject for every
    subject to have its due; `most` the highest ratio of what a subject has over its due, None where
    no subject is due enough.
    """

    imbalance: Spread
    most: Spread | None
    subjects: int
    cells: int


@dataclass(frozen=True, slots=True)
class Spread:
    """A value with its 95 % interval, and the same of held-out cells with what chance makes."""

    value: float
    low: float
    high: float
    held: float
    chance_low: float
    chance_high: float


def measure_subjects(sides: Sides, context: Context) -> Found:
    """Measure whether the generator favours some of the subjects it learned from."""
    known = [subject is not None for subject in sides.train.subjects]
    if sum(known) < _LEAST_KNOWN * max(len(known), 1) or not any(known):
        return Found(
            skipped={"subjects": f"the subject of {sum(known)} of {len(known)} training cells is "
                     "known: whom a generator favours cannot be told"}
        )  # fmt: skip
    train = sides.train.take(np.flatnonzero(known))
    try:
        found = favour(*nearest_subjects(sides, train, context), seed=context.config.seed)
    except MeasurementError as error:
        return Found(skipped={"subjects": str(error)})
    return Found(measurements=tuple(_measurements(found, context)))


def nearest_subjects(
    sides: Sides, train: Cells, context: Context
) -> tuple[Ints, Ints, Ints, Shares]:
    """Return whose cell is nearest to each drawn and each held-out cell, as many of each class.

    Subjects are numbered: (n,) of drawn, (n,) of held-out cells, (n,) the class of both, and the
    share of each class that each subject has, (classes, subjects).
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(train.subjects))}
    owners = np.array([numbers[name] for name in train.subjects], np.int64)
    parts: list[tuple[Ints, Ints, Ints]] = []
    shares: list[Shares] = []
    rng = np.random.default_rng(context.config.seed)
    for label in sides.sizes:
        rows = train.rows(label)
        drawn, held = sides.drawn.rows(label), sides.held.rows(label)
        count = min(len(drawn), len(held))
        if not count or not len(rows):
            continue
        training = prepare(train.images[rows])
        nearest = []
        for cells, own in ((sides.drawn, drawn), (sides.held, held)):
            chosen = np.sort(rng.permutation(own)[:count])
            _, index = nearest_correlation(prepare(cells.images[chosen]), training)
            nearest.append(owners[rows[index]])
        parts.append((nearest[0], nearest[1], np.full(count, len(shares), np.int64)))
        shares.append(np.bincount(owners[rows], minlength=len(numbers)) / len(rows))
    if not parts:
        raise MeasurementError("no class has training cells of known subjects")
    drawn_of, held_of, classes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return drawn_of, held_of, classes, np.array(shares)


def favour(drawn: Ints, held: Ints, classes: Ints, shares: Shares, *, seed: int = 0) -> Favour:
    """Return how unevenly drawn cells, (n,) subjects, fall to subjects, beside held-out ones.

    Chance is what is left where drawn and held-out cells change places at random within a class.

    Raises: MeasurementError for fewer than two subjects or too few cells.
    """
    if shares.shape[1] < 2:
        raise MeasurementError("all training cells are of one subject")
    if len(drawn) < FEWEST_CELLS:
        raise MeasurementError(f"{len(drawn)} cells a side; {FEWEST_CELLS} are needed")
    due = np.bincount(classes, minlength=len(shares)) @ shares / len(drawn)
    rng = np.random.default_rng(seed)
    resampled = [_resampled(drawn, classes, rng) for _ in range(_DRAWS)]
    mixed = [_mixed(drawn, held, classes, rng) for _ in range(_DRAWS)]
    spreads: list[Spread | None] = []
    for statistic in (_imbalance, _most):
        value = statistic(drawn, due)
        if np.isnan(value):
            spreads.append(None)
            continue
        again = np.array([statistic(rows, due) for rows in resampled])
        low, middle, high = np.quantile(again, (_QUANTILES[0], 0.5, _QUANTILES[1]))
        chance = np.quantile([statistic(rows, due) for rows in mixed], _QUANTILES)
        # Drawing again makes any set more uneven; the spread is right, its middle is not.
        spreads.append(
            Spread(
                value, max(0.0, value + low - middle), value + high - middle,
                statistic(held, due), float(chance[0]), float(chance[1]),
            )
        )  # fmt: skip
    imbalance, most = spreads
    assert imbalance is not None, "a distance of shares is always a number"
    return Favour(imbalance, most, shares.shape[1], len(drawn))


def _imbalance(subjects: Ints, due: Shares) -> float:
    share = np.bincount(subjects, minlength=len(due)) / len(subjects)
    return float(np.abs(share - due).sum() / 2)


def _most(subjects: Ints, due: Shares) -> float:
    expected = due * len(subjects)
    enough = expected >= FEWEST_EXPECTED
    if not enough.any():
        return float("nan")
    return float((np.bincount(subjects, minlength=len(due))[enough] / expected[enough]).max())


def _resampled(subjects: Ints, classes: Ints, rng: np.random.Generator) -> Ints:
    return np.concatenate([rng.choice(own, len(own)) for own in _by_class(subjects, classes)])


def _mixed(drawn: Ints, held: Ints, classes: Ints, rng: np.random.Generator) -> Ints:
    pairs = zip(_by_class(drawn, classes), _by_class(held, classes), strict=True)
    return np.concatenate(
        [rng.permutation(np.concatenate([one, other]))[: len(one)] for one, other in pairs]
    )


def _by_class(subjects: Ints, classes: Ints) -> list[Ints]:
    return [subjects[classes == number] for number in np.unique(classes)]


def _measurements(found: Favour, context: Context) -> Iterator[Measurement]:
    named: Sequence[tuple[str, Spread | None, str]] = (
        ("subject_imbalance", found.imbalance,
         "share of drawn cells that are nearest to a subject beyond its due"),
        ("subject_max_ratio", found.most,
         f"of the subjects that {FEWEST_EXPECTED:.0f} cells or more are due to"),
    )  # fmt: skip
    for name, spread, what in named:
        if spread is None:
            continue
        yield Measurement(
            name=name, family="subjects", label=ALL_CLASSES, value=spread.value, low=spread.low,
            high=spread.high, floor=spread.held, floor_low=spread.chance_low,
            floor_high=spread.chance_high, goal_high=max(spread.chance_high, spread.held),
            n_real=found.cells, n_synthetic=found.cells, direction="lower",
            extractor="nearest training cell of the class: normalised cross-correlation, 32 px, "
            "8 orientations", pipeline=context.pipeline.split(";")[0],
            reference=f"{context.train_reference}, {context.reference}",
            note=f"{what}; {found.subjects} subjects; floor: held-out cells, and what chance "
            "makes of both",
        )  # fmt: skip
