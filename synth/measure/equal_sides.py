"""The features of the three sides, as many of each, class by class and together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .floors import Halves, halves
from .measurement import ALL_CLASSES
from .sides import Context, Sides

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EqualSides:
    """The features of one class, or of all, at equal n: (n, d) float32 each, class after class.

    `sizes` is how many of them each class has, `splits` over how many splits floors are made.
    """

    label: str
    held: Array
    train: Array
    drawn: Array
    sizes: tuple[int, ...]
    splits: int
    seed: int

    @property
    def real(self) -> Array:
        """The held-out and then the training cells: the pool that floors are made of."""
        return np.concatenate([self.held, self.train])

    @property
    def parted(self) -> Halves:
        """The real cells as they are and in random halves."""
        return halves(self.sizes, self.splits, self.seed)

    def at_most(self, count: int) -> EqualSides:
        """Return these sides with at most about `count` images, each class by the same share."""
        total = len(self.held)
        if total <= count:
            return self
        sizes = tuple(max(1, size * count // total) for size in self.sizes)
        starts = np.cumsum((0, *self.sizes[:-1]))
        rows = np.concatenate(
            [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        )
        return replace(
            self, held=self.held[rows], train=self.train[rows], drawn=self.drawn[rows], sizes=sizes
        )


def equal_sides(sides: Sides, context: Context) -> Iterator[EqualSides]:
    """Yield the features of all classes together, then of each, the same number on every side."""
    held, train, drawn = (
        context.features(sides.equal(cells)) for cells in (sides.held, sides.train, sides.drawn)
    )
    splits, seed = context.config.floor_splits, context.config.seed
    yield EqualSides(ALL_CLASSES, held, train, drawn, tuple(sides.sizes.values()), splits, seed)
    start = 0
    for label, size in sides.sizes.items():
        rows = slice(start, start + size)
        yield EqualSides(label, held[rows], train[rows], drawn[rows], (size,), splits, seed)
        start += size
