"""Real cells that a generator is measured against, as it would draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.pixels import decode_rgb
from synth.generator import Generator
from synth.plan import PlannedCell, cell_seed
from synth.view import view_through_codec


@dataclass(frozen=True, slots=True)
class RealCells:
    """Images (n, s, s, 3) uint8 in the generator's view and codec, with their labels."""

    images: NDArray[np.uint8]
    labels: tuple[str, ...]

    def first(self, count: int) -> RealCells:
        """Return the first cells; of those in turn, every class is among them."""
        return RealCells(self.images[:count], self.labels[:count])


def check_corpus(generator: Generator, corpus: Corpus) -> None:
    """Refuse a corpus that the generator did not learn from: its test cells may be known to it.

    Raises: MeasurementError.
    """
    if corpus.fingerprint != generator.info.training_corpus:
        raise MeasurementError(
            f"{generator.path} was trained on corpus {generator.info.training_corpus}, but "
            f"{corpus.path} is {corpus.fingerprint}. Next: give the corpus it was trained on"
        )


def cells_in_turn(
    corpus: Corpus, split: Split, generator: Generator, count: int | None, seed: int = 0
) -> RealCells:
    """Return cells of a split, drawn at random within each class and the classes in turn.

    A short start of them has every class about equally often. Classes that the generator cannot
    draw are left out; without a count, all cells come.

    Raises: MeasurementError where the split holds none.
    """
    labels = np.array(corpus.labels([split]), dtype=object)
    rows = in_turn(labels, sorted(generator.info.trained_on), seed)[:count]
    if len(rows) == 0:
        raise MeasurementError(f"{corpus.path} has no {split} cells of the generator's classes")
    return RealCells(_decoded(corpus, split, generator, rows), tuple(labels[rows]))


def in_turn(labels: NDArray[np.object_], known: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return rows of known labels, each class shuffled, so that the classes come in turn."""
    rng = np.random.default_rng(seed)
    places = []
    for number, label in enumerate(known):
        rows = rng.permutation(np.flatnonzero(labels == label))
        places += [(rank, number, row) for rank, row in enumerate(rows)]
    return np.array([row for _, _, row in sorted(places)], dtype=np.int64)


def like(real: RealCells, seed: int) -> list[PlannedCell]:
    """Return as many cells to draw, of the same classes; a shorter start stays the same."""
    seen: dict[str, int] = {}
    cells = []
    for label in real.labels:
        number = seen.get(label, 0)
        seen[label] = number + 1
        cells.append(PlannedCell(label, cell_seed(seed, label, number)))
    return cells


def of_labels(
    corpus: Corpus, split: Split, generator: Generator, wanted: Sequence[str], seed: int = 0
) -> RealCells:
    """Return cells of another split with the labels wanted, row by row; where a class has too
    few, as many as there are."""
    labels = np.array(corpus.labels([split]), dtype=object)
    rng = np.random.default_rng(seed)
    pool = {label: list(rng.permutation(np.flatnonzero(labels == label))) for label in set(wanted)}
    rows = np.array([pool[label].pop() for label in wanted if pool[label]], dtype=np.int64)
    return RealCells(_decoded(corpus, split, generator, rows), tuple(labels[rows]))


def _decoded(
    corpus: Corpus, split: Split, generator: Generator, rows: NDArray[np.int64]
) -> NDArray[np.uint8]:
    info = generator.info
    places = {int(row): place for place, row in enumerate(rows)}
    wanted = np.zeros(corpus.manifest.splits[split], bool)
    wanted[rows] = True
    images = np.empty((len(rows), info.view.side, info.view.side, 3), np.uint8)
    found = compress(corpus.images([split]), wanted)
    for row, data in zip(np.flatnonzero(wanted), found, strict=True):
        images[places[int(row)]] = view_through_codec(decode_rgb(data), info.view, info.codec)
    return images
