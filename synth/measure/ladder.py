"""The ladder: what a classifier of real test cells gains from synthetic ones, rung by rung.

Every rung trains the same network for the same number of steps and differs in one thing from
another: which cells it sees, whether the classes come equally often, whether cells are augmented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.progress import Progress, silent

from .calibration_curve import calibration_errors
from .cell_classifier import ClassifierConfig, Lesson, Probabilities, train_classifier
from .class_scores import balanced_accuracies, confusions, macro_f1s, recalls
from .real_test_cells import RealTestCells
from .seed_interval import Score, cell_draws, least_variance
from .sides import Cells

REAL, OVERSAMPLED, AUGMENTED = "real", "real oversampled", "real augmented"
WITH_SYNTHETIC, AUGMENTED_TOO = "real + synthetic", "real augmented + synthetic"
SYNTHETIC_ONLY = "synthetic only"
CONTROLS = (REAL, OVERSAMPLED, AUGMENTED)
BALANCED_ACCURACY, MACRO_F1 = "balanced_accuracy", "macro_f1"
CALIBRATION_ERROR = "calibration_error"


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of training: `cells` to learn from, of which `synthetic` are drawn ones."""

    name: str
    cells: Cells
    synthetic: int
    balanced: bool
    augmented: bool

    def lesson(self, classes: Sequence[str]) -> Lesson:
        """Return what the classifier of these classes learns from.

        Raises: MeasurementError where cells are of another class.
        """
        return Lesson(
            self.cells.images, codes_of(self.cells, classes), len(classes), self.balanced,
            self.augmented,
        )  # fmt: skip


def ladder_rungs(train: Cells, drawn: Cells) -> tuple[Rung, ...]:
    """Return the rungs: three controls without a synthetic cell, and three with them.

    Classes come equally often on all but the first: those with synthetic cells differ from their
    control in these cells alone. At least half of the cells shown of a class are real: where many
    synthetic cells drown a few real ones, those are hardly ever seen (docs/long-tail.md).
    """
    both, count = joined(train, drawn).take(half_real_rows(train, drawn)), len(drawn)
    return (
        Rung(REAL, train, 0, balanced=False, augmented=False),
        Rung(OVERSAMPLED, train, 0, balanced=True, augmented=False),
        Rung(AUGMENTED, train, 0, balanced=True, augmented=True),
        Rung(WITH_SYNTHETIC, both, count, balanced=True, augmented=False),
        Rung(AUGMENTED_TOO, both, count, balanced=True, augmented=True),
        Rung(SYNTHETIC_ONLY, drawn, count, balanced=True, augmented=False),
    )


@dataclass(frozen=True, slots=True)
class Exam:
    """What every classifier is asked: real test cells, and the classes it may name.

    `counts_DN` (1 + draws, n) says how often each cell counts: once in the first row, and as drawn
    in the others, the same for all rungs.
    """

    tests: RealTestCells
    classes: tuple[str, ...]
    codes: NDArray[np.int64]
    counts_DN: NDArray[np.float64]

    @classmethod
    def of(cls, tests: RealTestCells, classes: Sequence[str], seed: int) -> Exam:
        """Return an exam in these cells.

        Raises: MeasurementError where a cell is of another class.
        """
        codes = codes_of(tests.cells, classes)
        draws = cell_draws(codes, tests.cells.subjects, seed)
        counts = np.concatenate([np.ones((1, len(codes))), draws])
        return cls(tests, tuple(classes), codes, counts)

    @property
    def tested(self) -> tuple[str, ...]:
        """The classes that cells are of."""
        return tuple(self.classes[code] for code in np.unique(self.codes))


@dataclass(frozen=True, slots=True)
class Result:
    """What the classifiers of a rung said, (seeds, n, classes) float32, and how it scores."""

    rung: Rung
    probabilities_SNK: Probabilities
    scores: Mapping[str, Score]
    recalls: Mapping[str, Score]


Teach = Callable[[Rung, Exam, int], Probabilities]
"""Trains a rung's classifier with a seed; returns its answers, (n, classes)."""


def taught(config: ClassifierConfig) -> Teach:
    """Return the plain way to teach."""

    def teach(rung: Rung, exam: Exam, seed: int) -> Probabilities:
        classifier = train_classifier(rung.lesson(exam.classes), seed, config)
        return classifier.probabilities(exam.tests.cells.images)

    return teach


def climb(
    rungs: Sequence[Rung],
    exam: Exam,
    seeds: Sequence[int],
    teach: Teach,
    progress: Progress = silent,
) -> dict[str, Result]:
    """Return rung name -> result; every rung is trained with every seed.

    Raises: MeasurementError where a rung learns from a cell or a subject of the test.
    """
    total = len(rungs) * len(seeds)
    found: dict[str, Result] = {}
    for rung in rungs:
        exam.tests.refuse_shared(rung.name, rung.cells)
        answers = []
        for seed in seeds:
            answers.append(teach(rung, exam, seed))
            progress("ladder", len(found) * len(seeds) + len(answers), total)
        found[rung.name] = scored(rung, exam, np.stack(answers))
    return found


def scored(rung: Rung, exam: Exam, probabilities_SNK: Probabilities) -> Result:
    """Return how the answers of a rung's classifiers score."""
    tables_SDKK = [
        confusions(one.argmax(1), exam.codes, len(exam.classes), exam.counts_DN)
        for one in probabilities_SNK
    ]
    errors = [calibration_errors(one, exam.codes, exam.counts_DN) for one in probabilities_SNK]
    recalls_SDK = np.stack([recalls(table) for table in tables_SDKK])
    least = least_variance(exam.codes, exam.tests.cells.subjects)
    of_all = sum(least.values()) / len(least) ** 2
    codes = {label: exam.classes.index(label) for label in exam.tested}
    return Result(
        rung,
        probabilities_SNK,
        {
            BALANCED_ACCURACY: _score([balanced_accuracies(one) for one in tables_SDKK], of_all),
            MACRO_F1: _score([macro_f1s(table) for table in tables_SDKK], of_all),
            CALIBRATION_ERROR: _score(errors, of_all),
        },
        {label: _score(recalls_SDK[..., code], least[code]) for label, code in codes.items()},
    )


def best_control(results: Mapping[str, Result]) -> str:
    """Return the control of the highest balanced accuracy.

    It is chosen by the test cells themselves, which favours the control: a gain over it is not
    flattered.
    """
    there = [name for name in CONTROLS if name in results]
    return max(there, key=lambda name: results[name].scores[BALANCED_ACCURACY].interval.value)


def half_real_rows(real: Cells, extra: Cells, *, exactly: bool = False) -> NDArray[np.int64]:
    """Return rows of both, joined, in which at least half of each class that has both are real.

    Real cells are repeated in turn where others outnumber them; `exactly` repeats the others too
    where they are fewer. A class without others stays as it is.
    """
    rows = []
    for label in sorted({*real.labels, *extra.labels}):
        own, other = real.rows(label), len(real) + extra.rows(label)
        if len(own) and len(other):
            most = max(len(own), len(other))
            other = np.resize(other, most) if exactly else other
            own = np.resize(own, most)
        rows += [own, other]
    return np.concatenate(rows)


def joined(first: Cells, second: Cells) -> Cells:
    """Return the cells of both."""
    return Cells(
        np.concatenate([first.images, second.images]),
        first.labels + second.labels,
        first.ids + second.ids,
        first.subjects + second.subjects,
    )


def codes_of(cells: Cells, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each cell's label among the classes, (n,).

    Raises: MeasurementError where it is not among them.
    """
    places = {label: place for place, label in enumerate(classes)}
    other = set(cells.labels) - set(places)
    if other:
        raise MeasurementError(
            f"cells of {', '.join(sorted(other))} are not of the classes that the classifier "
            f"tells apart: {', '.join(classes)}. Next: leave them out"
        )
    return np.array([places[label] for label in cells.labels], np.int64)


def _score(values_SD: Sequence[NDArray[np.float64]] | NDArray[np.float64], least: float) -> Score:
    """Return a score of values (seeds, 1 + draws), of which the first are as the cells are."""
    values = np.asarray(values_SD)
    return Score(values[:, 0], values[:, 1:].mean(axis=0), least)
