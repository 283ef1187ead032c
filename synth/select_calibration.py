"""The limits of selection, from real cells that what they are judged by never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curation.progress import Progress
from curation.validate.label_audit import folds_of, group_codes

from .measure.memorisation import nearest_correlation
from .select_cells import Floats, Ints, SelectCells
from .select_config import SelectConfig
from .select_limits import CalibratedOn, ClassLimits, SelectLimits, low_limit
from .selector import FEWEST_TRAIN, Learned, learn

_CROSSED: CalibratedOn = "cross-validation in train"


@dataclass(frozen=True, slots=True)
class _Judged:
    """Scores of one class' real cells by models that did not see them, (n,) float32 each."""

    calibrated_on: CalibratedOn
    probability: Floats
    realism: Floats


def calibrate(
    learned: Learned,
    train: SelectCells,
    held: SelectCells,
    config: SelectConfig,
    progress: Progress,
) -> SelectLimits:
    """Set every limit: by validation cells, or across folds of train where they are too few."""
    judged = _judge_held(learned, held, config)
    short = [label for label in learned.judged if label not in judged]
    crossed = len(held) < config.fewest_held_out
    folds = list(_folds(learned, train, config)) if short or crossed else []
    if short:
        judged |= _judge_across(train, short, folds, config, progress)
    nearest, copies_on = (
        _nearest_across(train, folds)
        if crossed
        else (
            nearest_correlation(held.prepared, train.prepared, progress=progress)[0],
            "validation",
        )
    )
    most = float(nearest.max()) if len(nearest) else None
    # Two cells that differ may be as alike as this.
    least = max(config.correlation, -1.0 if most is None else most)
    return SelectLimits(
        classes=tuple(
            _limits(label, count, judged.get(label), config)
            for label, count in learned.counts.items()
        ),
        spread_least=config.blank_spread if config.drop_blank else None,
        copy_least=config.correlation if config.drop_copy else None,
        duplicate_least=least if config.drop_duplicate else None,
        held_out_most=most,
        copy_calibrated_on=copies_on if len(nearest) else "nothing",
        copy_calibrated=len(nearest),
    )


def _judge_held(learned: Learned, held: SelectCells, config: SelectConfig) -> dict[str, _Judged]:
    """Return label -> scores of its validation cells, for classes with enough of them."""
    counts = {label: int((held.labels == label).sum()) for label in learned.judged}
    asked = held.labels.tolist()
    found: dict[str, _Judged] = {}
    if any(count >= config.fewest_held_out for count in counts.values()):
        probability = learned.judge.probability(held.features, asked)
        realism = learned.realism.score(held.features, asked)
        for label, count in counts.items():
            if count >= config.fewest_held_out:
                own = held.labels == label
                found[label] = _Judged("validation", probability[own], realism[own])
    return found


def _folds(
    learned: Learned, train: SelectCells, config: SelectConfig
) -> Iterator[tuple[Ints, Ints]]:
    """Yield training rows to learn from and to judge; no subject or slide is on both sides."""
    usable = np.flatnonzero(np.isin(train.labels, learned.judged))
    if not len(usable):
        return
    _, given = np.unique(train.labels[usable], return_inverse=True)
    groups = train.groups
    codes = None if groups is None else group_codes([groups[row] for row in usable.tolist()])
    for teach, judge in folds_of(given.astype(np.int64), codes, config.seed):
        yield usable[teach], usable[judge]


def _judge_across(
    train: SelectCells,
    labels: list[str],
    folds: list[tuple[Ints, Ints]],
    config: SelectConfig,
    progress: Progress,
) -> dict[str, _Judged]:
    """Return label -> scores of its training cells by what was learned without their fold."""
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    for number, (teach, judge) in enumerate(folds):
        progress("cross-validate", number, len(folds))
        learned = learn(train, config, teach)
        for label in labels:
            rows = judge[train.labels[judge] == label]
            asked = [label] * len(rows)
            scores = (
                learned.judge.probability(train.features[rows], asked),
                learned.realism.score(train.features[rows], asked),
            )
            found.setdefault(label, []).append(scores)
    return {
        label: _Judged(
            _CROSSED,
            np.concatenate([probability for probability, _ in parts]),
            np.concatenate([realism for _, realism in parts]),
        )
        for label, parts in found.items()
    }


def _nearest_across(
    train: SelectCells, folds: list[tuple[Ints, Ints]]
) -> tuple[Floats, CalibratedOn]:
    """Return how near training cells come to those of other folds."""
    found = [
        nearest_correlation(train.prepared[judge], train.prepared[teach])[0]
        for teach, judge in folds
    ]
    return np.concatenate(found) if found else np.empty(0, np.float32), _CROSSED


def _limits(label: str, count: int, judged: _Judged | None, config: SelectConfig) -> ClassLimits:
    if judged is None:
        few = f"{count} training cells; {FEWEST_TRAIN} are needed to judge a class"
        note = few if count < FEWEST_TRAIN else "no real cell could set limits"
        return ClassLimits(
            label=label, train=count, calibrated_on="nothing", calibrated=0, label_least=None,
            realism_least=None, note=note,
        )  # fmt: skip
    # What was not learned in a fold has no score there.
    probability = judged.probability[~np.isnan(judged.probability)]
    realism = judged.realism[~np.isnan(judged.realism)]
    label_least = low_limit(probability, config.label_quantile)
    realism_least = low_limit(realism, config.realism_quantile)
    return ClassLimits(
        label=label,
        train=count,
        calibrated_on=judged.calibrated_on if len(realism) else "nothing",
        calibrated=len(realism),
        label_least=(
            min(label_least, config.label_enough)
            if config.drop_label and label_least is not None
            else None
        ),
        realism_least=realism_least if config.drop_unreal else None,
        note=_doubt(len(probability), len(realism), label_least, realism_least),
    )


def _doubt(
    n_probability: int, n_realism: int, label_least: float | None, realism_least: float | None
) -> str | None:
    if not n_realism:
        return "no real cell could set limits"
    if not n_probability:
        return "no other class to mix it up with"
    if label_least is None or realism_least is None:
        return f"{n_realism} real cells are too few to set limits"
    return None
