"""What is kept of a cell to find its copies: codes to search, and a small picture to verify.

A signature depends on the released pixels and the model's version alone, so a batch that is added
later is compared with what was kept, and finds what curating all at once finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..pixels import Pixels
from ..tiles import Tile
from .invariants import describe_rings, sample_rings
from .keypoints import KEYPOINTS, find_all_keypoints
from .model import CODE_SIZE, code_model
from .stain import fill, stain_map, without_corners, without_fill
from .thumbs import THUMB_PX, ThumbArray, Thumbs, fixed_bytes

_SHAPES: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
    "keypoints": (np.dtype(np.float32), (KEYPOINTS, 3)),
    "codes": (np.dtype(np.float16), (KEYPOINTS, CODE_SIZE)),
    "thumbs": (np.dtype(np.uint8), (THUMB_PX, THUMB_PX)),
}
SIGNATURE_SCHEMA = pa.schema([
    (name, pa.binary(kind.itemsize * int(np.prod(shape)))) for name, (kind, shape) in
    _SHAPES.items()
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signatures side by side.

    `keypoints` float32 (n, 3, 3): x, y, radius in px of the tile, NaN where there is none;
    `codes` float16 (n, 3, 24), NaN likewise; `thumbs` are grey pictures of 64 px.
    """

    keypoints: NDArray[np.float32]
    codes: NDArray[np.float16]
    thumbs: Thumbs

    def __len__(self) -> int:
        return len(self.codes)

    def without_codes(self) -> Signatures:
        """Return what is needed once candidates are found: codes of no dimension stand instead."""
        return replace(self, codes=np.empty((*self.codes.shape[:2], 0), np.float16))


MIN_SIDE_PX = 48
"""Smaller pictures hold too little to tell one cell from another: only equal ones are copies."""


def sign(tiles_NHWC: NDArray[np.uint8], sides_px: NDArray[np.int32] | None = None) -> Signatures:
    """Return the signatures of tiles, uint8 (n, 96, 96, 3) RGB.

    `sides_px` are the shorter sides of the pictures they were made of, int32 (n,).
    """
    seen = [without_corners(tile, fill(tile)) for tile in tiles_NHWC]
    keypoints = find_all_keypoints([stain_map(tile, filled) for tile, filled in seen])
    if sides_px is not None:
        keypoints[sides_px < MIN_SIDE_PX] = np.nan
    known = ~np.isnan(keypoints[:, :, 0])
    rings = [
        sample_rings(without_fill(tile, filled), points[there])
        for (tile, filled), points, there in zip(seen, keypoints, known, strict=True)
    ]
    codes = np.full((len(tiles_NHWC), KEYPOINTS, CODE_SIZE), np.nan, np.float16)
    if known.any():
        codes[known] = code_model().codes(describe_rings(np.concatenate(rings)))
    return Signatures(keypoints, codes, ThumbArray(np.stack([thumb(one) for one in tiles_NHWC])))


def thumb(tile: Tile) -> Pixels:
    """Return a tile as a small grey picture, uint8 (64, 64)."""
    import cv2

    grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)
    return cast(Pixels, cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA))


def signature_columns(signatures: Signatures) -> dict[str, pa.Array]:
    """Return signatures as columns of bytes, by the names of `SIGNATURE_SCHEMA`."""
    arrays: dict[str, NDArray[Any]] = {
        "keypoints": signatures.keypoints,
        "codes": signatures.codes,
        "thumbs": signatures.thumbs.take(np.arange(len(signatures))),
    }
    return {field.name: _as_bytes(arrays[field.name], field.type) for field in SIGNATURE_SCHEMA}


def read_signatures(table: pa.Table, thumbs: Thumbs) -> Signatures:
    """Return the signatures of rows with the columns `keypoints` and `codes`.

    Rows whose columns are null keep their place; what they hold means nothing.
    """
    return Signatures(_whole(table["keypoints"], "keypoints"), _whole(table["codes"], "codes"),
                      thumbs)  # fmt: skip


def _as_bytes(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    buffer = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(kind, len(values), [None, buffer])


def _whole(column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    kind, shape = _SHAPES[name]
    parts = [fixed_bytes(chunk).view(kind).reshape(-1, *shape) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty((0, *shape), kind)
