"""Writes a Parquet source of any number of made cells, and which of them are planted copies.

A cell is the middle of one drawn cell, bent and turned, in the surroundings of another, under a
stain, a light and a noise of its own: cells of one drawing differ as two cells of one type do. One
row in a hundred is a copy of an earlier row: turned, mirrored, recompressed, shifted or cropped.
Each row is drawn from (seed, row) alone, so that memory holds one row group and the drawings.

    OUT/cells-00000-of-00020.parquet   image {bytes, path}, label, subject, slide
    OUT.truth.parquet                  copy, original (rows in the order of the files), how
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray

from smearkit.demo_cells import draw_cell, random_stain

SIDE_PX = 96
GROUP_ROWS = 1024
FILE_GROUPS = 50
COPY_SHARE = 0.01
LABELS = {
    "neutrophil_segmented": 0.5, "lymphocyte": 0.28, "monocyte": 0.08, "eosinophil": 0.07,
    "platelet": 0.05, "basophil": 0.02,
}  # fmt: skip
CELLS_PER_SLIDE = 200
SLIDES_PER_SUBJECT = 2
QUALITY = 90

Picture = NDArray[np.uint8]
"""(96, 96, 3) RGB in [0, 255]; copies may be a little smaller."""
Floats = NDArray[np.float32]

SCHEMA = pa.schema([
    ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("label", pa.string()), ("subject", pa.string()), ("slide", pa.string()),
])  # fmt: skip
TRUTH = pa.schema([("copy", pa.int64()), ("original", pa.int64()), ("how", pa.string())])


@dataclass(frozen=True, slots=True)
class Bank:
    """What cells are made of: drawings by label, bends in px, noise, and soft discs in [0, 1].

    `surroundings` are drawings whose middle was moved to a side.
    """

    drawings: Mapping[str, list[Picture]]
    surroundings: list[Picture]
    bends_x: Floats
    bends_y: Floats
    noise: NDArray[np.int8]
    discs: Floats


@lru_cache(maxsize=1)
def bank(drawings: int, seed: int) -> Bank:
    """Draw what all cells are made of."""
    rng = np.random.default_rng([seed, 2**32 - 1])
    by_label = {
        label: [
            draw_cell(label, rng, random_stain(rng), SIDE_PX)
            for _ in range(max(8, round(drawings * share)))
        ]
        for label, share in LABELS.items()
    }
    bends = [_bend(rng) for _ in range(512)]
    noise = rng.normal(0, 2.5, (SIDE_PX + 160, SIDE_PX + 160, 3)).round().clip(-9, 9)
    every = [one for some in by_label.values() for one in some]
    return Bank(
        by_label, [_moved_far(one, rng) for one in every for _ in range(2)],
        np.stack(bends[::2]), np.stack(bends[1::2]), noise.astype(np.int8),
        np.stack([_disc(rng) for _ in range(64)]),
    )  # fmt: skip


def _bend(rng: np.random.Generator) -> Floats:
    """Return a smooth displacement along one axis, (96, 96) in px."""
    coarse = rng.normal(0, 4.5, (5, 5)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC))


def _disc(rng: np.random.Generator) -> Floats:
    """Return where the middle cell is shown, (96, 96): 1 inside, with a soft wobbly edge."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    turn, radius = np.arctan2(y, x), rng.uniform(29, 34)
    for order in (2, 3, 4):
        radius = radius + rng.normal(0, 1.2) * np.cos(order * turn + rng.uniform(0, 2 * np.pi))
    disc = np.clip((radius - np.hypot(x, y)) / 6 + 0.5, 0, 1)
    return np.asarray(disc, dtype=np.float32)


def made_cell(row: int, seed: int, made_of: Bank) -> tuple[Picture, str]:
    """Return the picture and label of a row that is no copy."""
    rng = np.random.default_rng([seed, row])
    label = _label(rng.random())
    drawings = made_of.drawings[label]
    middle = _bent(drawings[rng.integers(len(drawings))], rng, made_of)
    around = made_of.surroundings[rng.integers(len(made_of.surroundings))]
    around = _mirrored(np.rot90(around, int(rng.integers(4))), rng)
    disc = made_of.discs[rng.integers(len(made_of.discs))]
    blended = cv2.blendLinear(middle, np.ascontiguousarray(around), disc, 1 - disc)
    top, left = rng.integers(0, 160, 2)
    noise = made_of.noise[top : top + SIDE_PX, left : left + SIDE_PX]
    stained = cv2.LUT(blended, _stain(rng))
    noisy = cv2.add(stained, np.ascontiguousarray(noise), dtype=cv2.CV_8U)
    return np.asarray(noisy, dtype=np.uint8), label


def _label(at: float) -> str:
    for label, share in LABELS.items():
        at -= share
        if at < 0:
            return label
    return "basophil"


def _bent(picture: Picture, rng: np.random.Generator, made_of: Bank) -> Picture:
    turn, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.15)
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    x, y = _axes()
    cos, sin = np.float32(np.cos(turn) * zoom), np.float32(np.sin(turn) * zoom)
    middle = (SIDE_PX - 1) / 2 + rng.normal(0, 2.0, 2).astype(np.float32)
    bend_x = made_of.bends_x[rng.integers(len(made_of.bends_x))]
    bend_y = made_of.bends_y[rng.integers(len(made_of.bends_y))]
    map_x = mirror * (cos * x - sin * y) + bend_x + middle[0]
    map_y = sin * x + cos * y + bend_y + middle[1]
    return np.asarray(
        cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    )


@lru_cache(maxsize=1)
def _axes() -> tuple[Floats, Floats]:
    axis = np.arange(SIDE_PX, dtype=np.float32) - np.float32((SIDE_PX - 1) / 2)
    return axis[None, :], axis[:, None]


def _moved_far(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return surroundings: the middle of a drawing moved to a side, turned any way."""
    centre = (SIDE_PX / 2, SIDE_PX / 2)
    turn, zoom = rng.uniform(0, 360), rng.uniform(0.9, 1.1)
    how = np.asarray(cv2.getRotationMatrix2D(centre, turn, zoom), dtype=np.float64)
    away = rng.uniform(0, 2 * np.pi)
    how[:, 2] += rng.uniform(34, 60) * np.array([np.cos(away), np.sin(away)])
    return np.asarray(
        cv2.warpAffine(picture, how, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT)
    )


_LOG_LEVEL = np.log(np.maximum(np.arange(256, dtype=np.float32), 1e-6) / 255)[:, None]


def _stain(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a table level -> level for each channel, (1, 256, 3)."""
    gamma = np.exp(rng.normal(0, 0.16, 3) + rng.normal(0, 0.16)).astype(np.float32)
    light = rng.uniform(0.9, 1.0, 3).astype(np.float32)
    return np.asarray((np.exp(_LOG_LEVEL * gamma) * light * 255).astype(np.uint8)[None])


def _turned(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.rot90(picture, int(rng.integers(1, 4)))


def _mirrored(picture: Picture, rng: np.random.Generator) -> Picture:
    return picture[:, ::-1] if rng.random() < 0.5 else picture[::-1]


def _unchanged(picture: Picture, rng: np.random.Generator) -> Picture:
    return picture


def _shifted(picture: Picture, rng: np.random.Generator) -> Picture:
    by = rng.integers(3, 7, 2) * rng.choice([-1, 1], 2)
    how = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32)
    return np.asarray(
        cv2.warpAffine(picture, how, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
    )


def _cropped(picture: Picture, rng: np.random.Generator) -> Picture:
    left, top, right, bottom = rng.integers(0, 4, 4)
    return picture[top : SIDE_PX - bottom, left : SIDE_PX - right]


COPIES: Mapping[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "turned": _turned,
    "mirrored": _mirrored,
    "recompressed": _unchanged,
    "shifted": _shifted,
    "cropped": _cropped,
}


def planted(count: int, seed: int) -> Mapping[int, tuple[int, str]]:
    """Return copy -> (original, how): an original is an earlier row that is no copy itself."""
    rng = np.random.default_rng([seed, 2**32 - 2])
    chosen = np.sort(rng.choice(np.arange(1, count), round(count * COPY_SHARE), replace=False))
    copies = {int(row) for row in chosen}
    kinds = tuple(COPIES)
    made: dict[int, tuple[int, str]] = {}
    taken: set[int] = set()
    for number, copy in enumerate(sorted(copies)):
        original = int(rng.integers(copy))
        while original in copies or original in taken:
            original = int(rng.integers(copy))
        taken.add(original)
        made[copy] = (original, kinds[number % len(kinds)])
    return made


def encoded(picture: Picture, quality: int) -> bytes:
    """Return a picture as JPEG, 4:4:4."""
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=quality, colorsubsampling="444"
        )
    )


def made_row(row: int, seed: int, made_of: Bank, copies: Mapping[int, tuple[int, str]]) -> Any:
    """Return a row of the source: the JPEG, its label, the row that says whose cell it is."""
    original, how = copies.get(row, (row, ""))
    picture, label = made_cell(original, seed, made_of)
    data = encoded(picture, QUALITY)
    if how:
        # What is copied is the file that was released before, not what it was made of.
        seen = simplejpeg.decode_jpeg(data)
        changed = COPIES[how](seen, np.random.default_rng([seed, row]))
        data = encoded(changed, 70 if how == "recompressed" else QUALITY)
    return data, label, original


def groups(count: int, seed: int, drawings: int) -> Iterator[pa.Table]:
    """Yield the rows of the source, a row group at a time."""
    made_of, copies = bank(drawings, seed), planted(count, seed)
    for start in range(0, count, GROUP_ROWS):
        rows = range(start, min(start + GROUP_ROWS, count))
        data, labels, owners = zip(
            *(made_row(row, seed, made_of, copies) for row in rows), strict=True
        )
        slides = [owner // CELLS_PER_SLIDE for owner in owners]
        yield pa.table(
            [
                pa.StructArray.from_arrays(
                    [pa.array(data, pa.binary()), pa.nulls(len(rows), pa.string())],
                    names=["bytes", "path"],
                ),
                pa.array(labels),
                pa.array([f"patient {slide // SLIDES_PER_SUBJECT:06d}" for slide in slides]),
                pa.array([f"smear {slide:06d}" for slide in slides]),
            ],
            schema=SCHEMA,
        )


def write_made_cells(out: Path, count: int, *, seed: int = 0, drawings: int = 3000) -> Path:
    """Write the source and, beside it, which rows are copies; return where the latter lies.

    A run over 1,000,000 rows makes about 3.5 GB and holds about 300 MB.
    """
    out.mkdir(parents=True)
    files = -(-count // (GROUP_ROWS * FILE_GROUPS))
    parts = groups(count, seed, drawings)
    for number in range(files):
        path = out / f"cells-{number:05d}-of-{files:05d}.parquet"
        with pq.ParquetWriter(path, SCHEMA, compression="NONE", use_dictionary=False) as writer:
            for _, table in zip(range(FILE_GROUPS), parts, strict=False):
                writer.write_table(table, row_group_size=GROUP_ROWS)
    copies = planted(count, seed)
    truth = out.with_name(f"{out.name}.truth.parquet")
    rows = [(copy, original, how) for copy, (original, how) in copies.items()]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    pq.write_table(pa.table([pa.array(c) for c in columns], schema=TRUTH), truth)
    return truth


def main() -> None:
    """Write the source that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawings", type=int, default=3000, help="that cells are made of")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    began = time.perf_counter()
    truth = write_made_cells(
        options.out, options.cells, seed=options.seed, drawings=options.drawings
    )
    seconds = time.perf_counter() - began
    print(f"{options.cells} cells in {seconds:.0f} s; copies listed in {truth}")


if __name__ == "__main__":
    main()
