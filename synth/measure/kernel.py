"""The kernel distance between two sets of features, with an interval: KID on Inception features.

How the interval is made. With h the part of the kernel that depends on one image alone and q the
part that needs both, the estimate minus its expectation is a sum L over h plus a sum Q over q.
When both sets come from one distribution L vanishes and Q, which is skewed, is all there is; when
they differ, L soon outweighs Q, and its spread grows with the root of the distance. The usual
bootstrap draws L and Q together and takes the noise in its estimate of h for spread, so it is too
wide for small sets. Here both are drawn apart, by multipliers on the images, each with an unbiased
variance; the interval holds those distances that the estimate does not contradict.

Above `ALL_PAIRS` images a side, where all pairs would take days, the sets are cut at random into
blocks, and the mean over blocks is taken: unbiased too, and as many distances as there are blocks
have a spread of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features_pair import Features, blocks, check_pair

FEWEST = 4
"""Images a side below which the spread of the kernel cannot be told from its mean."""

ALL_PAIRS = 5_000
"""Images a side up to which all pairs are taken."""

FEWEST_BLOCKS, BLOCK_IMAGES = 10, 2_500
"""Above it, the sets are cut into blocks of at most so many images, and into at least so many."""

_TAIL = 0.025
_BLOCK = 512  # rows of a kernel matrix at once; 20 MB against 5,000 columns
_HALVINGS = 24

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]
"""(n, d) and (m, d) features -> the kernel between their rows, (n, m)."""


def polynomial(x: Array, y: Array) -> Array:
    """Return (x.y / d + 1)^3, the kernel of KID."""
    base = x @ y.T / x.shape[1] + 1
    return np.asarray(base * base * base)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the three kernel matrices: within the first set, within the second, or across.

    `rows` and `columns` are what each image adds by itself, up to a constant; `pair_variance` is
    the variance of what only pairs add, unbiased; `pairs` is the draws of the sum over pairs.
    """

    mean: float
    rows: Array
    columns: Array
    pair_variance: float
    pairs: Array


def kernel_distance(
    a: Features, b: Features, *, kernel: Kernel = polynomial, seed: int = 0, draws: int = 1000
) -> Estimate:
    """Return the squared MMD of (n, d) and (m, d) features, with a 95 % interval.

    The estimate is unbiased, so sets of one distribution come out below zero as often as above.
    The same seed gives the same interval, and in blocks the same value. The memory does not grow
    with n above `ALL_PAIRS`, so that features may be mapped from a file.

    Source: Binkowski et al., Demystifying MMD GANs, ICLR 2018, eq. 4; unbiased variances after
    Sutherland and Deka, arXiv 1906.02104; U-centring after Szekely and Rizzo, Ann Stat 42 (2014),
    def. 2; blocks: Zaremba, Gretton and Blaschko, B-tests, NeurIPS 2013.

    Raises: MeasurementError where a side has fewer than four rows, where the columns differ in
    number, or where a value is not finite.
    """
    check_pair(a, b, least=FEWEST)
    if max(len(a), len(b)) > ALL_PAIRS and min(len(a), len(b)) >= FEWEST_BLOCKS * FEWEST:
        return _of_blocks(a, b, kernel, seed)
    return _of_all_pairs(_float64(a), _float64(b), kernel, seed, draws)


def kernel_mean(x: Array, y: Array, kernel: Kernel = polynomial) -> float:
    """Return the unbiased squared MMD alone, of (n, d) and (m, d) float64 features."""
    return _within_mean(x, kernel) + _within_mean(y, kernel) - 2 * _across_mean(x, y, kernel)


def block_count(n: int, m: int) -> int:
    """Return into how many blocks sets of n and m images are cut."""
    most = max(n, m)
    return 1 if most <= ALL_PAIRS else max(FEWEST_BLOCKS, -(-most // BLOCK_IMAGES))


def _of_all_pairs(x: Array, y: Array, kernel: Kernel, seed: int, draws: int) -> Estimate:
    rng = np.random.default_rng(seed)
    on_x, on_y = _multipliers(rng, draws, len(x)), _multipliers(rng, draws, len(y))
    within_x, within_y = _within(x, on_x, kernel), _within(y, on_y, kernel)
    across = _across(x, y, on_x, on_y, kernel)

    value = within_x.mean + within_y.mean - 2 * across.mean
    pairs = within_x.pairs + within_y.pairs - 2 * across.pairs
    # A distance below what pairs alone reach says nothing about how the spread grows with it.
    reference = max(value, float(np.quantile(pairs, 1 - _TAIL)))
    noise_x = within_x.pair_variance / (len(x) - 2) + across.pair_variance / len(y)
    noise_y = within_y.pair_variance / (len(y) - 2) + across.pair_variance / len(x)
    singles = _singles(within_x.rows - across.rows, on_x, noise_x, reference)
    singles = singles + _singles(within_y.rows - across.columns, on_y, noise_y, reference)
    return Estimate(value, _low(value, pairs, singles), _high(value, pairs, singles))


def _of_blocks(a: Features, b: Features, kernel: Kernel, seed: int) -> Estimate:
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    count = block_count(len(a), len(b))
    parts_a = np.array_split(rng.permutation(len(a)), count)
    parts_b = np.array_split(rng.permutation(len(b)), count)
    found = [
        # Sorted, a file is read from its start to its end.
        kernel_mean(_float64(a[np.sort(i)]), _float64(b[np.sort(j)]), kernel)
        for i, j in zip(parts_a, parts_b, strict=True)
    ]
    value = float(np.mean(found))
    half = float(t.ppf(1 - _TAIL, count - 1) * np.std(found, ddof=1) / np.sqrt(count))
    return Estimate(value, value - half, value + half)


def _float64(features: Features) -> Array:
    return np.asarray(features, dtype=np.float64)


def _within_mean(x: Array, kernel: Kernel) -> float:
    """Return the mean of the kernel within a set, over all pairs of different images."""
    total = 0.0
    for rows, part in _kernel_blocks(x, x, kernel):
        total += float(
            part.sum() - part[np.arange(len(part)), np.arange(rows.start, rows.stop)].sum()
        )
    return total / (len(x) * (len(x) - 1))


def _across_mean(x: Array, y: Array, kernel: Kernel) -> float:
    total = sum(float(part.sum()) for _, part in _kernel_blocks(x, y, kernel))
    return total / (len(x) * len(y))


def _multipliers(rng: np.random.Generator, draws: int, count: int) -> Array:
    """Return (draws, count) multipliers of mean 0, variance 1 and third moment 1.

    The third moment carries the skew of the data over to the draws.

    Source: Mammen, Ann Stat 21 (1993), the two-point distribution.
    """
    root = np.sqrt(5.0)
    first = rng.random((draws, count)) < (root + 1) / (2 * root)
    return np.asarray(np.where(first, (1 - root) / 2, (1 + root) / 2), dtype=np.float64)


def _within(x: Array, multipliers: Array, kernel: Kernel = polynomial) -> _Part:
    """Measure the kernel matrix of one set, leaving out each image with itself."""
    n = len(x)
    total = np.zeros(n)
    squares = 0.0
    form = np.zeros(len(multipliers))
    for rows, part in _kernel_blocks(x, x, kernel):
        part[np.arange(len(part)), np.arange(rows.start, rows.stop)] = 0
        total[rows] = part.sum(axis=1)
        squares += float(np.vdot(part, part))
        form += np.einsum("dn,dn->d", multipliers @ part.T, multipliers[:, rows])
    # U-centring, kernel - r_i - r_j + g off the diagonal, by the sums alone.
    r = total / (n - 2)
    g = float(total.sum()) / ((n - 1) * (n - 2))
    centred_squares = squares - 2 * (n - 2) * float(r @ r) + (n - 1) * (n - 2) * g**2
    whole, own = multipliers.sum(axis=1), np.square(multipliers)
    form += -2 * ((multipliers @ r) * whole - own @ r) + g * (whole**2 - own.sum(axis=1))
    return _Part(
        mean=float(total.sum()) / (n * (n - 1)),
        rows=r,
        columns=r,
        pair_variance=max(0.0, centred_squares / (n * (n - 3))),
        # Centring took degrees of freedom; the root gives the draws their variance back.
        pairs=form * np.sqrt((n - 1) / (n - 3)) / (n * (n - 1)),
    )


def _across(x: Array, y: Array, on_x: Array, on_y: Array, kernel: Kernel = polynomial) -> _Part:
    """Measure the kernel matrix from one set to the other."""
    n, m = len(x), len(y)
    rows_mean = np.zeros(n)
    columns_sum = np.zeros(m)
    squares = 0.0
    form = np.zeros(len(on_x))
    for rows, part in _kernel_blocks(x, y, kernel):
        rows_mean[rows] = part.mean(axis=1)
        columns_sum += part.sum(axis=0)
        squares += float(np.vdot(part, part))
        form += np.einsum("dm,dm->d", on_x[:, rows] @ part, on_y)
    r, c = rows_mean, columns_sum / n
    g = float(r.mean())
    centred_squares = squares - m * float(r @ r) - n * float(c @ c) + n * m * g**2
    whole_x, whole_y = on_x.sum(axis=1), on_y.sum(axis=1)
    form += -(on_x @ r) * whole_y - whole_x * (on_y @ c) + g * whole_x * whole_y
    freedom = (n - 1) * (m - 1)
    return _Part(
        mean=g,
        rows=r,
        columns=c,
        pair_variance=max(0.0, centred_squares / freedom),
        pairs=form / np.sqrt(n * m * freedom),
    )


def _kernel_blocks(x: Array, y: Array, kernel: Kernel) -> Iterator[tuple[slice, Array]]:
    """Yield the kernel of some rows of x with all of y, (rows, m) at a time."""
    for rows in blocks(len(x), _BLOCK):
        yield rows, kernel(x[rows], y)


def _singles(reach: Array, multipliers: Array, noise: float, reference: float) -> Array:
    """Return draws, (draws,), of the sum over single images, at a distance of one.

    `noise` is how much the reach varies by the pairs in it alone; what is left is its own.
    """
    reach = reach - reach.mean()
    squares = float(reach @ reach)
    own = squares / (len(reach) - 1) - noise
    if own <= 0 or reference <= 0:
        return np.zeros(len(multipliers))
    unit = reach / np.sqrt(squares / len(reach))
    return np.asarray(2 * np.sqrt(own / reference) * (multipliers @ unit) / len(reach))


def _low(value: float, pairs: Array, singles: Array) -> float:
    """Return the smallest distance whose draws reach up to the value."""
    if value <= max(0.0, _reached(0.0, pairs, singles, 1 - _TAIL)):
        # Nothing contradicts a distance of zero; how far below is told by the pairs alone.
        return min(value, value - float(np.quantile(pairs, 1 - _TAIL)))
    low, high = 0.0, value
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _reached(middle, pairs, singles, 1 - _TAIL) < value:
            low = middle
        else:
            high = middle
    return low


def _high(value: float, pairs: Array, singles: Array) -> float:
    """Return the largest distance whose draws reach down to the value."""
    low = max(value, 0.0)
    plain = value - float(np.quantile(pairs, _TAIL))
    if _reached(low, pairs, singles, _TAIL) > value:
        return max(value, plain)  # an estimate so far below zero that no distance explains it
    high = max(low, plain) + 1e-12
    while _reached(high, pairs, singles, _TAIL) <= value:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _reached(middle, pairs, singles, _TAIL) <= value:
            low = middle
        else:
            high = middle
    return high


def _reached(distance: float, pairs: Array, singles: Array, share: float) -> float:
    """Return the quantile of estimates to expect at a true distance."""
    return distance + float(np.quantile(pairs + np.sqrt(distance) * singles, share))
