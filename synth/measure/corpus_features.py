"""The features of a whole corpus, cell by cell from its shards, by one process or several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.pixels import Pixels, decode_rgb
from curation.progress import Progress, silent

from ..processes import Ranks, ranks_of_run
from ..view import view_through_codec
from .extractor import BATCH, Extractor
from .feature_piece import pixel_hash
from .feature_store import PIECE_ROWS, FeatureStore, Tell, pipeline_key

WAIT_SECONDS = 3_600.0
"""How long the others' part may take without a single new piece."""
_POLL_SECONDS = 0.2
_TURN_ROWS = 64
"""Rows that go to one process before it is the next one's turn."""


def features_of_corpus(
    corpus: Corpus,
    splits: Sequence[str],
    view: View | None,
    codec: Codec | None,
    extractor: Extractor,
    *,
    folder: Path | None = None,
    out: NDArray[np.float32] | None = None,
    batch: int = BATCH,
    ranks: Ranks | None = None,
    tell: Tell | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Return the features of every cell of some splits, (n, d) float32, in the corpus' order.

    Cells come through the view and the codec, or as they are where either is None. Images are read
    a batch at a time; `out` may be a `numpy.memmap` where n x d floats are too many. What is kept
    below `folder` is not extracted again and not even decoded. Under `accelerate launch` or
    `torchrun` each process extracts its part into the same folder, and all return the whole.

    Raises: MeasurementError as `Extractor.features` does, where `out` has another shape, or where
    another process of the run stops; SmearkitError where the disk is full.
    """
    ranks = ranks or ranks_of_run()
    ids = corpus.rows(["image_id"], splits)["image_id"].to_pylist()
    shape = (len(ids), extractor.dimensions)
    rows = np.empty(shape, np.float32) if out is None else out
    if rows.shape != shape or rows.dtype != np.float32:
        raise MeasurementError(f"out is {rows.shape} {rows.dtype}; {shape} float32 was expected")
    key = pipeline_key(view, codec, corpus.fingerprint)
    store = FeatureStore(folder, extractor, key, tell=tell)
    missing = store.lookup(ids, rows)
    own = [row for row in missing if ranks.owns(row // _TURN_ROWS)]
    cells = ((ids[row], pixels) for row, pixels in _cells(corpus, splits, own, view, codec))
    done = len(ids) - len(missing)
    for start in range(0, len(own), PIECE_ROWS):
        part = own[start : start + PIECE_ROWS]
        rows[part] = _extract(store, cells, len(part), batch)
        progress("features", done + start + len(part), len(ids))
    if ranks.count > 1:
        mine = set(own)
        _await_others(store, ids, rows, [row for row in missing if row not in mine])
    return rows


def _cells(
    corpus: Corpus,
    splits: Sequence[str],
    wanted: Sequence[int],
    view: View | None,
    codec: Codec | None,
) -> Iterator[tuple[int, Pixels]]:
    """Yield the wanted rows, which ascend, with their pixels; the others are not decoded."""
    left = iter(wanted)
    following = next(left, None)
    if following is None:
        return
    for row, data in enumerate(corpus.images(splits)):
        if row == following:
            pixels = decode_rgb(data)
            if view is not None and codec is not None:
                pixels = view_through_codec(pixels, view, codec)
            yield row, pixels
            following = next(left, None)
            if following is None:
                return


def _extract(
    store: FeatureStore, cells: Iterator[tuple[str, Pixels]], count: int, batch: int
) -> NDArray[np.float32]:
    names: list[str] = []
    hashes: list[bytes] = []

    def images() -> Iterator[Pixels]:
        for _ in range(count):
            name, pixels = next(cells)
            names.append(name)
            hashes.append(pixel_hash(pixels))
            yield pixels

    rows = store.extractor.features(images(), count, batch=batch)
    store.keep(names, hashes, rows)
    return rows


def _await_others(
    store: FeatureStore, ids: Sequence[str], rows: NDArray[np.float32], missing: Sequence[int]
) -> None:
    """Fill in what the other processes extract.

    A launcher ends all processes of a run with the first that fails, so this one only has to see
    that it was not started alone.
    """
    end = time.monotonic() + WAIT_SECONDS
    while missing:
        found = np.empty((len(missing), rows.shape[1]), np.float32)
        left = store.lookup([ids[row] for row in missing], found)
        there = np.setdiff1d(np.arange(len(missing)), left)
        rows[np.asarray(missing)[there]] = found[there]
        if len(there):
            end = time.monotonic() + WAIT_SECONDS
        elif time.monotonic() > end:
            raise MeasurementError(
                f"the other processes of this run left {len(left)} cells without features for "
                f"{WAIT_SECONDS:.0f} s. Next: see their messages, then run the same command again "
                "(it goes on where it stopped)"
            )
        else:
            time.sleep(_POLL_SECONDS)
        missing = [missing[place] for place in left]
