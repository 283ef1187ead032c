"""Copies of training cells that were shifted, cropped, turned by any angle or coloured anew.

The search is that of curation's duplicates: codes of stained blobs, then registration to a fraction
of a pixel. A correlation over 8 orientations finds none of the copies that lie two px beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.dedupe.keypoints import KEYPOINTS
from curation.dedupe.model import CODE_SIZE
from curation.dedupe.near import near_pairs
from curation.dedupe.signature import MIN_SIDE_PX, Signatures, sign
from curation.dedupe.thumbs import THUMB_PX, ThumbArray
from curation.tiles import shrink

Images = NDArray[np.uint8]
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class AlteredCopies:
    """Which queries show the place of a training cell, (n,) bool, and which, (n,) int64 or -1."""

    found: NDArray[np.bool_]
    train: NDArray[np.int64]


def can_be_searched(side_px: int) -> bool:
    """Return whether images are large enough for altered copies to be told from other cells."""
    return side_px >= MIN_SIDE_PX


def signatures_of(images_NHWC: Images) -> Signatures:
    """Return what is searched of square images, (n, s, s, 3) uint8 RGB."""
    parts = [
        sign(np.stack([shrink(image) for image in images_NHWC[start : start + _AT_ONCE]]))
        for start in range(0, len(images_NHWC), _AT_ONCE)
    ]
    return _joined(parts) if parts else _nothing()


def altered_copies(queries: Signatures, training: Signatures) -> AlteredCopies:
    """Return which cells are copies of training cells, by the best verified pair of each.

    Pairs that lie far apart on one field count too: a generator draws no neighbours of a cell but
    by memory.
    """
    count, known = len(queries), len(training)
    found, train = np.zeros(count, np.bool_), np.full(count, -1, np.int64)
    if not count or not known:
        return AlteredCopies(found, train)
    names = [f"{row:012d}" for row in range(known + count)]
    pairs = near_pairs(_joined([training, queries]), names, known=known, across=True)
    order = np.argsort(pairs.correlation, kind="stable")
    rows = pairs.second[order] - known
    found[rows] = True
    train[rows] = pairs.first[order]  # of several, the last and closest stays
    return AlteredCopies(found, train)


def _nothing() -> Signatures:
    return Signatures(
        np.empty((0, KEYPOINTS, 3), np.float32),
        np.empty((0, KEYPOINTS, CODE_SIZE), np.float16),
        ThumbArray(np.empty((0, THUMB_PX, THUMB_PX), np.uint8)),
    )


def _joined(parts: list[Signatures]) -> Signatures:
    return Signatures(
        np.concatenate([part.keypoints for part in parts]),
        np.concatenate([part.codes for part in parts]),
        ThumbArray(np.concatenate([part.thumbs.take(np.arange(len(part))) for part in parts])),
    )
