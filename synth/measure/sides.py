"""What a measurement is made of: the three sides that are compared, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.progress import Progress

from .config import EvaluateConfig
from .measurement import Measurement

Features = Callable[["Cells"], NDArray[np.float32]]
"""Cells -> their features, (n, d) float32, row by row; kept, so that asking again costs nothing."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Images of one side in one view and codec, (n, s, s, 3) uint8, and what is known of each."""

    images: NDArray[np.uint8]
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    subjects: tuple[str | None, ...]

    def __len__(self) -> int:
        """Return how many cells there are."""
        return len(self.labels)

    def rows(self, label: str, count: int | None = None) -> NDArray[np.int64]:
        """Return the rows of a class, the first `count` of them."""
        rows = np.flatnonzero(np.array(self.labels, dtype=object) == label)
        return (rows if count is None else rows[:count]).astype(np.int64)

    def take(self, rows: NDArray[np.integer]) -> Cells:
        """Return some of the cells, in the order of `rows`, (k,) integers."""
        chosen = [int(row) for row in rows]
        return Cells(
            self.images[chosen],
            tuple(self.labels[row] for row in chosen),
            tuple(self.ids[row] for row in chosen),
            tuple(self.subjects[row] for row in chosen),
        )


@dataclass(frozen=True, slots=True)
class Sides:
    """The three sides of an evaluation.

    `held` are real cells that the generator did not see, `train` those that it learned from, and
    `drawn` those that it drew. `sizes` is label -> how many cells of each side the distances use,
    the same for all three.
    """

    held: Cells
    train: Cells
    drawn: Cells
    sizes: Mapping[str, int]

    def equal(self, cells: Cells) -> Cells:
        """Return the cells that distances use of one side, class after class in `sizes`' order."""
        rows = [cells.rows(label, count) for label, count in self.sizes.items()]
        return cells.take(np.concatenate(rows))


@dataclass(frozen=True, slots=True)
class Context:
    """What all measurements of a run have in common."""

    features: Features
    extractor: str
    pipeline: str
    reference: str
    train_reference: str
    config: EvaluateConfig
    progress: Progress


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a report; one that shows real cells must not stand in an open repository."""

    name: str
    title: str
    caption: str
    alt: str
    image: Image.Image
    shows_real: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What one measure found; `skipped` is what -> why it could not be measured."""

    measurements: tuple[Measurement, ...] = ()
    pictures: tuple[Picture, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
