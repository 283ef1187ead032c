"""How close splits come to the shares wanted, against scikit-learn's StratifiedGroupKFold.

    cells      the real slides of --cells FOLDER (a metadata.csv with label, slide and field)
    made       populations with log-normal numbers of cells a subject; each subject has its own mix
               of labels; "tied" has slides that several subjects share and verified duplicate pairs

The baseline gets the same groups. It makes equal folds, so the shares 70/15/15 are 14, 3 and 3 of
20 folds, or 5, 1 and 1 of 7 (where there are that many groups); the better of the two counts. Off
is the largest distance from a share wanted, in points of 100; the worst label is that of labels
with at least 50 cells, which can be divided that finely; "over" counts all labels that are more
than 2 points off. The bytes are the peak of numpy's arrays beyond the input, a row. Prints a
table, or one JSON object with --json.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.split import Fractions, related_groups, split_cells
from curation.split_demand import TOLERANCE
from curation.split_groups import KeyColumn
from curation.split_report import split_report

WANTED = Fractions()
_MOST_GROUPS = 6_000
_ENOUGH = 50
Result = TypeVar("Result")


@dataclass(frozen=True)
class Population:
    """Cells to split: a label each, and what they belong to."""

    name: str
    labels: NDArray[np.int64]
    keys: dict[str, KeyColumn]
    edges: NDArray[np.int64] | None = None


def main() -> None:
    """Split each population both ways and show how far off the shares are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=Path, default=Path("../shared/data/chula_wbc"))
    parser.add_argument("--most", type=int, default=1_000_000, help="cells of the largest one")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    rows = [measure(population) for population in populations(options.cells, options.most)]
    if options.as_json:
        print(json.dumps({"tolerance": TOLERANCE, "results": rows}))
        return
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


def populations(cells: Path, most: int) -> Iterator[Population]:
    """Yield the populations, small ones first."""
    if (cells / "metadata.csv").is_file():
        yield real_slides(cells / "metadata.csv")
    for name, subjects, count in (
        ("12 subjects", 12, 600),
        ("40 subjects", 40, 3_000),
        ("150 subjects", 150, 15_000),
        ("600 subjects", 600, 60_000),
        ("5,000 subjects", 5_000, 1_000_000),
        ("100,000 subjects", 100_000, 1_000_000),
    ):
        if count <= most:
            yield made(name, subjects, count)
    if most >= 1_000_000:
        yield tied("tied", 5_000, 1_000_000)


def real_slides(table: Path) -> Population:
    """Return the cells of a metadata table, by slide and field."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = np.unique([row["label"] for row in rows], return_inverse=True)[1]
    keys: dict[str, KeyColumn] = {key: [row[key] for row in rows] for key in ("slide", "field")}
    return Population("real slides", labels.astype(np.int64), keys)


def made(name: str, n_subjects: int, count: int, n_labels: int = 13) -> Population:
    """Return made cells: subjects of log-normal size (sigma 1.2), each with a mix of labels."""
    rng = np.random.default_rng(n_subjects)
    sizes = rng.lognormal(0, 1.2, n_subjects)
    sizes = np.maximum(1, sizes / sizes.sum() * count).astype(int)
    common = rng.dirichlet(np.full(n_labels, 0.5))
    mixes = rng.dirichlet(common * 8 + 0.01, n_subjects)
    labels = np.concatenate(
        [rng.choice(n_labels, size, p=mix) for size, mix in zip(sizes, mixes, strict=True)]
    )
    subjects = np.repeat(np.arange(n_subjects), sizes)
    return Population(name, labels.astype(np.int64), {"subject": _named(subjects)})


def tied(name: str, n_subjects: int, count: int) -> Population:
    """Return made cells in which slides join some subjects, and pairs join cells without one."""
    base = made(name, n_subjects, count)
    rng = np.random.default_rng(1)
    rows = len(base.labels)
    subjects = np.repeat(-1, rows)
    known = rng.random(rows) < 0.7
    codes = base.keys["subject"]
    assert isinstance(codes, pa.Array)
    subjects[known] = codes.cast(pa.int64()).to_numpy()[known]
    # Three slides a subject; one slide in fifty holds the cells of another subject as well.
    slides = np.where(known, subjects * 3 + rng.integers(0, 3, rows), -1)
    strangers = known & (rng.random(rows) < 0.00005)
    slides[strangers] = rng.integers(0, 3 * n_subjects, strangers.sum())
    free = rng.permutation(np.flatnonzero(~known))
    pairs = free[: len(free) // 3 * 2].reshape(-1, 2).astype(np.int64)
    return Population(
        name, base.labels, {"subject": _named(subjects), "slide": _named(slides)}, pairs
    )


def _named(codes: NDArray[np.int64]) -> pa.Array:
    return pa.array(codes, mask=codes < 0).cast(pa.string())


def measure(population: Population) -> dict[str, object]:
    """Return how far off both ways are, and what ours cost."""
    labels, keys, edges = population.labels, population.keys, population.edges
    order = np.random.default_rng(0).permutation(len(labels))
    groups, grouped_s = timed(lambda: related_groups(*keys.values(), edges=edges))
    tracemalloc.start()
    split_cells(labels, keys, order, WANTED, edges=edges)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    found, whole_s = timed(lambda: split_cells(labels, keys, order, WANTED, edges=edges))
    names = [str(label) for label in range(int(labels.max()) + 1)]
    report = split_report(found, labels, names, keys, WANTED, edges=edges)
    row: dict[str, object] = {
        "population": population.name,
        "cells": len(labels),
        "groups": report.groups,
        "largest_group": f"{report.largest_group:.1%}",
        **shown("", labels, found.split),
        "why": dict(Counter(str(entry.why) for entry in report.labels_off())),
        "best_possible": report.best_possible,
        "group_s": round(grouped_s, 2),
        "whole_s": round(whole_s, 2),
        "bytes_a_row": round(peak / len(labels)) if len(labels) > 10_000 else None,
    }
    if report.groups <= _MOST_GROUPS:
        split, seconds = timed(lambda: baseline(labels, groups))
        row |= {**shown("sklearn_", labels, split), "sklearn_s": round(seconds, 2)}
    return row


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a call returns, and its seconds."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def shown(prefix: str, labels: NDArray[np.int64], split: NDArray[np.int64]) -> dict[str, object]:
    """Return how far off all cells, and the labels are, in points of 100."""
    counts = np.bincount(labels)
    offs = {label: off(split[labels == label]) for label in np.flatnonzero(counts)}
    over = sum(distance > TOLERANCE + 1e-6 for distance in offs.values())
    enough = [distance for label, distance in offs.items() if counts[label] >= _ENOUGH]
    return {
        f"{prefix}all_off": round(100 * off(split), 2),
        f"{prefix}worst_label_off": round(100 * max(enough), 2),
        f"{prefix}labels_over": f"{over} of {len(offs)}",
    }


def off(split: NDArray[np.int64]) -> float:
    """Return the largest distance of a share from the one wanted."""
    return float(np.abs(np.bincount(split, minlength=3) / len(split) - WANTED.array()).max())


def baseline(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the better of the two ways in which equal folds make the three shares."""
    tries = [
        _folds(labels, groups, n_folds, held_out)
        for n_folds, held_out in ((20, 3), (7, 1))
        if len(np.unique(groups)) >= n_folds
    ]
    return min(tries, key=lambda split: sum(off(split[labels == x]) for x in np.unique(labels)))


def _folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], n_folds: int, held_out: int
) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    split = np.zeros(len(labels), np.int64)
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        # It says when a label has fewer cells than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, rows) in enumerate(folds.split(labels, labels, groups)):
            split[rows] = 2 if fold < held_out else 1 if fold < 2 * held_out else 0
    return split


if __name__ == "__main__":
    main()
