"""How well the image checks see planted faults on real cells, and how often they flag others.

One cell in twenty is replaced by its faulty self, then the corpus is judged as `curate` would do;
four rounds with other cells; and once every cell of the smallest acquisition that has statistics
of its own is blurred. Per fault and check: AUC of the score of the faulty against all
others, the share of faulty cells flagged, and the share of untouched cells flagged (no fault
planted). Prints Markdown, the cost per cell, and with --sheets DIR draws the untouched cells that
each check ranks worst: DIR holds real cells, keep it out of the repository.

    OMP_NUM_THREADS=1 python -m scripts.measure_checks [--data ../shared/data] [--sheets out/checks]
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from curation.glance import Glance, side_by_side
from curation.tiles import shrink
from curation.validate.checks import (
    CHECK_NAMES,
    LEAST_CELLS,
    Checked,
    calibrate,
    check_scores,
    fine_detail,
)
from curation.vocabulary import LABEL_IDS, canonical_label
from scripts.planted_faults import FAULTS, Picture

ROUNDS, EVERY = 4, 20
WORST = 24
_SHEET_PX = 128

Raw = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Cells:
    """Real cells of one source, with label ids and acquisitions (n,) int64."""

    name: str
    pictures: Sequence[Picture]
    labels: NDArray[np.int64]
    acquisition: NDArray[np.int64]


def pbc(folder: Path) -> Cells:
    """Return the PBC cells; images of an unusual size are its second acquisition."""
    files = sorted(folder.glob("*/*.jpg"))
    pictures = [_read(file) for file in files]
    usual = [picture.shape[:2] == (363, 360) for picture in pictures]
    return Cells(
        "PBC", pictures, _label_ids(file.parent.name for file in files), 1 - np.array(usual, int)
    )


def pbc128(file: Path) -> Cells:
    """Return all PBC cells, at 128 px; those of an unusual original size are the second group."""
    table = pq.read_table(file)
    sizes = zip(
        table["original_width"].to_pylist(), table["original_height"].to_pylist(), strict=True
    )
    images = (Image.open(io.BytesIO(image["bytes"])) for image in table["image"].to_pylist())
    return Cells(
        "PBC at 128 px",
        [np.asarray(image.convert("RGB"), np.uint8) for image in images],
        _label_ids(iter(table["label"].to_pylist())),
        np.array([int(size != (360, 363)) for size in sizes]),
    )


def chula(folder: Path) -> Cells:
    """Return the Chula cells; each slide is an acquisition."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    slides = {slide: place for place, slide in enumerate(dict.fromkeys(r["slide"] for r in rows))}
    return Cells(
        "Chula",
        [_read(folder / row["file_name"]) for row in rows],
        _label_ids(row["label"] for row in rows),
        np.array([slides[row["slide"]] for row in rows]),
    )


def _read(file: Path) -> Picture:
    return np.asarray(simplejpeg.decode_jpeg(file.read_bytes(), "RGB"), np.uint8)


def _label_ids(names: Iterator[str]) -> NDArray[np.int64]:
    return np.array([LABEL_IDS[canonical_label(name) or ""] for name in names])


def measured(pictures: Sequence[Picture]) -> Raw:
    """Return the raw columns of pictures."""
    glances = [Glance(shrink(p), p.shape[1], p.shape[0], "jpeg") for p in pictures]
    fine = np.array([fine_detail(picture) for picture in pictures], np.float32)
    return check_scores(side_by_side(glances), fine)


def replaced(raw: Raw, rows: NDArray[np.int64], by: Raw) -> Raw:
    """Return the columns with some rows taken from elsewhere."""
    made = {name: column.copy() for name, column in raw.items()}
    for name, column in made.items():
        column[rows] = by[name]
    return made


def auc(faulty: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Return how often a faulty cell scores below another one; ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, faulty, side="left")
    up_to = np.searchsorted(ordered, faulty, side="right")
    return float(1 - ((below + up_to) / 2 / len(others)).mean())


@dataclass(frozen=True)
class Seen:
    """What one check saw of one fault."""

    fault: str
    check: str
    auc: float
    flagged: float


def planted(cells: Cells, raw: Raw) -> Iterator[Seen]:
    """Yield what the checks see of every fault."""
    rng = np.random.default_rng(0)
    others = rng.permutation(len(cells.pictures))
    for fault, (checks, plant) in FAULTS.items():
        aucs: dict[str, list[float]] = {check: [] for check in checks}
        flagged: dict[str, list[float]] = {check: [] for check in checks}
        for start in range(ROUNDS):
            rows = np.arange(start, len(cells.pictures), EVERY)
            made = [plant(cells.pictures[i], cells.pictures[others[i]], rng) for i in rows.tolist()]
            judged = judge(cells, replaced(raw, rows, measured(made)))
            for check in checks:
                score = judged.scores[check]
                aucs[check].append(auc(score[rows], np.delete(score, rows)))
                flagged[check].append(float(judged.flags[check][rows].mean()))
        for check in checks:
            yield Seen(fault, check, float(np.mean(aucs[check])), float(np.mean(flagged[check])))


def blurred_whole(cells: Cells, raw: Raw) -> str:
    """Blur a whole acquisition, and say how many of its cells and of the others are flagged."""
    ids, counts = np.unique(cells.acquisition, return_counts=True)
    chosen = ids[counts >= LEAST_CELLS][np.argmin(counts[counts >= LEAST_CELLS])]
    rows = np.flatnonzero(cells.acquisition == chosen)
    blur, rng = FAULTS["blur, sigma 2 px"][1], np.random.default_rng(0)
    made = [blur(cells.pictures[i], cells.pictures[i], rng) for i in rows.tolist()]
    flags = judge(cells, replaced(raw, rows, measured(made))).flags["focus"]
    return (
        f"An acquisition of {len(rows)} cells blurred as a whole (sigma 2 px): "
        f"{100 * flags[rows].mean():.0f} % of its cells flagged, "
        f"{100 * np.delete(flags, rows).mean():.1f} % of the others."
    )


def judge(cells: Cells, raw: Raw) -> Checked:
    """Judge cells as `curate` does."""
    return calibrate(raw, cells.acquisition, cells.labels)


def draw_sheet(cells: Cells, judged: Checked, check: str, file: Path) -> None:
    """Draw the cells that a check ranks worst, a red frame round those flagged."""
    worst = np.argsort(judged.scores[check], kind="stable")[:WORST]
    tiles = []
    for row in worst.tolist():
        tile = cv2.resize(cells.pictures[row], (_SHEET_PX, _SHEET_PX), interpolation=cv2.INTER_AREA)
        if judged.flags[check][row]:
            cv2.rectangle(tile, (1, 1), (_SHEET_PX - 2, _SHEET_PX - 2), (255, 0, 0), 3)
        tiles.append(tile)
    lines = [np.hstack(tiles[start : start + 8]) for start in range(0, len(tiles), 8)]
    cv2.imwrite(str(file), np.vstack(lines)[..., ::-1])


def costs(cells: Cells) -> Mapping[str, float]:
    """Return ms of processor time a cell."""
    pictures = cells.pictures[:512]
    glances = side_by_side([Glance(shrink(p), p.shape[1], p.shape[0], "jpeg") for p in pictures])
    start = time.process_time()
    fine = np.array([fine_detail(picture) for picture in pictures], np.float32)
    middle = time.process_time()
    raw = check_scores(glances, fine)
    end = time.process_time()
    calibrate(raw, cells.acquisition[:512], cells.labels[:512])
    last = time.process_time()
    spans = {"fine_detail": middle - start, "check_scores": end - middle, "calibrate": last - end}
    return {name: 1000 * span / len(pictures) for name, span in spans.items()}


def report(cells: Cells, sheets: Path | None) -> None:
    """Print the tables of one source."""
    raw = measured(cells.pictures)
    clean = judge(cells, raw)
    print(f"\n## {cells.name}: {len(cells.pictures)} cells\n")
    print("| check | untouched cells flagged |\n|---|---|")
    for result in clean.report.checks:
        print(f"| {result.check} | {result.flagged} ({100 * result.share:.1f} %) |")
    print("\n| planted | check | AUC | flagged |\n|---|---|---|---|")
    for seen in planted(cells, raw):
        print(f"| {seen.fault} | {seen.check} | {seen.auc:.3f} | {100 * seen.flagged:.0f} % |")
    print(f"\n{blurred_whole(cells, raw)}")
    found = ", ".join(f"{name} {cost:.3f} ms" for name, cost in costs(cells).items())
    print(f"\nProcessor time a cell: {found}.")
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        for check in CHECK_NAMES:
            draw_sheet(cells, clean, check, sheets / f"{cells.name}-{check}.png")


def main() -> None:
    """Measure on every source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sheets", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    report(pbc(arguments.data / "pbc_raw"), arguments.sheets)
    report(pbc128(arguments.data / "pbc128.parquet"), arguments.sheets)
    report(chula(arguments.data / "chula_wbc"), arguments.sheets)


if __name__ == "__main__":
    main()
