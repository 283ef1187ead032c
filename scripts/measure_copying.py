"""How many planted copies of training cells are found, and how many are called so falsely?

    python -m scripts.measure_copying CORPUS SYNTHETIC [--copies 100]

Training cells are altered in the view of the synthetic corpus and searched among all of them, with
the test cells as the baseline; then shares of copies are planted among validation cells, which copy
nothing. Last, the membership area of what was drawn. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.corpus import load_corpus
from curation.pixels import Pixels
from curation.progress import silent
from scripts.altered_cells import blurred, cropped, jpeg, levels, turned
from synth.evaluate import EvaluateConfig, check_pair
from synth.load_sides import load_sides
from synth.measure.membership import (
    membership_auc,
    membership_floor,
    suspects,
    turned_correlations,
)
from synth.measure.memorisation import COPY_CORRELATION, prepare
from synth.measure.nearest_pixels import find_copies
from synth.measure.sides import Sides
from synth.measure.turned import turned_image

Images = NDArray[np.uint8]
Alter = Callable[[Pixels, np.random.Generator], Pixels]
SHARES = 0.0, 0.01, 0.1, 0.5
_HOSTS = 1_000


def shifted(pixels: Pixels, px: int) -> Pixels:
    """Return the picture moved to the right and up; what is left free mirrors the edge."""
    warp = np.array([[1, 0, px], [0, 1, -px]], np.float32)
    size = pixels.shape[1], pixels.shape[0]
    return np.asarray(cv2.warpAffine(pixels, warp, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def jittered(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture with each channel changed by up to 10 %, and lifted by up to 10 levels."""
    red, green, blue = rng.uniform(0.9, 1.1, 3)
    return levels(pixels, (red, green, blue), rng.uniform(-10, 10))


def noisy(pixels: Pixels, rng: np.random.Generator, spread: float) -> Pixels:
    """Return the picture with noise of so many levels."""
    return np.clip(pixels + rng.normal(0, spread, pixels.shape), 0, 255).astype(np.uint8)


def somehow(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture in another of the 8 orientations."""
    return turned_image(pixels, int(rng.integers(1, 8)))


def everything(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture turned, shifted by 2 px, with other colours, recompressed."""
    return jpeg(jittered(shifted(somehow(pixels, rng), 2), rng), 75)


ALTERATIONS: Mapping[str, Alter] = {
    "none": lambda p, _: p,
    "turned by 90° or mirrored": somehow,
    "JPEG 75": lambda p, _: jpeg(p, 75),
    "JPEG 50": lambda p, _: jpeg(p, 50),
    "shifted 1 px": lambda p, _: shifted(p, 1),
    "shifted 2 px": lambda p, _: shifted(p, 2),
    "shifted 4 px": lambda p, _: shifted(p, 4),
    "shifted 6 px": lambda p, _: shifted(p, 6),
    "shifted 10 px": lambda p, _: shifted(p, 10),
    "colour jitter 10 %": jittered,
    "blurred 1 px": lambda p, _: blurred(p, 360 / p.shape[0]),
    "noise of 16 levels": lambda p, rng: noisy(p, rng, 16),
    "noise of 30 levels": lambda p, rng: noisy(p, rng, 30),
    "cropped 10 %, enlarged": lambda p, _: cropped(p, 0.1),
    "turned 15°": lambda p, _: turned(p, 15),
    "turned 45°": lambda p, _: turned(p, 45),
    "turned, shifted 2 px, jitter, JPEG 75": everything,
}
_PLANTED = ("turned by 90° or mirrored", "JPEG 75", "shifted 4 px", "colour jitter 10 %",
            "turned, shifted 2 px, jitter, JPEG 75")  # fmt: skip


def recall(train: Images, held: Images, count: int) -> dict[str, Any]:
    """Return what share of altered training cells is found, by each alteration."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(train))[:count]
    altered = [np.stack([alter(train[row], rng) for row in rows]) for alter in ALTERATIONS.values()]
    started = time.process_time()
    found = find_copies(np.concatenate(altered), train, held)
    table = {}
    for place, name in enumerate(ALTERATIONS):
        part = slice(place * count, (place + 1) * count)
        table[name] = {
            "found": float(found.copied[part].mean()),
            "by correlation alone": float(
                (found.drawn.correlation[part] >= COPY_CORRELATION).mean()
            ),
        }
    return {
        "altered": table, "each": count, "training cells": len(train), "baseline": len(held),
        "baseline like copies": int(found.held.like_a_copy.sum()),
        "cpu_s": time.process_time() - started,
    }  # fmt: skip


def shares(train: Images, held: Images, hosts: Images) -> list[dict[str, Any]]:
    """Return how many copies are found where a share of copies stands among cells that are none."""
    rng = np.random.default_rng(1)
    hosts = hosts[rng.permutation(len(hosts))[:_HOSTS]]
    table = []
    for share in SHARES:
        images, count = hosts.copy(), round(share * len(hosts))
        for place, row in enumerate(rng.permutation(len(train))[:count]):
            alter = ALTERATIONS[_PLANTED[place % len(_PLANTED)]]
            images[place] = alter(train[row], rng)
        found = find_copies(images, train, held)
        table.append({
            "planted": count, "found": int(found.copied[:count].sum()),
            "false": int(found.copied[count:].sum()), "of": len(hosts) - count,
            "median correlation": float(np.median(found.drawn.correlation)),
        })  # fmt: skip
    return table


def drawn(sides: Sides, splits: int) -> dict[str, Any]:
    """Return the copies among what was drawn, and what it gives away by pixels."""
    found = find_copies(sides.drawn.images, sides.train.images, sides.held.images)
    chosen = suspects(sides.train.labels, sides.held.labels, sides.drawn.labels, most=200, seed=0)
    labels = [sides.train.labels[row] for row in chosen.members]
    members, others, spare, made = (
        prepare(images) for images in (
            sides.train.images[chosen.members], sides.held.images[chosen.others],
            sides.train.images[chosen.spare], sides.drawn.images,
        )
    )  # fmt: skip
    area = membership_auc(
        turned_correlations(members, made).max(axis=1),
        turned_correlations(others, made).max(axis=1), labels,
    )  # fmt: skip
    floor = membership_floor(
        turned_correlations(members, spare), turned_correlations(others, spare), labels,
        stand_ins=len(made), splits=splits, seed=0,
    )  # fmt: skip
    return {
        "drawn": len(made), "copied": int(found.copied.sum()), "held-out": len(sides.held),
        "held-out like copies": int(found.held.like_a_copy.sum()),
        "membership": asdict(area), "floor": asdict(floor), "cells a side": len(labels),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--copies", type=int, default=100, help="of each alteration")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    real, synthetic = load_corpus(given.corpus), load_corpus(given.synthetic)
    config = EvaluateConfig(held_out="validation+test")
    sides, _, _ = load_sides(real, synthetic, check_pair(real, synthetic), config, silent)
    # Validation cells come first.
    validation = real.manifest.splits["validation"]
    hosts, held = sides.held.images[:validation], sides.held.images[validation:]
    found = {
        "recall": recall(sides.train.images, held, given.copies),
        "shares": shares(sides.train.images, held, hosts),
        "drawn": drawn(sides, config.floor_splits),
    }
    print(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
