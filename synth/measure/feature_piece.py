"""One file of kept features: rows that each carry a hash, in the format of safetensors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from curation.output import write_whole

HASH_BYTES = 16
_ID_BYTES = 64
_FORMAT = "1"


class PieceError(Exception):
    """A piece cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An open piece; the features are mapped from the file and read when asked for."""

    name: str
    ids: tuple[str, ...]
    _features: NDArray[np.float32]
    _pixels: NDArray[np.uint8]
    _checks: NDArray[np.uint8]

    def pixels(self, row: int) -> bytes:
        """Return the hash of the pixels that a row was made of."""
        return bytes(self._pixels[row].tobytes())

    def row(self, row: int) -> NDArray[np.float32] | None:
        """Return the features of a row, (d,) float32; None where they do not fit their hash."""
        features = np.array(self._features[row])
        check = _check(self.ids[row], self.pixels(row), features)
        return features if check == self._checks[row].tobytes() else None


def pixel_hash(image: NDArray[np.uint8]) -> bytes:
    """Return a hash of an image's pixels and shape, 16 bytes."""
    return _hash(str(image.shape).encode(), np.ascontiguousarray(image).tobytes())


def write_piece(
    folder: Path, ids: Sequence[str], hashes: Sequence[bytes], rows: NDArray[np.float32]
) -> None:
    """Write a piece of rows, (n, d) float32, under a name that no other piece has."""
    from safetensors.numpy import save

    names = [name.encode() for name in ids]
    if any(len(name) > _ID_BYTES for name in names):
        raise ValueError(f"an image id is longer than {_ID_BYTES} bytes")
    checks = [_check(*row) for row in zip(ids, hashes, rows, strict=True)]
    data = save(
        {
            "features": np.ascontiguousarray(rows, np.float32),
            "ids": _bytes([name.ljust(_ID_BYTES, b"\0") for name in names], _ID_BYTES),
            "pixels": _bytes(hashes, HASH_BYTES),
            "checks": _bytes(checks, HASH_BYTES),
        },
        {"format": _FORMAT},
    )
    write_whole(folder / f"{uuid.uuid4().hex}.safetensors", data)


def open_piece(path: Path, dimensions: int) -> Piece:
    """Open a piece of features of `dimensions`.

    Raises: PieceError where it is cut short or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            small = {name: file.get_tensor(name) for name in ("ids", "pixels", "checks")}
            shape = file.get_slice("features").get_shape()
        count = len(small["ids"])
        offset = _offset(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise PieceError(type(error).__name__) from error
    if shape != [count, dimensions] or any(len(part) != count for part in small.values()):
        raise PieceError(f"{shape} features of {count} images")
    features = np.memmap(path, np.float32, "r", offset, (count, dimensions))
    try:
        ids = tuple(row.tobytes().rstrip(b"\0").decode() for row in small["ids"])
    except UnicodeDecodeError as error:
        raise PieceError("image ids are not text") from error
    return Piece(path.name, ids, features, small["pixels"], small["checks"])


def _offset(path: Path) -> int:
    """Return where the features start: safetensors maps no rows into numpy by itself."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return 8 + length + int(header["features"]["data_offsets"][0])


def _check(name: str, pixels: bytes, features: NDArray[np.float32]) -> bytes:
    return _hash(name.encode(), b"\0", pixels, features.tobytes())


def _hash(*parts: bytes) -> bytes:
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _bytes(rows: Sequence[bytes], size: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), size)
