"""Fits the weights of the text screen on real crops without text and the same crops with it.

Crops with an even number in each set are fitted on, the others measured. Each goes in three
times: as it is, shrunk, and dimmed, so that neither the size nor the exposure of one laboratory
stands for text. The intercept lets the stated share of crops without text pass.

    python scripts/fit_text_screen.py [--leave-one-out]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from curation.deidentify.text.screen import OFFSET, Cues, cues
from curation.pixels import Pixels
from scripts.planted_text import designs, plant
from scripts.smear_images import crop_sets

Floats = NDArray[np.float64]
PER_SET = 1500
# The share of crops without text that may go to the costly search, by what it costs there:
# as they are, and shrunk or dimmed.
ALLOWED = {
    "pbc 360 px": (0.004, 0.03),
    "pbc 128 px": (0.02, 0.05),
    "chula 224 px": (0.01, 0.02),
    "bccd 150-360 px": (0.01, 0.02),
}
_CLEAN_WEIGHT = 5.0  # letting a clean crop through counts more: there are so many of them
_VARIED_WEIGHT = 0.5


@dataclass(frozen=True)
class Rows:
    """Logarithms of cues (n, 7) of clean and planted crops, with where each came from."""

    clean: Floats
    planted: Floats
    set_name: NDArray[np.str_]
    fitted_on: NDArray[np.bool_]
    varied: NDArray[np.bool_]


def main() -> None:
    """Fit, and print the weights and what they let through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--leave-one-out", action="store_true", help="measure each set by weights of the others"
    )
    options = parser.parse_args()
    rows = measured()
    if options.leave_one_out:
        for name in ALLOWED:
            weights, intercept = fitted(rows, [other for other in ALLOWED if other != name])
            show(rows, name, weights, intercept)
        return
    weights, intercept = fitted(rows, list(ALLOWED))
    for name, weight in zip(Cues._fields, weights, strict=True):
        print(f"{name}={weight:.2f}")
    print(f"intercept {intercept:.2f}")
    for name in ALLOWED:
        show(rows, name, weights, intercept)


def show(rows: Rows, name: str, weights: Floats, intercept: float) -> None:
    """Print what passes of the crops of one set that were not fitted on."""
    for varied in (False, True):
        held_out = (rows.set_name == name) & ~rows.fitted_on & (rows.varied == varied)
        share, recall = (
            np.mean(side[held_out] @ weights + intercept > 0) for side in (rows.clean, rows.planted)
        )
        kind = "varied" if varied else "as is"
        print(
            f"{name:<16} {kind:<7} n {held_out.sum():5}  "
            f"without text {share:.2%}  with {recall:.2%}"
        )


def measured() -> Rows:
    """Measure the cues of every crop in its variants, without and with text."""
    rng = np.random.default_rng(20)
    styles = designs(rng)
    clean, planted, names, even, varied = [], [], [], [], []
    for name, number, original in crop_sets(PER_SET):
        for kind, crop in variants(original, rng):
            found = None
            while found is None:
                found = plant(crop, next(styles), rng)
            clean.append(cues(crop))
            planted.append(cues(found.pixels))
            names.append(name)
            even.append(number % 2 == 0)
            varied.append(kind != "as is")
    logs = [np.log(OFFSET + np.array(side, np.float64)) for side in (clean, planted)]
    return Rows(logs[0], logs[1], np.array(names), np.array(even), np.array(varied))


def variants(crop: Pixels, rng: np.random.Generator) -> Iterator[tuple[str, Pixels]]:
    """Yield a crop as it is, shrunk where it is large, and dimmed."""
    yield "as is", crop
    if min(crop.shape[:2]) > 160:
        side = int(rng.integers(128, min(crop.shape[:2])))
        filters = Image.Resampling.BILINEAR, Image.Resampling.LANCZOS
        small = Image.fromarray(crop).resize((side, side), filters[int(rng.integers(2))])
        yield "shrunk", np.asarray(small, dtype=np.uint8)
    yield "dimmed", (crop * rng.uniform(0.5, 1.0)).astype(np.uint8)


def fitted(rows: Rows, names: list[str]) -> tuple[Floats, float]:
    """Fit weights and intercept on some of the sets, each counting the same."""
    use = rows.fitted_on & np.isin(rows.set_name, names)
    counts = {name: np.sum(use & (rows.set_name == name)) for name in names}
    weight = np.array([1 / counts[name] for name in rows.set_name[use]])
    weight *= np.where(rows.varied[use], _VARIED_WEIGHT, 1)
    weight /= weight.mean()
    both = np.concatenate([rows.clean[use], rows.planted[use]])
    scale = StandardScaler().fit(both)
    target = np.repeat([0, 1], use.sum())
    model = LogisticRegression(max_iter=1000).fit(
        scale.transform(both), target, np.concatenate([_CLEAN_WEIGHT * weight, weight])
    )
    weights = model.coef_[0] / scale.scale_
    return weights, -cut(rows, weights, names)


def cut(rows: Rows, weights: Floats, names: list[str]) -> float:
    """Return the sum above which no set passes more than it may of its crops without text."""
    sums = rows.clean @ weights
    cuts = []
    for name in names:
        for varied, share in enumerate(ALLOWED[name]):
            of = rows.fitted_on & (rows.varied == bool(varied)) & (rows.set_name == name)
            cuts.append(float(np.quantile(sums[of], 1 - share)))
    return max(cuts)


if __name__ == "__main__":
    main()
