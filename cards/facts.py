"""What a card states, gathered from manifests and reports; a card computes nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.cells import SPLITS
from curation.corpus import Corpus
from curation.vocabulary import CELL_TYPES, CellType
from synth.measure.measurement import Measurement, Measurements

from .gates import Gate

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One line of the class table."""

    cell: CellType
    train: int
    validation: int
    test: int
    synthetic: int


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that the two cards of a release state."""

    name: str
    version: str
    license: str
    source: str | None
    real: Corpus
    synthetic: Corpus
    measurements: Measurements
    gates: Sequence[Gate]

    def classes(self) -> list[ClassRow]:
        """Return the classes of either corpus, in the vocabulary's order."""
        real, made = self.real.manifest.classes, self.synthetic.manifest.class_totals()
        rows = []
        for cell in CELL_TYPES:
            train, validation, test = (real.get(s, {}).get(cell.name, 0) for s in SPLITS)
            row = ClassRow(cell, train, validation, test, made.get(cell.name, 0))
            if train or validation or test or row.synthetic:
                rows.append(row)
        return rows

    def measured(self, name: str) -> list[Measurement]:
        """Return the measurements of one name, classes pooled first."""
        return [found for found in self.measurements.measurements if found.name == name]

    def size_category(self, corpus: Corpus) -> str:
        """Return the Hub's size category of a corpus."""
        rows = corpus.manifest.n_out
        return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")
