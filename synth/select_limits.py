"""How low a score may be: limits that real cells set, which the model they judge never saw."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.manifest import Frozen

CalibratedOn = Literal["validation", "cross-validation in train", "nothing"]


class ClassLimits(Frozen):
    """What a cell of one class has to reach; a limit of None drops nothing."""

    label: str
    train: int = Field(description="training cells learned from")
    calibrated_on: CalibratedOn
    calibrated: int = Field(description="real cells that set the limits")
    label_least: float | None
    realism_least: float | None
    note: str | None = Field(default=None, description="why a class is not judged")


class SelectLimits(Frozen):
    """What every cell has to reach; a rule that is off, or could not be set, has None."""

    classes: tuple[ClassLimits, ...]
    spread_least: float | None
    copy_least: float | None = Field(
        description="correlation from which a cell is a copy, if it also lies over `held_out_most`"
    )
    duplicate_least: float | None = Field(description="correlation of two drawn cells, alike")
    held_out_most: float | None = Field(
        description="highest correlation of a held-out real cell with a training cell"
    )
    copy_calibrated_on: CalibratedOn
    copy_calibrated: int

    def of(self, label: str) -> ClassLimits | None:
        """Return the limits of one class; None where it was not among the training cells."""
        return next((entry for entry in self.classes if entry.label == label), None)


def low_limit(scores: NDArray[np.floating], quantile: float) -> float | None:
    """Return the score under which at most a share `quantile` of further real cells lies.

    The floor(q (n + 1))-th smallest of n scores; None where n is too small to promise that.

    Source: Angelopoulos and Bates, A Gentle Introduction to Conformal Prediction (2021), section 1.
    """
    place = math.floor(quantile * (len(scores) + 1))
    return float(np.sort(scores)[place - 1]) if place >= 1 else None
