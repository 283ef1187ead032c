"""Balanced accuracy, macro-F1 and recalls, from how often each class was called each other one.

Only classes that are among the test cells count; what is called another class counts against the
class it is of, whether or not that other one is tested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def confusions(said_N: Ints, codes_N: Ints, classes: int, counts_DN: Array) -> Array:
    """Return in each draw how many cells of class i were called j, (d, classes, classes).

    `counts_DN` says how often each cell is taken in each draw.
    """
    pairs = np.zeros((len(codes_N), classes * classes))
    pairs[np.arange(len(codes_N)), codes_N * classes + said_N] = 1
    return np.asarray((counts_DN @ pairs).reshape(len(counts_DN), classes, classes))


def recalls(confusions_DKK: Array) -> Array:
    """Return the share of each class that was called so, (d, k); NaN where a draw has none."""
    of_class = confusions_DKK.sum(2)
    found = np.diagonal(confusions_DKK, axis1=1, axis2=2)
    none = np.full_like(of_class, np.nan)
    return np.asarray(np.divide(found, of_class, out=none, where=of_class > 0))


def balanced_accuracies(confusions_DKK: Array) -> Array:
    """Return the mean recall of the classes that are there, (d,)."""
    return np.asarray(np.nanmean(recalls(confusions_DKK), axis=1))


def macro_f1s(confusions_DKK: Array) -> Array:
    """Return the mean F1 of the classes that are there, (d,)."""
    of_class, called = confusions_DKK.sum(2), confusions_DKK.sum(1)
    found = np.diagonal(confusions_DKK, axis1=1, axis2=2)
    both = of_class + called
    f1 = np.divide(2 * found, both, out=np.full_like(both, np.nan), where=of_class > 0)
    return np.asarray(np.nanmean(f1, axis=1))
