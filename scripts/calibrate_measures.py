"""Whether measures say what they should: on real cells against real ones, and on damaged ones.

    python scripts/calibrate_measures.py out/pbc --inception ../shared/weights --out out/calibration

Two tables. How often the interval of KID covers 0 between two disjoint draws of real cells: it
should 95 times in 100. And a matrix: held-out cells against other real cells of the same classes,
damaged in graded ways, with what every measure says of each. Images are at the side and crop that
the packaged generator draws. Features are kept below --out, so an interrupted run goes on.

A measure is one more function in MEASURES, and one more name in COLUMNS.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curation.cells import Split
from curation.corpus import Corpus, load_corpus
from curation.manifest import View
from curation.output import write_whole
from curation.pixels import decode_rgb
from curation.progress import silent
from scripts.damaged_cells import Damage, damages
from scripts.held_out import in_turn
from scripts.kept_work import KeptWork
from synth.contact_sheet import readable
from synth.measure.config import EvaluateConfig
from synth.measure.coverage import measure_coverage
from synth.measure.distances import measure_distances
from synth.measure.features import PIPELINE, extractor_text
from synth.measure.inception import find_inception
from synth.measure.kernel import kernel_distance
from synth.measure.measurement import ALL_CLASSES, Measurement
from synth.measure.proportion import share_interval
from synth.measure.sides import Cells, Context, Found, Sides
from synth.view import apply_view

Features = NDArray[np.float32]

MEASURES: tuple[Callable[[Sides, Context], Found], ...] = (measure_distances, measure_coverage)
COLUMNS = ("kid", "fid", "precision", "recall", "density", "coverage", "vendi_ratio")
"""Measures that the matrix has a column for, by name; only what is found is shown.

FID is shown as a multiple of its floor.
"""

FEWEST_OF_CLASS = 76
VIEW = View(side=64, crop=2 / 3)


@dataclass(frozen=True)
class Covered:
    """Of so many pairs of disjoint draws of n real cells, how many KID intervals covered 0."""

    n: int
    draws: int
    covered: int
    above: int
    below: int

    @property
    def text(self) -> str:
        """A row of the table."""
        low, high = share_interval(self.covered, self.draws)
        return (
            f"| {self.n} | {self.draws} | {self.covered / self.draws:.3f} "
            f"({low:.3f} to {high:.3f}) | {self.above} | {self.below} |"
        )


@dataclass(frozen=True)
class Entry:
    """What one measure says of one damage: of all classes pooled, and in how many it misses."""

    value: float
    floor: float | None
    verdict: str
    classes_missed: int
    classes: int

    @property
    def text(self) -> str:
        """A cell of the matrix: bold where the goal is missed, and in how many classes it is."""
        value = f"{self.value:.3f}"
        shown = f"**{value}**" if self.verdict == "missed" else value
        return f"{shown} · {self.classes_missed}" if self.classes else shown


@dataclass(frozen=True)
class Row:
    """What all measures say of one damage."""

    kind: str
    level: str
    entries: dict[str, Entry]


def main() -> None:
    """Measure, print the tables, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("real", type=Path, help="a curated corpus of real cells")
    parser.add_argument("--inception", type=Path, help="folder of the Inception network")
    parser.add_argument("--per-class", type=int, default=24, help="cells a class and side")
    parser.add_argument("--draws", type=int, default=200, help="pairs of draws of real cells")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[50, 100, 200, 500], help="cells a draw"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    corpus = load_corpus(args.real)
    weights = find_inception(args.inception)
    kept = KeptWork(args.out, weights)
    context = Context(
        features=lambda cells: kept.features(cells.images),
        extractor=extractor_text(weights),
        pipeline=f"central two thirds at {VIEW.side} px; {PIPELINE}",
        reference=f"{corpus.fingerprint} test",
        train_reference=f"{corpus.fingerprint} train",
        config=EvaluateConfig(),
        progress=silent,
    )
    held, source, spare, train = real_cells(corpus, args.per_class)
    reserve = reserve_cells(corpus, held.labels)
    pool = np.concatenate([context.features(cells) for cells in (held, source, spare, train)])
    covered = [coverage_of_zero(pool, n, args.draws) for n in args.sizes if 2 * n <= len(pool)]
    rows = []
    for damage in damages(source, train, joined(spare, reserve)):
        rows.append(matrix_row(damage, held, train, context))
        print(damage.kind, damage.level, file=sys.stderr)
    text = markdown(covered, rows, len(pool), len(held))
    print(text)
    found = {"pool": len(pool), "cells_a_side": len(held), "corpus": corpus.fingerprint,
             "covered": [asdict(each) for each in covered],
             "matrix": [asdict(row) for row in rows]}  # fmt: skip
    write_whole(args.out / "calibration.md", text.encode())
    write_whole(args.out / "calibration.json", json.dumps(found, indent=1).encode())


def real_cells(corpus: Corpus, per_class: int) -> tuple[Cells, Cells, Cells, Cells]:
    """Return held-out cells, as many others of the test split, what is left, and training cells.

    Of the classes with enough test cells; the order within a class is drawn.
    """
    labels = np.array(corpus.labels(["test"]), dtype=object)
    known = sorted(set(labels))
    classes = [label for label in known if (labels == label).sum() >= FEWEST_OF_CLASS]
    turn = in_turn(labels, known, 0)
    of_class = {label: [row for row in turn if labels[row] == label] for label in classes}
    bounds = ((0, per_class), (per_class, 2 * per_class), (2 * per_class, FEWEST_OF_CLASS))
    held, source, spare = (
        _cells(corpus, "test", [row for label in classes for row in of_class[label][low:high]])
        for low, high in bounds
    )
    labels = np.array(corpus.labels(["train"]), dtype=object)
    first = [row for label in classes for row in np.flatnonzero(labels == label)[:per_class]]
    return held, source, spare, _cells(corpus, "train", first)


def reserve_cells(corpus: Corpus, wanted: Sequence[str]) -> Cells:
    """Return validation cells of the classes wanted, so many of each that some can stand in."""
    labels = np.array(corpus.labels(["validation"]), dtype=object)
    classes = dict.fromkeys(wanted)
    rows = [row for label in classes for row in np.flatnonzero(labels == label)[:FEWEST_OF_CLASS]]
    return _cells(corpus, "validation", rows)


def joined(first: Cells, second: Cells) -> Cells:
    """Return the cells of both, one set after the other."""
    return Cells(
        np.concatenate([first.images, second.images]),
        first.labels + second.labels,
        first.ids + second.ids,
        first.subjects + second.subjects,
    )


def coverage_of_zero(pool: Features, n: int, draws: int) -> Covered:
    """Draw two disjoint sets of n again and again, and count the KID intervals that cover 0."""
    rng = np.random.default_rng(0)
    above = below = 0
    for seed in range(draws):
        rows = rng.permutation(len(pool))
        found = kernel_distance(pool[rows[:n]], pool[rows[n : 2 * n]], seed=seed)
        above += found.low > 0
        below += found.high < 0
    return Covered(n, draws, draws - above - below, above, below)


def matrix_row(damage: Damage, held: Cells, train: Cells, context: Context) -> Row:
    """Return what every measure says of damaged cells against held-out ones."""
    sizes = {label: held.labels.count(label) for label in dict.fromkeys(held.labels)}
    sides = Sides(held, train, damage.cells, sizes)
    found = [one for measure in MEASURES for one in measure(sides, context).measurements]
    return Row(damage.kind, damage.level, entries(found))


def entries(found: Sequence[Measurement]) -> dict[str, Entry]:
    """Return name -> what the measure says, of those that have a column."""
    shown = {}
    for name in COLUMNS:
        of_name = {one.label: one for one in found if one.name == name}
        if ALL_CLASSES not in of_name:
            continue
        pooled = of_name.pop(ALL_CLASSES)
        missed = sum(_verdict(one) == "missed" for one in of_name.values())
        value = pooled.value / pooled.floor if name == "fid" and pooled.floor else pooled.value
        shown[name] = Entry(value, pooled.floor, _verdict(pooled), missed, len(of_name))
    return shown


def markdown(covered: Sequence[Covered], rows: Sequence[Row], pool: int, n: int) -> str:
    """Return both tables."""
    names = list(dict.fromkeys(name for row in rows for name in row.entries))
    lines = [
        f"KID between two disjoint draws of n out of {pool:,} real cells:",
        "",
        "| n | draws | share that covers 0 | interval above 0 | below 0 |",
        "|---|---|---|---|---|",
        *(each.text for each in covered),
        "",
        f"{n} held-out cells against as many others, damaged. Bold: the goal is missed, all "
        "classes pooled; after the dot: in how many classes it is. FID is over its floor.",
        "",
        "| damage | " + " | ".join(map(readable, names)) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in rows:
        shown = [row.entries[name].text if name in row.entries else "–" for name in names]
        lines.append(f"| {row.kind} {row.level}".rstrip() + " | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _verdict(one: Measurement) -> str:
    # Here it is asked what a number shows, also where too few cells make it greyed out.
    return one.model_copy(update={"reliable": True}).verdict


def _cells(corpus: Corpus, split: Split, rows: Sequence[int]) -> Cells:
    labels = corpus.labels([split])
    wanted = np.zeros(len(labels), bool)
    wanted[list(rows)] = True
    images = {
        int(row): apply_view(decode_rgb(data), VIEW)
        for row, data in zip(
            np.flatnonzero(wanted), compress(corpus.images([split]), wanted), strict=True
        )
    }
    return Cells(
        np.stack([images[int(row)] for row in rows]),
        tuple(labels[row] for row in rows),
        tuple(f"{split} {row}" for row in rows),
        (None,) * len(rows),
    )


if __name__ == "__main__":
    main()
