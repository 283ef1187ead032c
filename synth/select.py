"""Which drawn cells are kept: rules over scores, every limit set by held-out real cells.

    selector = fit_selector(corpus, view, codec)     once
    scores = selector.scores(images, labels)         of all cells drawn
    reasons = select(scores, selector.limits)        "" where a cell is kept

Only the training split teaches, only the validation split sets limits (or the training split, cross
validated, where a class has too few), and only the test split says what real cells would lose.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.progress import Progress, silent

from .select_calibration import calibrate
from .select_cells import SelectCells, real_cells
from .select_config import RULES, Rule, SelectConfig
from .select_limits import ClassLimits, SelectLimits
from .select_loss import ClassLoss, RealLoss
from .select_scores import Scores
from .selector import Selector, learn, score_cells

Bools = NDArray[np.bool_]


def fit_selector(
    corpus: Corpus,
    view: View,
    codec: Codec,
    config: SelectConfig | None = None,
    progress: Progress = silent,
    cache: Path | None = None,
) -> Selector:
    """Learn from a real corpus what its cells look like in a generator's view and codec.

    A folder as `cache` keeps what was measured of the real cells, for a run that goes on.

    Raises: MeasurementError where the corpus is not of real cells or has no training cell.
    """
    config = config or SelectConfig()
    _check_real(corpus)

    def cells(split: Split, most: int) -> SelectCells:
        return real_cells(
            corpus, split, view, codec, most=most, seed=config.seed, cache=cache, progress=progress
        )

    train = cells("train", config.max_train)
    held = cells("validation", config.max_held_out)
    test = cells("test", config.max_held_out)
    learned = learn(train, config)
    limits = calibrate(learned, train, held, config, progress)
    loss = RealLoss(measured_on="nothing")
    if len(test):
        loss = _real_loss(score_cells(test, learned, train.prepared, limits, progress), limits)
    return Selector(corpus.fingerprint, view, codec, config, learned, limits, train.prepared, loss)


def select(scores: Scores, limits: SelectLimits) -> tuple[str, ...]:
    """Return why each cell is dropped, "" where it is kept; the first rule that it breaks counts.

    A cell is a duplicate only of one that is kept.
    """
    found = broken(scores, limits)
    reasons = np.full(len(scores), "", dtype=object)
    for rule in RULES:
        if rule != "duplicate":
            reasons[found[rule] & (reasons == "")] = rule
    for earlier, later in _pairs(scores, limits):
        if reasons[earlier] == reasons[later] == "":
            reasons[later] = "duplicate"
    return tuple(reasons.tolist())


def broken(scores: Scores, limits: SelectLimits) -> dict[Rule, Bools]:
    """Return which cells break each rule by itself, (n,) bool; what was not judged breaks none."""
    spread, copy, most = limits.spread_least, limits.copy_least, limits.held_out_most
    none = np.zeros(len(scores), dtype=np.bool_)
    twice = none.copy()
    twice[[later for _, later in _pairs(scores, limits)]] = True
    near = none if copy is None else scores.nearest_train >= copy
    return {
        "blank": none if spread is None else scores.spread < spread,
        # A comparison with NaN is false.
        "label": scores.label_probability < _least(scores, limits, "label_least"),
        "unreal": scores.realism < _least(scores, limits, "realism_least"),
        "copy": near if most is None else near & (scores.nearest_train > most),
        "duplicate": twice,
    }


def _pairs(scores: Scores, limits: SelectLimits) -> list[tuple[int, int]]:
    if limits.duplicate_least is None:
        return []
    return [(int(earlier), int(later)) for earlier, later in scores.pairs]


def _least(scores: Scores, limits: SelectLimits, name: str) -> NDArray[np.float64]:
    """Return the limit of each cell's class, (n,); minus infinity where there is none."""
    table = {entry.label: _or_none(entry, name) for entry in limits.classes}
    return np.array([table.get(label, -np.inf) for label in scores.labels.tolist()], np.float64)


def _or_none(entry: ClassLimits, name: str) -> float:
    value: float | None = getattr(entry, name)
    return -np.inf if value is None else value


def _real_loss(scores: Scores, limits: SelectLimits) -> RealLoss:
    found = broken(scores, limits)
    any_rule = np.logical_or.reduce(list(found.values()))
    classes = []
    for label in sorted(set(scores.labels.tolist())):
        own = scores.labels == label
        classes.append(
            ClassLoss(
                label=label,
                n=int(own.sum()),
                broken={rule: int(rows[own].sum()) for rule, rows in found.items()},
                any=int(any_rule[own].sum()),
            )
        )
    return RealLoss(measured_on="test", classes=tuple(classes))


def _check_real(corpus: Corpus) -> None:
    if corpus.manifest.kind != "real":
        raise MeasurementError(
            f"{corpus.path} is a {corpus.manifest.kind} corpus; drawn cells are selected by real "
            "ones. Next: give the corpus that the generator was trained on"
        )
    if not corpus.manifest.splits.get("train"):
        raise MeasurementError(
            f"{corpus.path} has no training cells to select by. Next: give a corpus that has"
        )
