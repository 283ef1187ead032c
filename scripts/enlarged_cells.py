"""Class folders of JPEG files of 360x363 px made of the cells of a Parquet file: real cells, made
files, for benchmarks that need more files than there are originals."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

from curation.pixels import decode_rgb

_SIZE = 360, 363
_QUALITY = 90


def write_enlarged_cells(cells: Path, folder: Path, count: int) -> None:
    """Write `count` cells, spread evenly over a file with the columns `image` and `label`."""
    table = pq.read_table(cells, columns=["image", "label"])
    rows = table.take(np.linspace(0, len(table) - 1, count).astype(np.int64)).to_pylist()
    for number, row in enumerate(rows):
        place = folder / row["label"]
        place.mkdir(parents=True, exist_ok=True)
        pixels = cv2.resize(decode_rgb(row["image"]["bytes"]), _SIZE, interpolation=cv2.INTER_CUBIC)
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(
            str(place / f"{number:06d}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        ):
            raise OSError(f"could not write cell {number}")
