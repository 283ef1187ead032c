"""Features kept on the disk, so that what was once extracted is never extracted again.

A store is one folder for one extractor, one image pipeline, one view, one codec and one corpus: its
name is a hash over all of them, so that other ones look elsewhere. In it lie pieces, each written
whole and then renamed, never changed: two processes may fill a store at once, and at worst both
extract the same cell. Each row carries a hash over its image id, its pixels and its features. What
does not fit its hash counts as not there: a damaged file costs time, never a wrong number.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.manifest import Codec, View, canonical_json
from curation.output import disk_errors
from curation.progress import Progress, silent

from .extractor import BATCH, Extractor
from .feature_piece import Piece, PieceError, open_piece, pixel_hash, write_piece

CACHE_VARIABLE = "SMEARKIT_CACHE"
PIECE_ROWS = 2_048
"""Rows that are extracted before they are written; what a kill costs at most. 16 MB."""

_KEY_NAME = "key.json"
_FORMAT = 1
Tell = Callable[[str], None]


def default_folder() -> Path:
    """Return the folder of all stores: below $SMEARKIT_CACHE, else ~/.cache/smearkit."""
    named = os.environ.get(CACHE_VARIABLE)
    return (Path(named) if named else Path.home() / ".cache" / "smearkit") / "features"


def pipeline_key(view: View | None, codec: Codec | None, fingerprint: str) -> str:
    """Return what a store has to know of its images: view, codec, and corpus."""
    return canonical_json(
        {
            "view": view and view.model_dump(mode="json"),
            "codec": codec and codec.model_dump(mode="json"),
            "corpus": fingerprint,
        }
    ).decode()


class FeatureStore:
    """The kept features of one extractor on the images of one pipeline."""

    def __init__(
        self,
        folder: Path | None,
        extractor: Extractor,
        pipeline_key: str,
        *,
        tell: Tell | None = None,
    ) -> None:
        """Open a store below `folder`, else below `default_folder()`; nothing is written yet.

        `tell` is given a line about what is damaged; without it, a warning says so.
        """
        self.extractor = extractor
        self._key = canonical_json(
            {
                "format": _FORMAT,
                "extractor": extractor.name,
                "sha256": extractor.sha256,
                "pipeline": extractor.pipeline,
                "dimensions": extractor.dimensions,
                "images": pipeline_key,
            }
        )
        name = blake3(self._key).hexdigest(length=16)
        self.folder = (folder or default_folder()) / name
        self._tell = tell or _warn
        self._pieces: dict[str, Piece | None] = {}
        self._places: dict[str, list[tuple[Piece, int]]] = {}

    def features(
        self,
        images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
        ids: Sequence[str],
        *,
        batch: int = BATCH,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Return the features of images, (n, d) float32, row by row; only missing ones are made.

        `images` are (h, w, 3) uint8 RGB and `ids` their image ids. A row is taken from the store
        only where the pixels are the same ones as well.

        Raises: MeasurementError as `Extractor.features` does; SmearkitError where the disk is full.
        """
        if len(images) != len(ids):
            raise MeasurementError(f"{len(images)} images came with {len(ids)} ids")
        rows = np.empty((len(ids), self.extractor.dimensions), np.float32)
        hashes = [pixel_hash(images[row]) for row in range(len(ids))]
        missing = self.lookup(ids, rows, hashes)
        done = len(ids) - len(missing)
        for start in range(0, len(missing), PIECE_ROWS):
            part = missing[start : start + PIECE_ROWS]
            found = self.extractor.features(
                (images[row] for row in part),
                len(part),
                batch=batch,
                progress=_shifted(progress, done + start, len(ids)),
            )
            rows[part] = found
            self.keep([ids[row] for row in part], [hashes[row] for row in part], found)
        return rows

    def lookup(
        self,
        ids: Sequence[str],
        rows: NDArray[np.float32],
        hashes: Sequence[bytes] | None = None,
    ) -> list[int]:
        """Fill in the rows that are kept, (n, d) float32, and return the places of the others.

        Without hashes of the pixels, the ids alone decide: right for a corpus, whose ids are hashes
        of its pixels and whose fingerprint stands in the key.
        """
        self.refresh()
        missing = []
        for row, name in enumerate(ids):
            found = self._find(name, None if hashes is None else hashes[row])
            if found is None:
                missing.append(row)
            else:
                rows[row] = found
        return missing

    def keep(self, ids: Sequence[str], hashes: Sequence[bytes], rows: NDArray[np.float32]) -> None:
        """Write rows, (n, d) float32, as one piece.

        Raises: SmearkitError where the disk is full or cannot be written.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / _KEY_NAME).exists():
                # For people: what this folder is of. The folder's name alone decides.
                self._write_key()
            write_piece(self.folder, ids, hashes, rows)

    def _write_key(self) -> None:
        # Under a name of its own first: another process may be writing it as well.
        own = self.folder / f".{uuid.uuid4().hex}.json"
        own.write_bytes(self._key)
        own.replace(self.folder / _KEY_NAME)

    def refresh(self) -> None:
        """Look for pieces that have come since, from this process or another."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in self._pieces:
                self._pieces[path.name] = self._open(path)

    def _open(self, path: Path) -> Piece | None:
        try:
            piece = open_piece(path, self.extractor.dimensions)
        except PieceError as error:
            if not path.exists():  # another process saw the same damage first
                return None
            self._tell(f"kept features {path.name} are damaged ({error}); they are extracted again")
            with suppress(OSError):
                path.unlink()
            return None
        for row, name in enumerate(piece.ids):
            self._places.setdefault(name, []).append((piece, row))
        return piece

    def _find(self, name: str, hash_of_pixels: bytes | None) -> NDArray[np.float32] | None:
        for piece, row in self._places.get(name, ()):
            if hash_of_pixels is not None and piece.pixels(row) != hash_of_pixels:
                continue
            found = piece.row(row)
            if found is not None:
                return found
            self._tell(f"a row of {piece.name} is damaged; it is extracted again")
        return None


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda what, done, _: progress(what, before + done, total)


def _warn(line: str) -> None:
    warnings.warn(line, RuntimeWarning, stacklevel=2)
