"""What is known of each drawn cell before anything is dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .measure.memorisation import orientations
from .select_cells import Floats, Ints

_ROWS_AT_ONCE, _AGAINST_AT_ONCE = 256, 2_048


@dataclass(frozen=True, slots=True)
class Scores:
    """n cells, in the order drawn.

    `labels` str (n,), as asked; `label_probability` float32 (n,) in [0, 1] and `realism` float32
    (n,) over 0, NaN where the class could not be judged; `nearest_train` float32 (n,) in [-1, 1],
    the highest correlation with a training cell in any of 8 orientations; `spread` float32 (n,),
    the standard deviation of the pixel levels; `pairs` int64 (m, 2), rows (earlier, later) that
    show nearly the same.
    """

    labels: NDArray[np.str_]
    label_probability: Floats
    realism: Floats
    nearest_train: Floats
    spread: Floats
    pairs: Ints

    def __len__(self) -> int:
        return len(self.labels)


def near_pairs(prepared: Floats, least: float) -> Ints:
    """Return rows (earlier, later), (m, 2) int64, that correlate at least so much when turned.

    Takes rows from `measure.memorisation.prepare`, (n, k); even images are like nothing.
    """
    found = []
    for start in range(0, len(prepared), _ROWS_AT_ONCE):
        turned = orientations(prepared[start : start + _ROWS_AT_ONCE])
        for first in range(0, start + turned.shape[1], _AGAINST_AT_ONCE):
            block = prepared[first : first + _AGAINST_AT_ONCE]
            correlation = turned[0] @ block.T
            for rows in turned[1:]:
                np.maximum(correlation, rows @ block.T, out=correlation)
            later, earlier = np.nonzero(correlation >= least)
            found.append(np.stack([earlier + first, later + start], axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]].astype(np.int64)
    return pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
