"""Cells that a classifier is tested on: real ones, of no training split, by their very type.

A `RealTestCells` can be made by the two functions below only, and both refuse synthetic cells and
those that anything was trained on. What tests a classifier takes this type and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from curation.cells import Split
from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View

from .corpus_cells import corpus_cells
from .sides import Cells, Sides

_PROOF = object()


@dataclass(frozen=True, slots=True)
class RealTestCells:
    """Real held-out cells; made by `corpus_test_cells` or `side_test_cells`."""

    cells: Cells
    proof: object

    def __post_init__(self) -> None:
        """Refuse what neither function made."""
        if self.proof is not _PROOF:
            raise MeasurementError(
                "cells to test on are made by corpus_test_cells or side_test_cells, which refuse "
                "synthetic and training cells"
            )

    def __len__(self) -> int:
        """Return how many cells there are."""
        return len(self.cells)

    def of_classes(self, labels: Sequence[str]) -> RealTestCells:
        """Return the cells of some classes."""
        rows = np.flatnonzero(np.isin(np.array(self.cells.labels, dtype=str), list(labels)))
        return RealTestCells(self.cells.take(rows), self.proof)

    def refuse_shared(self, name: str, others: Cells) -> None:
        """Refuse to test on cells or subjects that are among others; `name` says what these are.

        Raises: MeasurementError.
        """
        own, theirs = _known(self.cells), _known(others)
        for what in own:
            shared = own[what] & theirs[what]
            if shared:
                raise MeasurementError(
                    f"{len(shared)} {what} of the {len(self)} cells to test on are also among "
                    f"the {len(others)} {name} cells, so a test would say nothing. Next: give a "
                    "corpus that `smearkit curate` has split"
                )


def corpus_test_cells(corpus: Corpus, split: Split, view: View, codec: Codec) -> RealTestCells:
    """Return the cells of a real corpus' split in a generator's view and codec.

    Raises: MeasurementError where a cell is synthetic, or the split is that of training.
    """
    if split == "train":
        raise MeasurementError(
            f"the training split of {corpus.path} was given to test on. "
            "Next: give test or validation"
        )
    origins = set(corpus.rows(["origin"], [split])["origin"].to_pylist())
    if corpus.manifest.kind != "real" or origins - {"real"}:
        raise MeasurementError(
            f"{split} of {corpus.path}, a {corpus.manifest.kind} corpus, holds cells that are "
            f"{' and '.join(sorted(origins))}; classifiers are tested on real cells only. "
            "Next: give the real corpus"
        )
    return RealTestCells(corpus_cells(corpus, split, view, codec), _PROOF)


def side_test_cells(sides: Sides) -> RealTestCells:
    """Return the held-out side of an evaluation to test on.

    Raises: MeasurementError where it shares a cell or a subject with the training cells, or a cell
    with the drawn ones.
    """
    tests = RealTestCells(sides.held, _PROOF)
    tests.refuse_shared("training", sides.train)
    tests.refuse_shared("synthetic", sides.drawn)
    return tests


def _known(cells: Cells) -> dict[str, set[str]]:
    return {
        "ids": set(cells.ids),
        # A cell under another name is the same cell.
        "pictures": {_digest(image) for image in cells.images},
        "subjects": {subject for subject in cells.subjects if subject is not None},
    }


def _digest(image: NDArray[np.uint8]) -> str:
    return blake3(np.ascontiguousarray(image).tobytes()).hexdigest(length=16)
