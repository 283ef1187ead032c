"""Sides whose features are made and not extracted, for tests of measures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from curation.progress import silent
from synth.measure.config import EvaluateConfig
from synth.measure.measurement import Measurement
from synth.measure.sides import Cells, Context, Found, Sides

Array = NDArray[np.float32]


def made_cells(side: str, sizes: Mapping[str, int]) -> Cells:
    """Blank cells; their ids say which feature is theirs."""
    labels = tuple(label for label, size in sizes.items() for _ in range(size))
    ids = tuple(f"{side} {row}" for row in range(len(labels)))
    return Cells(np.zeros((len(labels), 2, 2, 3), np.uint8), labels, ids, (None,) * len(labels))


def made_sides(
    held: Array,
    train: Array,
    drawn: Array,
    sizes: Mapping[str, int],
    *,
    extractor: str = "inception",
    config: EvaluateConfig | None = None,
) -> tuple[Sides, Context]:
    """Sides with these features, (n, d), class after class."""
    known = {"held": held, "train": train, "drawn": drawn}

    def features(cells: Cells) -> Array:
        rows = [name.split() for name in cells.ids]
        return np.stack([known[side][int(row)] for side, row in rows]).astype(np.float32)

    held_cells, train_cells, drawn_cells = (made_cells(side, sizes) for side in known)
    sides = Sides(held_cells, train_cells, drawn_cells, sizes)
    context = Context(
        features, extractor, "as it is", "real test", "real train",
        config or EvaluateConfig(floor_splits=20), silent,
    )  # fmt: skip
    return sides, context


def measured(found: Found, name: str, label: str = "all") -> Measurement:
    """The one measurement of a name and a label."""
    (one,) = [each for each in found.measurements if (each.name, each.label) == (name, label)]
    return one
