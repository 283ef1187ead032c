"""The fitted part of the near-duplicate search, and the error rates measured with it.

scripts/fit_duplicate_model.py makes `model.npz` (averages and directions, no picture of a cell) and
`rates.json` from real cells; both ship in the package and carry one version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..manifest import Frozen

MODEL_VERSION = 2
"""Of signatures: those of another version cannot be compared."""
CODE_SIZE = 24


class FalseRates(Frozen):
    """How often different real cells are taken for one, as measured when the model was fitted."""

    measured_on: str
    cells: int
    pairs: int
    gate_distance: tuple[float, ...]
    """Distances of codes, and next to them the share of pairs of different cells below."""
    gate_share: tuple[float, ...]
    merged: int
    """Pairs that were merged although they are different cells."""
    highest_rejected: float
    """The most that two different cells reached: the lesser of correlation and detail."""


@dataclass(frozen=True, slots=True)
class CodeModel:
    """From invariants (n, 432) to codes (n, 24): standardise, then project.

    Directions are those in which different cells differ most compared with copies of one cell
    (Fisher's linear discriminant), scaled so that copies differ by 1 in each.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    directions: NDArray[np.float32]
    centroids: NDArray[np.float32]
    """(c, 24): of the cells of the search's inverted file, the same for every corpus."""

    def codes(self, invariants: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return codes of invariants (n, 432), float32 (n, 24)."""
        return np.asarray(
            ((invariants - self.mean) / self.scale) @ self.directions, dtype=np.float32
        )


@cache
def code_model() -> CodeModel:
    """Return the model that ships with the package."""
    with files(__package__).joinpath("model.npz").open("rb") as file:
        arrays: dict[str, Any] = dict(np.load(file, allow_pickle=False))
    return CodeModel(
        **{name: arrays[name].astype(np.float32) for name in CodeModel.__dataclass_fields__}
    )


@cache
def false_rates() -> FalseRates:
    """Return the error rates that were measured with the model that ships."""
    text = files(__package__).joinpath("rates.json").read_text(encoding="utf-8")
    return FalseRates.model_validate_json(text)
