"""Training cells in the orientation in which they are nearest to other cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .memorisation import orientations, prepare

Images = NDArray[np.uint8]
ORIENTATIONS = 8


def turned_image(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) in one of 8 orientations: quarter turns, then mirrored ones.

    The numbers are those of `memorisation.orientations`.
    """
    turned = np.rot90(image, orientation % 4)
    return np.ascontiguousarray(turned[:, ::-1] if orientation >= 4 else turned)


def nearest_orientations(cells_NHWC: Images, matches_NHWC: Images) -> NDArray[np.int64]:
    """Return in which orientation each match is most like its cell, (n,) int64 in 0..7.

    Both are square images, (n, s, s, 3) uint8, row by row.
    """
    turned = orientations(prepare(matches_NHWC))
    likeness = np.einsum("onk,nk->no", turned, prepare(cells_NHWC))
    return np.asarray(likeness.argmax(axis=1), np.int64)
