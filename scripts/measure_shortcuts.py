"""What trivial features tell apart: real cells and drawn ones, damaged ones, and real ones again.

    python -m scripts.measure_shortcuts CORPUS SYNTHETIC [--per-class 40] [--halves 60]

Every area is between held-out cells and others of the same classes, as `evaluate` measures it.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curation.corpus import load_corpus
from curation.pixels import Pixels
from curation.progress import silent
from scripts.damaged_cells import blurred, recompressed, turned_hue
from synth.evaluate import EvaluateConfig, check_pair
from synth.load_sides import load_sides
from synth.measure.floors import halves
from synth.measure.pixel_scores import PIXEL_FOLDS, pixel_scores
from synth.measure.shortcuts import TOGETHER, Apart, in_class_order, tell_apart
from synth.measure.sides import Cells
from synth.measure.trivial_features import Images, Rows, trivial_features
from synth.measure.two_sample import curved_scores, told_apart

Tables = Mapping[str, Rows]


def repeated_edge(image: Pixels) -> Pixels:
    """Return the image whose outermost px repeat those beside them."""
    return np.pad(image[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), mode="edge")


DAMAGES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "none": lambda image: image,
    "JPEG 90": lambda image: recompressed(image, 90),
    "JPEG 60": lambda image: recompressed(image, 60),
    "blur 0.5 px": lambda image: blurred(image, 0.5),
    "hue 4°": lambda image: turned_hue(image, 4),
    "hue 12°": lambda image: turned_hue(image, 12),
    "repeated edge": repeated_edge,
}


def tables(images: Images) -> Tables:
    """Return every family of trivial features, and all together."""
    found = trivial_features(images)
    return found | {TOGETHER: np.concatenate(list(found.values()), axis=1)}


def damaged(held: Tables, train: Cells) -> dict[str, dict[str, float]]:
    """Return damage -> family -> area between held-out and damaged training cells."""
    found = {}
    for name, damage in DAMAGES.items():
        there = tables(np.stack([damage(image) for image in train.images]))
        found[name] = {
            family: told_apart(rows, there[family], train.labels, train.labels, curved_scores).value
            for family, rows in held.items()
        }
    return found


def covered(held: Tables, train: Tables, cells: Cells, sizes: list[int], count: int) -> Any:
    """Return family -> median area between random halves of real cells, and intervals with 0.5."""
    found = {}
    for family in held:
        pool = np.concatenate([held[family], train[family]])
        areas = []
        for first in halves(sizes, count, 1)[1:]:
            one, other = (pool[in_class_order(r, cells.labels, sizes)] for r in (first, ~first))
            areas.append(told_apart(one, other, cells.labels, cells.labels, curved_scores))
        found[family] = {
            "median": float(np.median([area.value for area in areas])),
            "covered": sum(area.low <= 0.5 <= area.high for area in areas), "of": count,
        }  # fmt: skip
    return found


def as_numbers(found: Apart) -> dict[str, float]:
    """Return an area with its interval and its floor."""
    return {
        "area": found.area.value, "low": found.area.low, "high": found.area.high,
        "floor": found.floor_value, "floor_low": found.floor_interval[0],
        "floor_high": found.floor_interval[1],
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--per-class", type=int, default=40)
    parser.add_argument("--halves", type=int, default=60)
    given = parser.parse_args()
    real, synthetic = load_corpus(given.corpus), load_corpus(given.synthetic)
    config = EvaluateConfig(held_out="validation+test", max_per_class=given.per_class)
    sides, _, _ = load_sides(real, synthetic, check_pair(real, synthetic), config, silent)
    held, train, drawn = (sides.equal(cells) for cells in (sides.held, sides.train, sides.drawn))
    sizes = list(sides.sizes.values())
    seen = [tables(cells.images) for cells in (held, train, drawn)]
    started = time.process_time()
    found: dict[str, Any] = {"cells a side": len(held), "drawn": {}}
    for family in seen[0]:
        found["drawn"][family] = as_numbers(tell_apart(
            seen[0][family], seen[1][family], seen[2][family], held.labels, sizes, curved_scores,
            splits=config.floor_splits, seed=0,
        ))  # fmt: skip
    found["trivial_cpu_s"] = time.process_time() - started
    started = time.process_time()
    found["drawn"]["pixels"] = as_numbers(tell_apart(
        held.images, train.images, drawn.images, held.labels, sizes, pixel_scores, splits=0,
        seed=0, parts=PIXEL_FOLDS,
    ))  # fmt: skip
    found["pixels_cpu_s"] = time.process_time() - started
    found["damaged"] = damaged(seen[0], train)
    found["real halves"] = covered(seen[0], seen[1], held, sizes, given.halves)
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
