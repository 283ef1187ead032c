"""What a distance comes to between two sets of real cells: the floor under every distance.

The held-out and the training cells of a measurement are put together and parted at random, half
and half within each class: as many cells a side, of the same classes, as the measurement itself
has. Were held-out and training cells of one kind, the measured distance of a perfect generator
would be one more of these. Whether they are is told by the distance between them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features_pair import Features, blocks
from .frechet import frechet_of_moments
from .frechet_subsets import Array, frechet_of_subsets, inner_products
from .kernel import Kernel, block_count, polynomial
from .moments import moments, without

Halves = NDArray[np.bool_]
"""(1 + splits, N): whether a row of the pool is in the first half, as large as the second one.

The first row has the held-out cells in it, as they are.
"""

LARGE_SPLITS = 5
"""Splits of pools so large that one takes seconds; what such floors vary by is small."""

_KERNEL_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Floor:
    """The median and the 2.5 and 97.5 % quantiles over random splits of real cells.

    `as_they_are` is the value between the held-out and the training cells themselves.
    """

    median: float
    low: float
    high: float
    splits: int
    as_they_are: float

    @property
    def most(self) -> float:
        """What real cells reach: a goal for what should be low."""
        return max(self.high, self.as_they_are)

    @property
    def least(self) -> float:
        """What real cells come down to: a goal for what should be high."""
        return min(self.low, self.as_they_are)

    @property
    def note(self) -> str:
        """What the floor is, and whether held-out and training cells are of one kind."""
        text = f"floor: {self.splits} random splits of the held-out and training cells"
        if not self.low <= self.as_they_are <= self.high:
            text += f"; as they are, these come to {self.as_they_are:.4g} against each other"
        return text


def floor_of(values: Sequence[float] | Array) -> Floor:
    """Return the floor of values over splits, the first of which is the sides as they are."""
    low, median, high = np.quantile(values[1:], (0.025, 0.5, 0.975))
    return Floor(float(median), float(low), float(high), len(values) - 1, float(values[0]))


def halves(sizes: Sequence[int], splits: int, seed: int) -> Halves:
    """Part a pool of held-out and training cells at random, half and half within each class.

    The pool is the held-out cells, class after class in `sizes`, then as many training cells.
    """
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    found = np.zeros((1 + splits, 2 * count), dtype=np.bool_)
    found[0, :count] = True
    for split in found[1:]:
        start = 0
        for size in sizes:
            own = np.r_[start : start + size, count + start : count + start + size]
            split[rng.permutation(own)[:size]] = True
            start += size
    return found


def kernel_floors(
    pool: Features, parted: Halves, *, kernel: Kernel = polynomial, seed: int = 0
) -> Array:
    """Return the unbiased squared MMD between the halves of each split, (1 + splits,).

    One kernel matrix serves all splits, and it is read in blocks. Where the distance itself is
    taken in blocks of images, so is the floor: its spread would be another's otherwise.
    """
    count = block_count(len(pool) // 2, len(pool) // 2)
    # Not the seed alone: the halves may be drawn with it, and must not be the blocks again.
    order = np.random.default_rng([seed, 1]).permutation(len(pool))
    found = [
        _kernel_floors(pool[rows], parted[:, rows].astype(np.float64), kernel)
        for rows in (np.sort(part) for part in np.array_split(order, count))
    ]
    return np.asarray(np.mean(found, axis=0))


def _kernel_floors(pool: Features, first: Array, kernel: Kernel) -> Array:
    x = np.asarray(pool, dtype=np.float64)
    second = 1 - first
    inside_first = inside_second = across = np.zeros(len(first))
    for rows in blocks(len(x), _KERNEL_BLOCK):
        part = kernel(x[rows], x)
        part[np.arange(len(part)), np.arange(rows.start, rows.stop)] = 0
        to_first, to_second = first @ part.T, second @ part.T
        inside_first = inside_first + np.einsum("sn,sn->s", to_first, first[:, rows])
        inside_second = inside_second + np.einsum("sn,sn->s", to_second, second[:, rows])
        across = across + np.einsum("sn,sn->s", to_second, first[:, rows])
    n, m = first.sum(axis=1), second.sum(axis=1)
    return np.asarray(
        inside_first / (n * (n - 1)) + inside_second / (m * (m - 1)) - 2 * across / (n * m)
    )


def frechet_floors(pool: Features, parted: Halves) -> Array:
    """Return the Fréchet distance between the halves of the splits, at most `LARGE_SPLITS` of a
    pool whose halves have more rows than features.
    """
    if len(pool) // 2 <= pool.shape[1]:
        products = inner_products(pool)
        return np.array([
            frechet_of_subsets(products, np.flatnonzero(first), np.flatnonzero(~first))
            for first in parted
        ])  # fmt: skip
    whole = moments(pool)
    found = []
    for first in parted[: 1 + LARGE_SPLITS]:
        one = moments(pool, np.flatnonzero(first))
        found.append(frechet_of_moments(one, without(whole, one)))
    return np.array(found)
