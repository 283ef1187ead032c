"""Which drawn and held-out cells are copies of training cells, and how near the others come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.progress import Progress, silent

from .altered_copies import AlteredCopies, altered_copies, can_be_searched, signatures_of
from .memorisation import COPY_CORRELATION, copies, nearest_correlation, prepare

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """Of each cell of a side: its correlation with the nearest training cell, and which that is.

    `correlation` float32 (n,) in [-1, 1]; `train` int64 (n,); `altered` bool (n,), whether the cell
    shows the place of a training cell, by registration, and `altered_train` which, -1 for none.
    """

    correlation: NDArray[np.float32]
    train: Ints
    altered: NDArray[np.bool_]
    altered_train: Ints

    @property
    def like_a_copy(self) -> NDArray[np.bool_]:
        """Which cells pass the thresholds, whatever the cells beside them do, (n,) bool."""
        return np.asarray(self.altered | (self.correlation >= COPY_CORRELATION), np.bool_)

    @property
    def copied_from(self) -> Ints:
        """Return the training cell that each cell is nearest to, by registration where it can."""
        return np.where(self.altered, self.altered_train, self.train)


@dataclass(frozen=True, slots=True)
class Copies:
    """The drawn and the held-out cells beside their nearest training cells.

    `copied` bool (n,) of the drawn cells: by registration, or nearer than every held-out cell and
    over the threshold. `searched_altered` is False where the images are too small to be registered.
    """

    drawn: Nearest
    held: Nearest
    copied: NDArray[np.bool_]
    searched_altered: bool


def find_copies(
    drawn_NHWC: Images, train_NHWC: Images, held_NHWC: Images, progress: Progress = silent
) -> Copies:
    """Return which drawn cells copy training cells; square images, (n, s, s, 3) uint8 RGB.

    Raises: MeasurementError without training or held-out cells, or for images of another shape.
    """
    training = prepare(train_NHWC)
    sides = [(prepare(images), images) for images in (held_NHWC, drawn_NHWC)]
    found = [nearest_correlation(rows, training, progress=progress) for rows, _ in sides]
    searched = can_be_searched(train_NHWC.shape[1])
    signed = signatures_of(train_NHWC) if searched else None
    altered = [
        altered_copies(signatures_of(images), signed) if signed else _none(len(images))
        for _, images in sides
    ]
    held, drawn = (
        Nearest(best, index, registered.found, registered.train)
        for (best, index), registered in zip(found, altered, strict=True)
    )
    copied = drawn.altered | copies(drawn.correlation, held.correlation)
    return Copies(drawn, held, np.asarray(copied, np.bool_), searched)


def _none(count: int) -> AlteredCopies:
    return AlteredCopies(np.zeros(count, np.bool_), np.full(count, -1, np.int64))
