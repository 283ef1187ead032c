"""How near a cell comes to its nearest training cell, over turns and mirrors: finds copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.progress import Progress, silent

PREPARED_SIDE_PX = 32
COPY_CORRELATION = 0.95
"""Aligned correlation of different cells stays well below this, of true copies it is near 1."""

_CHANNELS = 3
_BLANK_RMS = 1e-2  # grey levels; float32 rounding of an even image stays below, any cell is above
_SHRINK_BLOCK = 256


def prepare(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images, (n, s, s, 3) uint8, as rows to correlate, (n, 3072) float32 of unit norm.

    Shrunk to 32 px by area mean, then centred over all pixels and channels of the image. An even
    image has no pattern to correlate: its row is zero, and `blank` finds it.

    Raises: MeasurementError for any other shape or type.
    """
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != _CHANNELS:
        raise MeasurementError(f"square RGB images, (n, s, s, 3), are needed, not {images.shape}")
    if images.dtype != np.uint8:
        raise MeasurementError(f"uint8 images are needed, not {images.dtype}")
    rows = np.empty((len(images), PREPARED_SIDE_PX**2 * _CHANNELS), dtype=np.float32)
    weights = _area_weights(images.shape[1], PREPARED_SIDE_PX)
    for start in range(0, len(images), _SHRINK_BLOCK):
        block = images[start : start + _SHRINK_BLOCK].astype(np.float32)
        shrunk = np.einsum("ph,nhwc,qw->npqc", weights, block, weights, optimize=True)
        rows[start : start + len(block)] = _unit(shrunk.reshape(len(block), -1))
    return rows


def blank(prepared: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which prepared rows, (n, k), come from images without any pattern, (n,) bool."""
    return np.asarray(~prepared.any(axis=1), dtype=np.bool_)


def nearest_correlation(
    query: NDArray[np.float32],
    training: NDArray[np.float32],
    *,
    query_block: int = 256,
    training_block: int = 2_048,
    progress: Progress = silent,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return each query's highest correlation with a training cell in any of the 8 orientations.

    Takes prepared rows, (n, k) and (m, k); returns the correlations, (n,) float32 in [-1, 1], and
    the rows of `training` that reach them, (n,) int64. A blank query gets 0 and row 0. Blocks
    bound the memory and change nothing else.

    Raises: MeasurementError where there is no training cell or the rows differ in length.
    """
    if len(training) == 0:
        raise MeasurementError("no training cell to compare with")
    if query.shape[1] != training.shape[1]:
        raise MeasurementError(
            f"rows of {query.shape[1]} and of {training.shape[1]} values cannot be compared"
        )
    best = np.full(len(query), -np.inf, dtype=np.float32)
    index = np.zeros(len(query), dtype=np.int64)
    for start in range(0, len(query), query_block):
        rows = slice(start, start + query_block)
        # Turning the queries turns each once; turning the training cells would for every block.
        turned = orientations(query[rows])
        for first in range(0, len(training), training_block):
            block = training[first : first + training_block]
            _raise_best(best[rows], index[rows], turned, block, first)
        progress("nearest training cells", min(start + query_block, len(query)), len(query))
    return np.clip(best, -1, 1), index


def copies(
    synthetic_best: NDArray[np.floating],
    held_out_best: NDArray[np.floating],
    threshold: float = COPY_CORRELATION,
) -> NDArray[np.bool_]:
    """Return which synthetic cells are copies of training cells, (n,) bool.

    A copy reaches the threshold and comes nearer to the training cells than any held-out real
    cell does: two real cells of one field can look alike without either being a copy.

    Raises: MeasurementError without held-out cells, or for a value that is not finite.
    """
    if len(held_out_best) == 0:
        raise MeasurementError("no held-out cell: what counts as near cannot be told")
    if not (np.isfinite(synthetic_best).all() and np.isfinite(held_out_best).all()):
        raise MeasurementError("correlations hold values that are not finite")
    near = (synthetic_best >= threshold) & (synthetic_best > held_out_best.max())
    return np.asarray(near, dtype=np.bool_)


def _raise_best(
    best: NDArray[np.float32],
    index: NDArray[np.int64],
    turned: NDArray[np.float32],
    block: NDArray[np.float32],
    first: int,
) -> None:
    """Update `best` and `index`, (q,) each, in place from one block of training rows."""
    correlation = (turned[0] @ block.T).astype(np.float32, copy=False)
    for rows in turned[1:]:
        np.maximum(correlation, rows @ block.T, out=correlation)
    here = correlation.argmax(axis=1)
    value = np.take_along_axis(correlation, here[:, None], axis=1)[:, 0]
    better = value > best
    best[better] = value[better]
    index[better] = here[better] + first


def orientations(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return prepared rows, (n, k), turned and mirrored: (8, n, k) float32."""
    side = round((rows.shape[1] / _CHANNELS) ** 0.5)
    images = rows.reshape(-1, side, side, _CHANNELS)
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(4)]
    mirrored = [image[:, :, ::-1] for image in turned]
    return np.stack([image.reshape(rows.shape) for image in turned + mirrored])


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    even = norm < _BLANK_RMS * np.sqrt(rows.shape[1])
    return np.asarray(np.where(even, 0, centred / np.where(even, 1, norm)), dtype=np.float32)


def _area_weights(size: int, target: int) -> NDArray[np.float32]:
    """Return (target, size) weights: the share of each source pixel in each target pixel."""
    edges = np.arange(target + 1) * (size / target)
    pixels = np.arange(size)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    overlap = np.maximum(high - low, 0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), dtype=np.float32)
