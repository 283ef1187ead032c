"""Does a cell look like the label that was asked for: a small classifier of real training cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.validate.label_audit import LabelModel

from .select_cells import Floats


@dataclass(frozen=True, slots=True)
class LabelJudge:
    """The label audit's model, fitted on cells of `classes`; None where there are fewer than two.

    With one class alone there is no other label that a cell could have.
    """

    classes: tuple[str, ...]
    model: LabelModel | None

    @classmethod
    def fit(cls, features_NK: Floats, labels: NDArray[np.str_], seed: int) -> LabelJudge:
        """Learn from the features (n, k) of real cells with their labels, (n,)."""
        classes, given = np.unique(labels, return_inverse=True)
        names = tuple(str(name) for name in classes)
        if len(classes) < 2:
            return cls(names, None)
        return cls(names, LabelModel.fit(features_NK, given.astype(np.int64), seed))

    def probability(self, features_NK: Floats, asked: Sequence[str]) -> Floats:
        """Return the probability of the label asked of each cell, (n,) float32 in [0, 1].

        NaN where the label was not learned.
        """
        found = np.full(len(asked), np.nan, np.float32)
        if self.model is None or not len(asked):
            return found
        columns = {name: column for column, name in enumerate(self.classes)}
        places = np.array([columns.get(label, -1) for label in asked])
        known = np.flatnonzero(places >= 0)
        found[known] = self.model.probabilities(features_NK)[known, places[known]]
        return found
