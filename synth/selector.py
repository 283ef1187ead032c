"""What selection learned from the real training cells, and the scores it gives to drawn ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.progress import Progress, silent
from curation.validate.label_audit import FOLDS

from .measure.memorisation import nearest_correlation
from .select_cells import Floats, Ints, SelectCells, measure_cells
from .select_classifier import LabelJudge
from .select_config import SelectConfig
from .select_limits import SelectLimits
from .select_loss import RealLoss
from .select_realism import Realism
from .select_scores import Scores, near_pairs

FEWEST_TRAIN = 2 * FOLDS
"""Training cells under which a class is not judged by label and realism."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What real cells taught; `counts` says of how many cells of each label."""

    counts: dict[str, int]
    judge: LabelJudge
    realism: Realism

    @property
    def judged(self) -> tuple[str, ...]:
        """The labels with enough cells, in order."""
        return tuple(label for label, count in self.counts.items() if count >= FEWEST_TRAIN)


def learn(cells: SelectCells, config: SelectConfig, rows: Ints | None = None) -> Learned:
    """Learn from real cells, or from some rows of them."""
    chosen = np.arange(len(cells)) if rows is None else rows
    labels = cells.labels[chosen]
    counts = dict(sorted(Counter(labels.tolist()).items()))
    enough = [label for label, count in counts.items() if count >= FEWEST_TRAIN]
    use = chosen[np.isin(labels, enough)]
    if not len(use):
        judge = LabelJudge((), None)
        none = np.empty(0, np.float32)
        return Learned(counts, judge, Realism(none, none, config.neighbours, {}))
    features, names = cells.features[use], cells.labels[use]
    return Learned(
        counts,
        LabelJudge.fit(features, names, config.seed),
        Realism.fit(features, names, enough, config.neighbours),
    )


@dataclass(frozen=True, slots=True)
class Selector:
    """Fitted once on a real corpus; `training` are its prepared cells, float32 (n, 3072)."""

    corpus: str
    view: View
    codec: Codec
    config: SelectConfig
    learned: Learned
    limits: SelectLimits
    training: Floats
    real_loss: RealLoss

    def scores(
        self, images_NHWC: NDArray[np.uint8], labels: Sequence[str], progress: Progress = silent
    ) -> Scores:
        """Score all drawn cells, (n, side, side, 3) uint8 RGB as released, an array or mapped.

        Raises: MeasurementError where they are of another size or type than the view, or where
        the labels are not as many.
        """
        check_images(images_NHWC, labels, self.view)
        cells = measure_cells(images_NHWC, labels, self.view)
        return score_cells(cells, self.learned, self.training, self.limits, progress)


def score_cells(
    cells: SelectCells,
    learned: Learned,
    training: Floats,
    limits: SelectLimits,
    progress: Progress = silent,
) -> Scores:
    """Score cells, drawn or real, that are measured already."""
    asked = cells.labels.tolist()
    nearest = np.empty(0, np.float32)
    if len(cells):
        nearest, _ = nearest_correlation(cells.prepared, training, progress=progress)
    alike = limits.duplicate_least
    return Scores(
        labels=cells.labels,
        label_probability=learned.judge.probability(cells.features, asked),
        realism=learned.realism.score(cells.features, asked),
        nearest_train=nearest,
        spread=cells.spread,
        pairs=np.empty((0, 2), np.int64) if alike is None else near_pairs(cells.prepared, alike),
    )


def check_images(images_NHWC: NDArray[np.uint8], labels: Sequence[str], view: View) -> None:
    """Refuse images that a selector of this view cannot judge.

    Raises: MeasurementError.
    """
    expected = (len(labels), view.side, view.side, 3)
    if images_NHWC.shape != expected or images_NHWC.dtype != np.uint8:
        raise MeasurementError(
            f"drawn images are {images_NHWC.shape} {images_NHWC.dtype}; expected {expected} uint8, "
            f"one for each label at the {view.side} px that the selector was fitted at. "
            "Next: fit it with the view of the generator that drew them"
        )
