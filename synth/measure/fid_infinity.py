"""The Fréchet distance that endless images would have, extrapolated from those there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features_pair import Features, check_pair
from .frechet import frechet_of_moments
from .frechet_subsets import frechet_of_subsets, inner_products
from .half_samples import half_widths
from .kernel import Estimate
from .moments import Moments, merged, moments

INFINITY_NEEDS = 1_500
"""Images a side under which the extrapolation still keeps much of the bias: it is not linear yet.

Measured on Gaussians with the moments of Inception features of blood cells: docs/measurements.md.
"""

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the images at which the distance is taken; below half of them it is far from linear."""

_DRAWS = 4  # of each share but the last, where subsets are cheap
_HALVES = 20
_HALF_IMAGES = 500

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frechet:
    """The distance at this number of images, and the extrapolated one.

    The interval of the first holds what as many other images would give, bias and all.
    """

    plain: Estimate
    infinity: Estimate


def frechet_estimates(a: Features, b: Features, *, seed: int = 0) -> Frechet:
    """Return the Fréchet distance of (n, d) and (m, d) features, plain and at endless images.

    The distance of random subsets of both sides grows as a line in one over their size; where the
    line meets zero is the value. The intervals are from random halves of the images.

    Source: Chong and Forsyth, Effectively Unbiased FID, CVPR 2020, section 4.

    Raises: MeasurementError where a side has fewer than eight rows, where the columns differ in
    number, or where a value is not finite.
    """
    check_pair(a, b, least=8)
    n, m = len(a), len(b)
    if max(n, m) <= a.shape[1]:
        plain, infinity = _of_products(inner_products(np.concatenate([a, b])), n, m, seed)
    else:
        plain, infinity = _of_moments(a, b, seed)
    half_plain, half_infinity = _half_widths(a, b, seed)
    return Frechet(
        Estimate(plain, max(0.0, plain - half_plain), plain + half_plain),
        Estimate(infinity, infinity - half_infinity, infinity + half_infinity),
    )


def intercept(sizes: NDArray[np.integer], distances: Array) -> float:
    """Return where the line through distances, against one over their sizes, meets zero."""
    slope = np.polynomial.Polynomial.fit(1 / np.asarray(sizes, dtype=np.float64), distances, 1)
    return float(slope(0.0))


def _of_products(products: Array, n: int, m: int, seed: int) -> tuple[float, float]:
    first, second = np.arange(n), np.arange(n, n + m)
    plain = frechet_of_subsets(products, first, second)
    rng = np.random.default_rng(seed)
    return plain, _extrapolated(products, first, second, plain, _DRAWS, rng)


def _extrapolated(
    products: Array, first: Rows, second: Rows, plain: float, draws: int, rng: np.random.Generator
) -> float:
    sizes, distances = [min(len(first), len(second))] * draws, [plain] * draws
    for share in SHARES[:-1] * draws:
        some = rng.permutation(first)[: round(share * len(first))]
        others = rng.permutation(second)[: round(share * len(second))]
        sizes.append(min(len(some), len(others)))
        distances.append(frechet_of_subsets(products, some, others))
    return intercept(np.array(sizes), np.array(distances))


def _of_moments(a: Features, b: Features, seed: int) -> tuple[float, float]:
    """Extrapolate where images outnumber features: each subset is the last one and some more."""
    rng = np.random.default_rng(seed)
    order_a, order_b = rng.permutation(len(a)), rng.permutation(len(b))
    so_far_a: Moments | None = None
    so_far_b: Moments | None = None
    sizes, distances = [], []
    done_a = done_b = 0
    for share in SHARES:
        upto_a, upto_b = round(share * len(a)), round(share * len(b))
        so_far_a = _more(so_far_a, a, np.sort(order_a[done_a:upto_a]))
        so_far_b = _more(so_far_b, b, np.sort(order_b[done_b:upto_b]))
        done_a, done_b = upto_a, upto_b
        sizes.append(min(upto_a, upto_b))
        distances.append(frechet_of_moments(so_far_a, so_far_b))
    return distances[-1], intercept(np.array(sizes), np.array(distances))


def _more(so_far: Moments | None, features: Features, rows: Rows) -> Moments:
    found = moments(features, rows)
    return found if so_far is None else merged([so_far, found])


def _half_widths(a: Features, b: Features, seed: int) -> Array:
    """Return half the intervals of the distance and of the extrapolated one, (2,)."""
    rng = np.random.default_rng(seed)

    def statistic(of_a: Rows, of_b: Rows) -> Array:
        products = inner_products(np.concatenate([a[of_a], b[of_b]]))
        first, second = np.arange(len(of_a)), np.arange(len(of_a), len(of_a) + len(of_b))
        plain = frechet_of_subsets(products, first, second)
        return np.array([plain, _extrapolated(products, first, second, plain, 1, rng)])

    return half_widths(statistic, len(a), len(b), seed=seed, most=_HALF_IMAGES, halves=_HALVES)
