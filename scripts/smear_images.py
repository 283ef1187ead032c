"""The real cells and fields beside the checkout, as arrays, in sets by where they come from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from curation.pixels import Pixels

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def field_files(data: Path = DATA) -> list[Path]:
    """Return the files of the smear fields, 640x480 px."""
    return _files(data / "bccd_fields" / "images", "*.jpg")


def crop_files(data: Path = DATA) -> list[Path]:
    """Return the files of the cell crops of 360x363 px."""
    return _files(data / "pbc_raw", "*/*.jpg")


def crop_sets(count: int, seed: int = 0, data: Path = DATA) -> Iterator[tuple[str, int, Pixels]]:
    """Yield (set, number, crop) of the sets of crops, at most `count` of each."""
    rng = np.random.default_rng(seed)
    large = crop_files(data)
    for number, index in enumerate(_some(len(large), count, rng)):
        yield "pbc 360 px", number, rgb(large[index])
    table = pq.read_table(data / "pbc128.parquet", columns=["image"])["image"]
    for number, index in enumerate(_some(len(table), count, rng)):
        yield "pbc 128 px", number, rgb(io.BytesIO(table[index].as_py()["bytes"]))
    chula = _files(data / "chula_wbc", "*.jpg")
    for number, index in enumerate(_some(len(chula), count, rng)):
        yield "chula 224 px", number, rgb(chula[index])
    fields = field_files(data)
    for number, index in enumerate(_some(len(fields), count, rng)):
        yield "bccd 150-360 px", number, _part(rgb(fields[index]), rng)


def rgb(file: Path | io.BytesIO) -> Pixels:
    """Decode an image file to (h, w, 3) uint8 RGB."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _part(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    side = int(rng.integers(150, 361))
    top = int(rng.integers(0, pixels.shape[0] - side + 1))
    left = int(rng.integers(0, pixels.shape[1] - side + 1))
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _some(of: int, count: int, rng: np.random.Generator) -> list[int]:
    return [int(index) for index in rng.permutation(of)[:count]]


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise SystemExit(f"needs the real cells in {folder.parent.name}/{folder.name}")
    return found
