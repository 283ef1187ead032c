"""A split as one array of pixels on disk, and the batches drawn from it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from curation.corpus import Corpus
from curation.errors import GeneratorError
from curation.glance import Glances
from curation.manifest import View
from curation.output import write_whole
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress
from curation.tiles import TILE_PX, shrink
from curation.validate.acquisition import find_acquisitions
from curation.validate.appearance import appearance_columns
from curation.vocabulary import LABELS

from .augment_jitter import draw_jitter, jittered
from .config import TrainConfig
from .view import apply_view

if TYPE_CHECKING:
    from .latents import Latents, LatentSpace

PREPARED_LAST = "acquisitions.npy"
"""The file of `prepare_pixels` whose presence means that all of them are there."""

_GLANCES = 1_024
_ON_DEVICE_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class TrainingPixels:
    """Images (n, side, side, 3) uint8, mapped from disk, with ids (n,) int64 of their classes
    and, where these were looked for, of their acquisitions; and the latents that stand for them."""

    images: NDArray[np.uint8]
    class_ids: NDArray[np.int64]
    acquisition_ids: NDArray[np.int64]
    acquisitions: int = 1
    latents: Latents | None = None

    @property
    def space(self) -> LatentSpace | None:
        """The space of the latents, where there are any."""
        return None if self.latents is None else self.latents.space

    def counts(self) -> dict[str, int]:
        """Return label -> images."""
        ids, counts = np.unique(self.class_ids, return_counts=True)
        return {LABELS[i]: int(n) for i, n in zip(ids, counts, strict=True)}

    def weights(self, balance: float) -> NDArray[np.float64]:
        """Return the probability of drawing each image, (n,); see `TrainConfig.class_balance`."""
        _, inverse, counts = np.unique(self.class_ids, return_inverse=True, return_counts=True)
        weights = counts[inverse] ** -float(balance)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def acquisition_shares(self) -> dict[str, list[float]]:
        """Return label -> the share of its cells in each acquisition."""
        shares = {}
        for label in self.counts():
            ids = self.acquisition_ids[self.class_ids == LABELS.index(label)]
            counts = np.bincount(ids, minlength=self.acquisitions)
            shares[label] = [round(float(share), 4) for share in counts / counts.sum()]
        return shares


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of one training step, (b, 3 p^2, s/p, s/p) float32 in [-1, 1], and what is told."""

    images_BCHW: Tensor
    class_ids_B: Tensor
    acquisition_ids_B: Tensor
    jitter_BA: Tensor


def prepare_pixels(
    corpus: Corpus, view: View, folder: Path, progress: Progress, *, acquisitions: bool = False
) -> TrainingPixels:
    """Decode the training split into a mapped file, or take up the one that is there.

    Raises: GeneratorError where the training split holds no real cell.
    """
    table = corpus.rows(["label", "origin"], ["train"])
    if len(table) == 0:
        raise GeneratorError(f"{corpus.path} has no training rows to learn from")
    if "synthetic" in set(table["origin"].to_pylist()):
        raise GeneratorError(
            f"{corpus.path} holds synthetic cells; a generator learns from real ones"
        )
    path, ids_path = folder / "pixels.npy", folder / PREPARED_LAST
    if not (path.exists() and ids_path.exists()):
        ids = _decode(corpus, len(table), view, path, progress, acquisitions)
        encoded = io.BytesIO()
        np.save(encoded, ids)
        write_whole(ids_path, encoded.getvalue())
    ids = np.load(ids_path)
    return TrainingPixels(
        np.load(path, mmap_mode="r"),
        np.asarray(table["label"].to_numpy(), dtype=np.int64),
        ids,
        int(ids.max()) + 1,
    )


def held_out_pixels(corpus: Corpus, view: View, limit: int) -> TrainingPixels:
    """Return validation cells in the view, at most `limit` and every class in turn; may be none."""
    table = corpus.rows(["label"], ["validation"])
    labels = np.asarray(table["label"].to_numpy(), dtype=np.int64)
    kept = _in_turn(labels, limit)
    wanted = set(kept.tolist())
    found: dict[int, Pixels] = {}
    for row, data in enumerate(corpus.images(["validation"])):
        if row in wanted:
            found[row] = apply_view(decode_rgb(data), view)
    shape = (0, view.side, view.side, 3)
    images = np.stack([found[row] for row in kept]) if len(kept) else np.zeros(shape, np.uint8)
    return TrainingPixels(images, labels[kept], np.zeros(len(kept), np.int64))


def _in_turn(labels: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return rows so that a short start already has every class about equally often."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order], side="left")
    rank = np.arange(len(labels)) - starts
    return np.asarray(order[np.argsort(rank, kind="stable")][:limit], dtype=np.int64)


def _decode(
    corpus: Corpus, count: int, view: View, path: Path, progress: Progress, acquisitions: bool
) -> NDArray[np.int64]:
    temporary = path.with_suffix(".tmp")
    shape = (count, view.side, view.side, 3)
    images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
    appearance: list[NDArray[np.float32]] = []
    waiting: list[Pixels] = []
    for row, data in enumerate(corpus.images(["train"])):
        pixels = decode_rgb(data)
        images[row] = apply_view(pixels, view)
        if acquisitions:
            waiting.append(pixels)
        if len(waiting) == _GLANCES or (waiting and row == count - 1):
            appearance.append(_appearance(waiting, corpus.manifest.codec.format))
            waiting = []
        if row % 128 == 0:
            progress("decode", row, count)
    images.flush()
    progress("decode", count, count)
    temporary.replace(path)
    if not acquisitions:
        return np.zeros(count, np.int64)
    return find_acquisitions(np.concatenate(appearance)).cluster


def _appearance(cells: Sequence[Pixels], codec: str) -> NDArray[np.float32]:
    tiles = np.empty((len(cells), TILE_PX, TILE_PX, 3), np.uint8)
    for row, pixels in enumerate(cells):
        tiles[row] = shrink(pixels)
    sizes = np.array([pixels.shape[1::-1] for pixels in cells], np.int32)
    return appearance_columns(Glances(tiles, sizes, (codec,) * len(cells)))


class BatchSource:
    """Draws training batches; the images lie on the device where they fit there."""

    def __init__(self, pixels: TrainingPixels, config: TrainConfig, device: torch.device) -> None:
        self.pixels, self.config, self.device = pixels, config, device
        self.cumulative = np.cumsum(pixels.weights(config.class_balance))
        self.stored: Tensor | None = None
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if pixels.images.nbytes < _ON_DEVICE_SHARE * free:
                self.stored = torch.from_numpy(np.array(pixels.images)).to(device)

    def draw(self, step: int, part: slice = slice(None)) -> Batch:
        """Return a step's batch, or the part of it that one of several processes trains on.

        What a step sees depends on the seed and the step alone: a resumed run, or one of more
        processes, draws what an unbroken one of a single process would. Each image is shown in
        one of its 8 orientations: a smear has no up.
        """
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        rows = np.searchsorted(self.cumulative, rng.random(config.batch) * self.cumulative[-1])
        turns = rng.integers(0, 8, config.batch)
        jitter = draw_jitter(config.batch, config.augment, rng)
        rows, turns, jitter = rows[part], turns[part], jitter[part]
        x_BCHW = oriented(self._images(rows), torch.from_numpy(turns).to(self.device))
        jitter_BA = torch.from_numpy(jitter).to(self.device)
        return Batch(
            pixel_unshuffle(jittered(x_BCHW, jitter_BA), config.patch),
            torch.from_numpy(self.pixels.class_ids[rows]).to(self.device),
            torch.from_numpy(self.pixels.acquisition_ids[rows]).to(self.device),
            jitter_BA,
        )

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        if self.stored is not None:
            x_BHWC = self.stored[torch.from_numpy(rows).to(self.device)]
        else:
            x_BHWC = torch.from_numpy(self.pixels.images[rows]).to(self.device)
        return x_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1


def oriented(x_BCHW: Tensor, turns_B: Tensor) -> Tensor:
    """Return each square image in its orientation: quarter turns, then mirrored for 4..7."""
    out = torch.empty_like(x_BCHW, memory_format=torch.contiguous_format)
    for turn in range(8):
        chosen = turns_B == turn
        turned = torch.rot90(x_BCHW[chosen], turn % 4, dims=(2, 3))
        out[chosen] = turned.flip(3) if turn >= 4 else turned
    return out
