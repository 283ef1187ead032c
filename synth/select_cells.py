"""Cells as selection sees them: cheap features, and rows to correlate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from curation.cells import Split
from curation.chunks import chunks
from curation.corpus import Corpus
from curation.manifest import Codec, View, canonical_json
from curation.output import write_arrays
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress
from curation.tiles import TILE_PX, Tile, shrink
from curation.validate.features import cell_features
from curation.validate.label_audit import at_most
from curation.versions import library_versions

from .measure.memorisation import prepare
from .view import view_through_codec

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_AT_ONCE = 256
_CACHE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SelectCells:
    """n cells of one origin, in the generator's view.

    `features` float32 (n, k); `prepared` float32 (n, 3072), see `measure.memorisation.prepare`;
    `spread` float32 (n,), the standard deviation of the pixel levels; `labels` str (n,); `groups`
    names the subject or slide of each cell, None where none is known.
    """

    features: Floats
    prepared: Floats
    spread: Floats
    labels: NDArray[np.str_]
    groups: tuple[str | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


def measure_cells(images_NHWC: NDArray[np.uint8], labels: Sequence[str], view: View) -> SelectCells:
    """Return what selection sees of images (n, side, side, 3) uint8 RGB, an array or mapped."""
    parts = [
        _measure(np.asarray(images_NHWC[start : start + _AT_ONCE]), view)
        for start in range(0, len(images_NHWC), _AT_ONCE)
    ]
    return _joined(parts, labels, None)


def real_cells(
    corpus: Corpus,
    split: Split,
    view: View,
    codec: Codec,
    *,
    most: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress,
) -> SelectCells:
    """Return the cells of a split in the generator's view and codec; at most `most` of them.

    A folder as `cache` keeps what was measured for the next call with the same arguments.
    """
    rows = corpus.rows(["label", "subject", "slide"], [split])
    named = np.array(corpus.labels([split]), dtype=str)
    chosen = np.arange(len(named))
    if most is not None:
        _, codes = np.unique(named, return_inverse=True)
        chosen = at_most(chosen, codes.astype(np.int64), most, seed)
    pairs = zip(rows["subject"].to_pylist(), rows["slide"].to_pylist(), strict=True)
    known = [subject or slide for subject, slide in pairs]
    groups = tuple(known[row] for row in chosen) if any(known) else None
    identity = [
        _CACHE_FORMAT, corpus.fingerprint, split, view.model_dump(), codec.model_dump(), most,
        seed, library_versions("opencv-python-headless"),
    ]  # fmt: skip
    file = _cache_file(cache, identity)
    if file is not None and file.is_file():
        return _read(file, groups)
    wanted = np.zeros(len(named), bool)
    wanted[chosen] = True
    viewed = (
        view_through_codec(decode_rgb(data), view, codec)
        for data in compress(corpus.images([split]), wanted)
    )
    parts = []
    for chunk in chunks(viewed, _AT_ONCE):
        parts.append(_measure(np.stack(chunk), view))
        progress(f"measure {split}", sum(len(part.spread) for part in parts), len(chosen))
    cells = _joined(parts, named[chosen].tolist(), groups)
    if file is not None:
        _write(file, cells)
    return cells


def view_tile(image: Pixels, view: View) -> Tile:
    """Return a view on a tile at the scale of a whole cell image: features know that scale.

    What the view leaves out repeats its edge.
    """
    import cv2

    side = max(1, round(TILE_PX * min(view.crop, 1.0)))
    if side == TILE_PX:
        return shrink(image)
    how = cv2.INTER_AREA if side < len(image) else cv2.INTER_LINEAR
    small = image if side == len(image) else cv2.resize(image, (side, side), interpolation=how)
    low, high = (TILE_PX - side) // 2, TILE_PX - side - (TILE_PX - side) // 2
    padded = cv2.copyMakeBorder(small, low, high, low, high, cv2.BORDER_REPLICATE)
    return np.asarray(padded, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Part:
    features: Floats
    prepared: Floats
    spread: Floats


def _measure(images_NHWC: NDArray[np.uint8], view: View) -> _Part:
    tiles = np.stack([view_tile(image, view) for image in images_NHWC])
    spread = images_NHWC.std(axis=(1, 2, 3)).astype(np.float32)
    return _Part(cell_features(tiles), prepare(images_NHWC), spread)


def _joined(
    parts: Sequence[_Part], labels: Sequence[str], groups: tuple[str | None, ...] | None
) -> SelectCells:
    if not parts:
        none = np.empty((0, 0), np.float32)
        return SelectCells(none, none, none.ravel(), np.array([], dtype=str), groups)
    return SelectCells(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.prepared for part in parts]),
        np.concatenate([part.spread for part in parts]),
        np.array(labels, dtype=str),
        groups,
    )


def _cache_file(cache: Path | None, identity: Sequence[object]) -> Path | None:
    if cache is None:
        return None
    return cache / f"real-{blake3(canonical_json(identity)).hexdigest(length=16)}.npz"


def _read(file: Path, groups: tuple[str | None, ...] | None) -> SelectCells:
    with np.load(file, allow_pickle=False) as found:
        return SelectCells(
            found["features"], found["prepared"], found["spread"], found["labels"], groups
        )


def _write(file: Path, cells: SelectCells) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_arrays(
        file, features=cells.features, prepared=cells.prepared, spread=cells.spread,
        labels=cells.labels,
    )  # fmt: skip
