"""The classifier two-sample test: can a classifier tell two sides apart on cells it did not see?

Cells are parted into folds, each class and side by the same share; every cell is scored by a
classifier that learned from the other folds. The area under the ROC curve is taken within folds,
for the scores of two classifiers are no common scale. Its variance is enlarged, since classifiers
that share most of what they learned from err together.

Source: Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017; Nadeau and Bengio,
Inference for the Generalization Error, Machine Learning 52 (2003), eq. 9.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .auc import stratified_auc
from .kernel import Estimate

Rows = NDArray[np.floating]
Sides = NDArray[np.bool_]
Folds = NDArray[np.int64]
Score = Callable[[NDArray[Any], Sides, NDArray[Any]], NDArray[np.float64]]
"""What was learned from, (n, …); which of it is of the second side; what is scored, (m, …)."""

FOLDS = 5
FEWEST = 20
"""Cells a side below which folds hold too little to learn from or to tell."""
_MOST_SPREADS = 5.0


def folds(labels: Sequence[str], count: int, seed: int) -> Folds:
    """Return the fold of each cell, (n,) in 0..count-1, every class spread evenly over them."""
    rng = np.random.default_rng(seed)
    named = np.array(labels, object)
    found = np.zeros(len(named), np.int64)
    start = 0
    for label in dict.fromkeys(labels):
        rows = rng.permutation(np.flatnonzero(named == label))
        # Not every class begins in the first fold: small ones would all lie there.
        found[rows] = (start + np.arange(len(rows))) % count
        start += len(rows)
    return found


def told_apart(
    first: NDArray[Any],
    second: NDArray[Any],
    first_labels: Sequence[str],
    second_labels: Sequence[str],
    score: Score,
    *,
    parts: int = FOLDS,
    seed: int = 0,
) -> Estimate:
    """Return the area under the ROC curve of the second side's cells above the first's.

    Takes images or rows, (n, …) and (n, …), as many of each class on both sides.

    Raises: MeasurementError where the sides are too small or differ in their classes, or where a
    value is not finite.
    """
    if sorted(first_labels) != sorted(second_labels):
        raise MeasurementError(
            f"{len(first_labels)} and {len(second_labels)} cells: a classifier would tell the "
            "sides apart by their classes. Next: give as many cells of each class on both sides"
        )
    if len(first) < FEWEST:
        raise MeasurementError(
            f"{len(first)} cells a side; {FEWEST} are needed to tell the sides apart"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise MeasurementError("features hold values that are not finite")
    cells = np.concatenate([first, second])
    is_second = np.arange(len(cells)) >= len(first)
    fold = np.concatenate([folds(first_labels, parts, seed), folds(second_labels, parts, seed + 1)])
    scores = np.zeros(len(cells))
    for part in range(parts):
        learned, asked = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        scores[asked] = score(cells[learned], is_second[learned], cells[asked])
    return stratified_auc(
        scores[is_second], scores[~is_second], fold[is_second].tolist(), fold[~is_second].tolist(),
        inflation=1 + parts / (parts - 1),
    )  # fmt: skip


def linear_scores(learned: Rows, is_second: Sides, asked: Rows) -> NDArray[np.float64]:
    """Score rows by logistic regression on standardised features."""
    return _logistic(*_standardised(learned, asked), is_second, strength=1e-3)


def curved_scores(learned: Rows, is_second: Sides, asked: Rows) -> NDArray[np.float64]:
    """Score rows by logistic regression on standardised features and their squares.

    With the squares, a side whose features spread more is told as well as one where they are more.
    """
    one, other = _standardised(learned, asked)
    return _logistic(
        np.concatenate([one, one**2], axis=1), np.concatenate([other, other**2], axis=1),
        is_second, strength=1e-1,
    )  # fmt: skip


def _standardised(learned: Rows, asked: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    middle, spread = learned.mean(axis=0), learned.std(axis=0)
    kept = spread > 1e-9 * (np.abs(middle) + 1)
    if not kept.any():
        kept[:1] = True
    scale = np.where(spread > 0, spread, 1)
    # Far off rows would decide alone, above all by their squares.
    placed = [
        np.clip((rows - middle) / scale, -_MOST_SPREADS, _MOST_SPREADS)[:, kept].astype(np.float64)
        for rows in (learned, asked)
    ]
    return placed[0], placed[1]


def _logistic(
    learned: NDArray[np.float64], asked: NDArray[np.float64], is_second: Sides, *, strength: float
) -> NDArray[np.float64]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(learned, is_second)
    return np.asarray(model.decision_function(asked), np.float64)
