"""Is a classifier of real cells better for synthetic ones: the ladder, as measurements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .calibration_curve import calibration_curve
from .cell_classifier import ClassifierConfig
from .ladder import (
    AUGMENTED_TOO,
    BALANCED_ACCURACY,
    CALIBRATION_ERROR,
    MACRO_F1,
    SYNTHETIC_ONLY,
    WITH_SYNTHETIC,
    Exam,
    Result,
    Rung,
    best_control,
    climb,
    ladder_rungs,
    taught,
)
from .ladder_picture import Row, calibration_picture, ladder_picture
from .measurement import ALL_CLASSES, Measurement
from .real_test_cells import side_test_cells
from .seed_interval import Interval, Score
from .sides import Cells, Context, Found, Picture, Sides

FEWEST_SUBJECTS = 10
"""Known subjects among the test cells under which an interval over subjects says little."""

AS_MANY_REAL = "real, as many as synthetic"
_GAINS = (WITH_SYNTHETIC, AUGMENTED_TOO)
_DIRECTIONS: Mapping[str, Literal["lower", "higher"]] = {
    BALANCED_ACCURACY: "higher", MACRO_F1: "higher", CALIBRATION_ERROR: "lower",
}  # fmt: skip


def measure_usefulness(
    sides: Sides, context: Context, classifier: ClassifierConfig | None = None
) -> Found:
    """Measure what classifiers trained with and without the drawn cells score on held-out ones.

    Raises: MeasurementError where test cells are among those trained on.
    """
    classifier = classifier or ClassifierConfig(steps=steps_for(len(sides.train)))
    tests = side_test_cells(sides)
    tested, skipped = _tested(sides, context)
    if len(tested) < 2:
        skipped["usefulness"] = "a classifier needs two classes with enough real cells"
        return Found(skipped=skipped)
    classes = sorted(set(sides.train.labels))
    drawn = _of_classes(sides.drawn, classes)
    exam = Exam.of(tests.of_classes(tested), classes, context.config.seed)
    rungs, lacking = _rungs(sides.train, drawn, exam, context.config.seed)
    seeds = [context.config.seed + number for number in range(context.config.ladder_seeds)]
    results = climb(rungs, exam, seeds, taught(classifier), context.progress)
    say = _Saying(exam, context, classifier, len(seeds))
    return Found(
        (*say.scores(results), *say.gains(results)),
        _pictures(results, exam),
        skipped | lacking,
    )


def steps_for(cells: int) -> int:
    """Return how many steps classifiers take, all alike: one for every 10 real training cells.

    At least 200, at most as many as the controls need on PBC cells: docs/measurements.md.
    """
    return max(200, min(ClassifierConfig().steps, cells // 10))


def _tested(sides: Sides, context: Context) -> tuple[list[str], dict[str, str]]:
    """Return the classes to test, and why others are not."""
    held, train = Counter(sides.held.labels), Counter(sides.train.labels)
    tested, skipped = [], {}
    for label in sorted(set(held) | set(train)):
        fewest = min(held[label], train[label])
        if fewest >= context.config.min_per_class:
            tested.append(label)
        elif held[label]:
            skipped[f"usefulness of {label}"] = (
                f"{train[label]} training and {held[label]} held-out cells; "
                f"{context.config.min_per_class} of each are needed"
            )
    return tested, skipped


def _rungs(
    train: Cells, drawn: Cells, exam: Exam, seed: int
) -> tuple[tuple[Rung, ...], dict[str, str]]:
    """Return the rungs that can be climbed, and why others cannot."""
    rungs = ladder_rungs(train, drawn)
    lacking = [label for label in exam.tested if label not in drawn.labels]
    if lacking:
        kept = tuple(rung for rung in rungs if rung.name != SYNTHETIC_ONLY)
        return kept, {SYNTHETIC_ONLY: f"no {', '.join(lacking)} was drawn"}
    as_many = train.take(_as_many(train, drawn, seed))
    return (*rungs, Rung(AS_MANY_REAL, as_many, 0, balanced=True, augmented=False)), {}


def _as_many(train: Cells, drawn: Cells, seed: int) -> NDArray[np.int64]:
    """Return rows of as many training cells of each class as were drawn, or all there are."""
    rng = np.random.default_rng(seed)
    wanted = Counter(drawn.labels)
    rows = [rng.permutation(train.rows(label))[:count] for label, count in sorted(wanted.items())]
    return np.sort(np.concatenate(rows))


def _of_classes(cells: Cells, classes: Sequence[str]) -> Cells:
    return cells.take(np.flatnonzero(np.isin(np.array(cells.labels, dtype=str), list(classes))))


class _Saying:
    """Turns results into measurements."""

    def __init__(
        self, exam: Exam, context: Context, classifier: ClassifierConfig, seeds: int
    ) -> None:
        self.exam, self.context, self.classifier, self.seeds = exam, context, classifier, seeds
        known = {subject for subject in exam.tests.cells.subjects if subject is not None}
        self.few_subjects = 0 < len(known) < FEWEST_SUBJECTS
        self.over = "subjects" if known else "cells of each class"

    def scores(self, results: Mapping[str, Result]) -> list[Measurement]:
        """Return every score of every rung; real cells at the same n are synthetic ones' floor."""
        floor = results.get(AS_MANY_REAL)
        found = []
        for name, result in results.items():
            if name == AS_MANY_REAL:
                continue
            beside = floor if name == SYNTHETIC_ONLY else None
            for metric, score in result.scores.items():
                under = beside.scores[metric] if beside else None
                found.append(
                    self._measurement(
                        result, metric, ALL_CLASSES, score, under, _DIRECTIONS[metric]
                    )
                )
            for label, score in result.recalls.items():
                under = beside.recalls[label] if beside else None
                found.append(self._measurement(result, "recall", label, score, under))
        return found

    def gains(self, results: Mapping[str, Result]) -> list[Measurement]:
        """Return what the rungs with synthetic cells gain over the best control."""
        control = best_control(results)
        base = results[control]
        found = []
        for name in _GAINS:
            result, note = results[name], f"over {control}, the best control; paired by seed"
            gain = result.scores[BALANCED_ACCURACY] - base.scores[BALANCED_ACCURACY]
            found.append(
                self._measurement(result, "gain", ALL_CLASSES, gain, note=note, goal_low=0.0)
            )
            for label, score in result.recalls.items():
                gain = score - base.recalls[label]
                found.append(self._measurement(result, "recall_gain", label, gain, note=note))
        return found

    def _measurement(
        self,
        result: Result,
        name: str,
        label: str,
        score: Score,
        floor: Score | None = None,
        direction: Literal["lower", "higher"] = "higher",
        *,
        note: str = "",
        goal_low: float | None = None,
    ) -> Measurement:
        rung, interval = result.rung, score.interval
        tested = self.exam.tests.cells.labels
        n_real = len(tested) if label == ALL_CLASSES else tested.count(label)
        return Measurement(
            name=name, family="usefulness", arm=rung.name, label=label, value=interval.value,
            **_ends(interval, name), **_floor(floor), n_real=n_real, n_synthetic=rung.synthetic,
            direction=direction, goal_low=goal_low,
            extractor=f"convolutional classifier, {self.classifier.steps} steps of "
            f"{self.classifier.batch} cells",
            pipeline=self.context.pipeline.partition(";")[0], reference=self.context.reference,
            reliable=self.seeds > 1 and not self.few_subjects,
            note=self._note(rung, note, floor is not None),
        )  # fmt: skip

    def _note(self, rung: Rung, before: str, floored: bool) -> str:
        parts = [before] if before else []
        # Some are repeated, so that half of what is shown of a class is real.
        real = len(set(rung.cells.ids)) - rung.synthetic
        parts.append(
            f"trained on {real} real and {rung.synthetic} synthetic cells with {self.seeds} "
            f"seeds; interval over seeds and {self.over}"
        )
        if floored:
            parts.append("floor: trained on as many real cells of each class, where there are")
        if self.seeds == 1:
            parts.append("one seed: the interval lacks what another training would give")
        if self.few_subjects:
            parts.append(f"under {FEWEST_SUBJECTS} subjects: the interval says little")
        return "; ".join(parts)


def _ends(interval: Interval, name: str) -> dict[str, float]:
    """Return the ends of an interval; those of a share lie in [0, 1]."""
    if name in ("gain", "recall_gain"):
        return {"low": interval.low, "high": interval.high}
    return {"low": max(0.0, interval.low), "high": min(1.0, interval.high)}


def _floor(score: Score | None) -> dict[str, float]:
    if score is None:
        return {}
    interval = score.interval
    return {"floor": interval.value, "floor_low": interval.low, "floor_high": interval.high}


def _pictures(results: Mapping[str, Result], exam: Exam) -> tuple[Picture, ...]:
    rows = []
    curves = {}
    for name, result in results.items():
        interval = result.scores[BALANCED_ACCURACY].interval
        rows.append(Row(name, interval, result.rung.synthetic > 0))
        seeds = len(result.probabilities_SNK)
        curves[name] = calibration_curve(
            np.concatenate(list(result.probabilities_SNK)), np.tile(exam.codes, seeds)
        )
    cells = f"{len(exam.tests)} real test cells"
    return (
        Picture(
            "ladder",
            "Balanced accuracy on real test cells, by what was trained on",
            f"{cells}; means over seeds with 95 % intervals. Filled: with synthetic cells.",
            "; ".join(f"{row.name} {row.interval.value:.3f}" for row in rows),
            ladder_picture(rows, "balanced accuracy"),
            shows_real=False,
        ),
        Picture(
            "calibration",
            "How often classifiers are right when they say they are sure",
            f"{cells}, all seeds together, in 15 bins of confidence; a dot is as large as "
            "the share of answers it holds, and none under 20. Below the line they are too sure.",
            "; ".join(f"{name}: calibration error {one.error:.3f}" for name, one in curves.items()),
            calibration_picture(curves, {row.name for row in rows if row.synthetic}),
            shows_real=False,
        ),
    )
