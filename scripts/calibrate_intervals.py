"""How honest the intervals of distances and coverage are, and how much bias FID at infinity keeps.

    python scripts/calibrate_intervals.py real.npy drawn.npy --sizes 30 100 200 --draws 60

Takes features of real and of drawn cells, (n, d) each. First table: pairs of sets are drawn again
and again, and it is counted how often an interval holds the mean of the measure over all of them:
intervals from halves, from the usual bootstrap, and Wilson's for a share of images. Second table:
Gaussians with the moments of the features, whose distance is known, and what FID and FID at
infinity make of n images of each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synth.measure.fid_infinity import frechet_estimates
from synth.measure.frechet import frechet_of_moments
from synth.measure.frechet_subsets import frechet_of_subsets, inner_products
from synth.measure.half_samples import half_widths
from synth.measure.moments import factor, moments
from synth.measure.neighbours import NAMES, neighbours, squared_distances
from synth.measure.proportion import share_interval
from synth.measure.vendi import cosines, vendi

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Draw = Callable[[np.random.Generator, int], Array]

MEASURED = (*NAMES, "vendi_ratio", "fid")
_K = 5
_BOOTSTRAPS = 40
_HALVES = 30


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("real", type=Path, help="features of real cells, .npy")
    parser.add_argument("drawn", type=Path, help="features of drawn cells, .npy")
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100, 200])
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--infinity-sizes", type=int, nargs="+", default=[200, 400, 800, 1_000])
    parser.add_argument("--infinity-draws", type=int, default=3)
    args = parser.parse_args()
    real, drawn = np.load(args.real), np.load(args.drawn)
    print("| n | pair | measure | mean | halves | bootstrap | Wilson |\n" + "|---" * 7 + "|")
    for n in args.sizes:
        for pair, draw in (("real, real", of_one(real)), ("real, drawn", of_two(real, drawn))):
            for row in covered(draw, n, args.draws):
                print(f"| {n} | {pair} | {row}", flush=True)
    print("\n| n | pair | truth | FID | FID at infinity | half its interval |\n" + "|---" * 6 + "|")
    for n in args.infinity_sizes:
        for pair, other in (("real, real", real), ("real, drawn", drawn)):
            print(f"| {n} | {pair} | {bias(real, other, n, args.infinity_draws)}", flush=True)


def of_one(features: Array) -> Draw:
    """Draw two disjoint sets of n of one population, one after the other."""
    return lambda rng, n: features[rng.permutation(len(features))[: 2 * n]]


def of_two(first: Array, second: Array) -> Draw:
    """Draw a set of n of each of two populations."""
    return lambda rng, n: np.concatenate(
        [first[rng.permutation(len(first))[:n]], second[rng.permutation(len(second))[:n]]]
    )


def covered(draw: Draw, n: int, draws: int) -> list[str]:
    """Return a row for each measure: its mean and how often each kind of interval holds that."""
    rng = np.random.default_rng(n)
    values, halves, low, high = [], [], [], []
    for seed in range(draws):
        statistic, whole = measures(draw(rng, n)), np.arange(n)
        values.append(statistic(whole, whole))
        halves.append(half_widths(statistic, n, n, seed=seed, halves=_HALVES))
        again = [statistic(rng.integers(0, n, n), rng.integers(0, n, n))
                 for _ in range(_BOOTSTRAPS)]  # fmt: skip
        low.append(np.quantile(again, 0.025, axis=0))
        high.append(np.quantile(again, 0.975, axis=0))
    value, mean = np.array(values), np.mean(values, axis=0)
    by_halves = (np.abs(value - mean) <= np.array(halves)).mean(axis=0)
    by_bootstrap = ((np.array(low) <= mean) & (mean <= np.array(high))).mean(axis=0)
    rows = []
    for place, name in enumerate(MEASURED):
        wilson = "–"
        if name in ("precision", "recall", "coverage"):
            found = [share_interval(round(each * n), n) for each in value[:, place]]
            wilson = f"{np.mean([least <= mean[place] <= most for least, most in found]):.2f}"
        rows.append(
            f"{name} | {mean[place]:.3f} | {by_halves[place]:.2f} | {by_bootstrap[place]:.2f} | "
            f"{wilson} |"
        )
    return rows


def measures(pool: Array) -> Callable[[Rows, Rows], Array]:
    """Return the function from rows of the pool's halves to the values of all measures."""
    n = len(pool) // 2
    distances, similar, products = squared_distances(pool), cosines(pool), inner_products(pool)

    def statistic(first: Rows, second: Rows) -> Array:
        second = second + n
        near = astuple(neighbours(distances, first, second, _K))
        ratio = vendi(similar, second) / vendi(similar, first)
        return np.array([*near, ratio, frechet_of_subsets(products, first, second)])

    return statistic


def bias(first: Array, second: Array, n: int, draws: int) -> str:
    """Return the true distance of two Gaussians, and what is found of it from n of each."""
    of_first, of_second = moments(first), moments(second)
    truth = 0.0 if first is second else frechet_of_moments(of_first, of_second)
    roots = factor(of_first), factor(of_second)
    rng = np.random.default_rng(n)
    found = []
    for seed in range(draws):
        sides = [
            rng.standard_normal((n, len(root))) @ root + of.mean
            for root, of in zip(roots, (of_first, of_second), strict=True)
        ]
        found.append(frechet_estimates(*sides, seed=seed))
    plain = np.mean([each.plain.value for each in found])
    infinity = np.mean([each.infinity.value for each in found])
    half = np.mean([each.infinity.high - each.infinity.value for each in found])
    return f"{truth:.1f} | {plain:.1f} | {infinity:.1f} | {half:.1f} |"


if __name__ == "__main__":
    main()
