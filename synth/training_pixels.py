"""The training split as one array of pixels on disk, and the batches drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from curation.corpus import Corpus
from curation.errors import GeneratorError
from curation.manifest import View
from curation.pixels import decode_rgb
from curation.progress import Progress
from curation.vocabulary import LABELS

from .config import TrainConfig
from .view import apply_view


class TrainingPixels:
    """Images (n, side, side, 3) uint8, mapped from disk, with their class ids (n,) int64."""

    def __init__(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> None:
        self.images = images
        self.class_ids = class_ids

    def counts(self) -> dict[str, int]:
        """Return label -> images."""
        ids, counts = np.unique(self.class_ids, return_counts=True)
        return {LABELS[i]: int(n) for i, n in zip(ids, counts, strict=True)}

    def weights(self, balance: float) -> NDArray[np.float64]:
        """Return the probability of drawing each image, (n,); see `TrainConfig.class_balance`."""
        _, inverse, counts = np.unique(self.class_ids, return_inverse=True, return_counts=True)
        weights = counts[inverse] ** -float(balance)
        return np.asarray(weights / weights.sum(), dtype=np.float64)


def prepare_pixels(corpus: Corpus, view: View, folder: Path, progress: Progress) -> TrainingPixels:
    """Decode the training split into a mapped file, or take up the one that is there.

    Raises: GeneratorError where the training split holds no real cell.
    """
    table = corpus.rows(["label", "origin"], ["train"])
    count = len(table)
    if count == 0:
        raise GeneratorError(f"{corpus.path} has no training rows to learn from")
    if "synthetic" in set(table["origin"].to_pylist()):
        raise GeneratorError(
            f"{corpus.path} holds synthetic cells; a generator learns from real ones"
        )
    path = folder / "pixels.npy"
    if not path.exists():
        temporary = folder / "pixels.tmp"
        shape = (count, view.side, view.side, 3)
        images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for row, data in enumerate(corpus.images(["train"])):
            images[row] = apply_view(decode_rgb(data), view)
            if row % 128 == 0:
                progress("decode", row, count)
        images.flush()
        progress("decode", count, count)
        temporary.replace(path)
    mapped = np.load(path, mmap_mode="r")
    return TrainingPixels(mapped, np.asarray(table["label"].to_numpy(), dtype=np.int64))


def draw_batch(
    pixels: TrainingPixels,
    cumulative: NDArray[np.float64],
    config: TrainConfig,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Return (images, class ids) of one training batch: (b, 3 p^2, s/p, s/p) float32 in [-1, 1].

    Each image is shown in one of its 8 orientations: a smear has no up.
    """
    rows = np.searchsorted(cumulative, generator.random(config.batch) * cumulative[-1])
    turns = generator.integers(0, 8, config.batch)
    images = np.stack(
        [turned(pixels.images[row], int(turn)) for row, turn in zip(rows, turns, strict=True)]
    )
    x_BCHW = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixel_unshuffle(x_BCHW, config.patch), torch.from_numpy(pixels.class_ids[rows])


def turned(image: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Return one of the 8 orientations of a square image: quarter turns, then mirrored for 4..7."""
    rotated = np.rot90(image, turn % 4)
    return rotated[:, ::-1] if turn >= 4 else rotated
