"""Which cells the packaged generator learned from: their ids, and codes of what they look like.

An id is of exact pixels; it finds nothing of a cell at another size or quality. The code does: 256
bits of the low frequencies of the whole image, compared in the eight orientations. Neither can be
turned back into a picture. Source: PDQ (Facebook, 2019), "The TMK+PDQF Video-Hashing Algorithm and
the PDQ Image-Hashing Algorithm", with a cosine transform of 64 px and a median.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cells import Split
from curation.chunks import chunks
from curation.corpus import Corpus
from curation.errors import GeneratorError
from curation.output import write_whole
from curation.pixels import Pixels, decode_rgb

IDS_NAME = "training_ids.txt.gz"
CODES_NAME = "training_codes.npy"
SAME_BITS = 60
"""Codes that differ in as many of 256 bits or fewer are of one cell: see docs/pretrained.md."""
_SIDE_PX = 64
_FREQUENCIES = 16
_BLOCK = 512

Codes = NDArray[np.uint8]
"""(n, 32), 256 bits each."""


@dataclass(frozen=True, slots=True)
class SeenCells:
    """The cells that a generator learned from."""

    ids: frozenset[str]
    codes: Codes

    def among(self, image_ids: Sequence[str], images: Iterable[Pixels]) -> NDArray[np.bool_]:
        """Return which cells it learned from, (n,) bool; images (h, w, 3) uint8, as released."""
        exact = np.array([name in self.ids for name in image_ids], dtype=np.bool_)
        distances = nearest_bits(images, self.codes)
        if len(distances) != len(exact):
            raise ValueError(f"{len(exact)} ids, but {len(distances)} images")
        return exact | (distances <= SAME_BITS)

    def among_corpus(self, corpus: Corpus, splits: Sequence[Split]) -> NDArray[np.bool_]:
        """Return which rows of some splits of a corpus it learned from, (n,) bool, in order."""
        ids = corpus.rows(["image_id"], splits)["image_id"].to_pylist()
        return self.among(ids, (decode_rgb(data) for data in corpus.images(splits)))


def image_codes(pixels: Pixels) -> Codes:
    """Return the codes of an image (h, w, 3) uint8 in its 8 orientations, (8, 32); first as is."""
    import cv2
    from scipy.fft import dctn

    height, width = pixels.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    grey = cv2.cvtColor(pixels[top : top + square, left : left + square], cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if square >= _SIDE_PX else cv2.INTER_LINEAR
    small = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=how).astype(np.float32)
    turned = [np.rot90(side, turns) for side in (small, small.T) for turns in range(4)]
    waves: NDArray[Any] = dctn(np.stack(turned), axes=(1, 2), norm="ortho")
    # Without the mean and the slowest waves across one axis: light and its fall to a side.
    low = waves[:, 1 : _FREQUENCIES + 1, 1 : _FREQUENCIES + 1].reshape(8, -1)
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)


def nearest_bits(images: Iterable[Pixels], codes: Codes) -> NDArray[np.int64]:
    """Return how many bits each image differs from the nearest of some codes, (n,) int64."""
    known = _signs(codes)
    found: list[NDArray[np.int64]] = []
    for chunk in chunks(map(image_codes, images), _BLOCK):
        if len(known):
            dots = _signs(np.concatenate(chunk)) @ known.T
            bits = (known.shape[1] - dots.max(axis=1)) / 2
            found.append(bits.reshape(-1, 8).min(axis=1).round().astype(np.int64))
        else:
            found.append(np.full(len(chunk), 8 * codes.shape[1], np.int64))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _signs(codes: Codes) -> NDArray[np.float32]:
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1


def write_seen(folder: Path, corpus: Corpus) -> int:
    """Write the ids and codes of a corpus' training split; returns how many cells it has."""
    ids = corpus.rows(["image_id"], ["train"])["image_id"].to_pylist()
    codes = [image_codes(decode_rgb(data))[0] for data in corpus.images(["train"])]
    # In the order of the ids, which tells nothing of the corpus' own.
    order = sorted(range(len(ids)), key=lambda row: ids[row])
    text = "".join(f"{ids[row]}\n" for row in order).encode()
    write_whole(folder / IDS_NAME, gzip.compress(text, mtime=0))
    np.save(folder / CODES_NAME, np.stack([codes[row] for row in order]))
    return len(ids)


def read_seen(folder: Path, expected: int) -> SeenCells:
    """Read the cells that a packaged generator learned from, `expected` of them.

    Raises: GeneratorError where the lists are missing or of another length.
    """
    try:
        lines = gzip.decompress((folder / IDS_NAME).read_bytes()).decode().split()
        codes = np.load(folder / CODES_NAME, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise GeneratorError(
            f"{folder} does not say which cells it learned from ({IDS_NAME}, {CODES_NAME}): "
            f"{type(error).__name__}. Next: install smearkit again"
        ) from error
    if len(lines) != expected or codes.shape != (expected, _FREQUENCIES**2 // 8):
        raise GeneratorError(
            f"{folder} lists {len(lines)} training cells and {len(codes)} codes, and "
            f"generator.json says {expected}. Next: install smearkit again"
        )
    return SeenCells(frozenset(lines), codes)
