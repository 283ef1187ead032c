"""What selection keeps and drops on real cells whose faults are known: docs/selection.md.

    python scripts/measure_selection.py CORPUS --side 64 --crop 0.667

Fits on the training split, sets limits on validation, and judges test cells: as they are, with a
wrong label asked, spoilt in several ways, and copies of training cells, turned.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.cells import Split
from curation.codec import common_codec
from curation.corpus import Corpus, load_corpus
from curation.manifest import View
from curation.pixels import decode_rgb
from synth.select import broken, fit_selector
from synth.select_cells import measure_cells
from synth.select_config import SelectConfig
from synth.selector import Selector, score_cells
from synth.view import view_through_codec

Image = NDArray[np.uint8]


def main() -> None:
    """Print one table per kind of fault, and everything as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--crop", type=float, default=2 / 3)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, help="JSON file")
    asked = parser.parse_args()
    corpus = load_corpus(asked.corpus)
    view = View(side=asked.side, crop=asked.crop)
    codec = common_codec(corpus.path, corpus.shards(["train"]))
    started, cpu = time.monotonic(), time.process_time()
    selector = fit_selector(corpus, view, codec, SelectConfig(), cache=asked.cache)
    found: dict[str, object] = {
        "fit_seconds": round(time.monotonic() - started, 1),
        "fit_cpu_seconds": round(time.process_time() - cpu, 1),
        "limits": selector.limits.model_dump(mode="json"),
        "real_loss": selector.real_loss.model_dump(mode="json"),
    }
    print(f"fitted in {found['fit_seconds']} s, {found['fit_cpu_seconds']} CPU s")
    images, labels = _images(corpus, "test", selector), np.array(corpus.labels(["test"]))
    started, cpu = time.monotonic(), time.process_time()
    selector.scores(images, labels.tolist())
    found["cpu_ms_a_cell"] = round(1000 * (time.process_time() - cpu) / len(images), 2)
    print(
        f"load {os.getloadavg()[0]:.1f}; {found['cpu_ms_a_cell']} CPU ms a cell, n = {len(images)}"
    )
    _print_loss(selector)
    found["wrong_label"] = _wrong_labels(selector, images, labels)
    some = np.random.default_rng(0).permutation(len(images))[:500]
    found["spoilt"] = _spoilt(selector, images[some], labels[some])
    found["copies"] = _copies(corpus, selector)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1))


def _images(corpus: Corpus, split: Split, selector: Selector) -> Image:
    return np.stack(
        [
            view_through_codec(decode_rgb(data), selector.view, selector.codec)
            for data in corpus.images([split])
        ]
    )


def _print_loss(selector: Selector) -> None:
    print("\nreal test cells lost: label, n, by rule, any; calibrated on")
    for entry in selector.real_loss.classes:
        limits = selector.limits.of(entry.label)
        print(entry.label, entry.n, entry.broken, f"{entry.any / entry.n:.3f}",
              None if limits is None else (limits.calibrated_on, limits.calibrated,
                                           limits.label_least, limits.realism_least))  # fmt: skip
    n = sum(entry.n for entry in selector.real_loss.classes)
    for rule in selector.real_loss.classes[0].broken:
        lost = sum(entry.broken[rule] for entry in selector.real_loss.classes)
        print(f"{rule}: {lost} of {n}, {lost / n:.4f}")
    lost = sum(entry.any for entry in selector.real_loss.classes)
    print(f"any: {lost} of {n}, {lost / n:.4f}; "
          f"held-out correlation at most {selector.limits.held_out_most}")  # fmt: skip


def _wrong_labels(
    selector: Selector, images: Image, labels: NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Return asked label -> (true label -> share dropped by `label`), every test cell each time."""
    table: dict[str, dict[str, float]] = {}
    cells = measure_cells(images, labels.tolist(), selector.view)
    once = score_cells(cells, selector.learned, selector.training, selector.limits)
    print("\nwrong label asked: dropped by label, by label or unreal; the two least dropped")
    for asked in sorted(set(labels.tolist())):
        wanted = [asked] * len(labels)
        scores = replace(
            once,
            labels=np.array(wanted),
            label_probability=selector.learned.judge.probability(cells.features, wanted),
            realism=selector.learned.realism.score(cells.features, wanted),
        )
        found = broken(scores, selector.limits)
        wrong = labels != asked
        either = (found["label"] | found["unreal"])[wrong]
        others = [str(name) for name in np.unique(labels[wrong])]
        shares = {name: float(found["label"][labels == name].mean()) for name in others}
        table[asked] = {name: round(share, 4) for name, share in shares.items()}
        table[asked]["all"] = round(float(found["label"][wrong].mean()), 4)
        table[asked]["all, by label or unreal"] = round(float(either.mean()), 4)
        least = sorted(shares.items(), key=lambda item: item[1])[:3]
        print(asked, int(wrong.sum()), f"{table[asked]['all']:.3f}", f"{either.mean():.3f}",
              [(name, round(share, 3)) for name, share in least], flush=True)  # fmt: skip
    return table


def _spoilt(selector: Selector, images: Image, labels: NDArray[np.str_]) -> dict[str, float]:
    generator = np.random.default_rng(0)

    def noise(image: Image, strength: float) -> Image:
        noisy = image + generator.normal(0, strength, image.shape)
        return noisy.clip(0, 255).astype(np.uint8)

    def blur(image: Image, sigma: float) -> Image:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)

    def mixed(image: Image) -> Image:
        other = images[generator.integers(len(images))]
        return np.asarray((image.astype(np.uint16) + other) // 2, np.uint8)

    def halves(image: Image) -> Image:
        joined = image.copy()
        middle = image.shape[1] // 2
        joined[:, middle:] = images[generator.integers(len(images))][:, middle:]
        return joined

    ways: dict[str, Callable[[Image], Image]] = {
        "noise alone": lambda image: generator.integers(0, 256, image.shape, dtype=np.uint8),
        "noise of 8 levels": lambda image: noise(image, 8),
        "noise of 20 levels": lambda image: noise(image, 20),
        "blurred by 1 px": lambda image: blur(image, 1),
        "blurred by 2 px": lambda image: blur(image, 2),
        "red and blue changed": lambda image: np.ascontiguousarray(image[..., ::-1]),
        "mean of two cells": mixed,
        "halves of two cells": halves,
    }
    shares = {}
    print(f"\nspoilt test cells, {len(images)}: dropped by unreal, by any")
    for name, way in ways.items():
        spoilt = np.stack([way(image) for image in images])
        found = broken(selector.scores(spoilt, labels.tolist()), selector.limits)
        shares[name] = round(float(found["unreal"].mean()), 4)
        print(
            f"{name}: {shares[name]:.3f}, {np.logical_or.reduce(list(found.values())).mean():.3f}"
        )
    return shares


def _copies(corpus: Corpus, selector: Selector, count: int = 400) -> dict[str, float]:
    train, labels = _images(corpus, "train", selector), corpus.labels(["train"])
    rows = np.random.default_rng(0).permutation(len(train))[:count]
    generator = np.random.default_rng(1)
    ways: dict[str, Callable[[Image], Image]] = {
        "turned": lambda image: image,
        "turned, noise of 5 levels": lambda image: (image + generator.normal(0, 5, image.shape))
        .clip(0, 255).astype(np.uint8),
        "turned, blurred by 1 px": lambda image: np.asarray(
            cv2.GaussianBlur(image, (0, 0), 1), np.uint8),
        "turned, brighter by 10 levels": lambda image: (image.astype(int) + 10)
        .clip(0, 255).astype(np.uint8),
        "turned, shifted by 1 px": lambda image: np.roll(image, 1, axis=1),
        "turned, shifted by 2 px": lambda image: np.roll(image, 2, axis=1),
    }  # fmt: skip
    shares = {}
    print("\ncopies of training cells: dropped by copy")
    for name, way in ways.items():
        images = [way(turned(train[row], place % 8))
                  for place, row in enumerate(rows)]  # fmt: skip
        found = broken(
            selector.scores(np.stack(images), [labels[row] for row in rows]), selector.limits
        )
        shares[name] = round(float(found["copy"].mean()), 4)
        print(f"{name}: {shares[name]:.3f}, n = {len(rows)}")
    return shares


def turned(image: Image, way: int) -> Image:
    """Return one of the 8 orientations of a square image."""
    rotated = np.rot90(image, way % 4)
    return np.ascontiguousarray(rotated[:, ::-1] if way >= 4 else rotated)


if __name__ == "__main__":
    main()
