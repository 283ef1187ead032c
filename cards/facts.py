"""What a card states: read from a dataset folder, counted from its rows; nothing is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.cells import SPLITS
from curation.corpus import Corpus
from curation.curation_report import CurationReport
from curation.curation_report import read_report as read_curation
from curation.manifest import Manifest, parse_model
from curation.validate.acquisition_report import AcquisitionReport
from curation.vocabulary import CELL_TYPES, CellType
from synth.measure.measurement import ALL_CLASSES, Measurement, Measurements, read_measurements
from synth.selection_report import SelectionReport, read_selection

from .dataset_folder import open_dataset
from .release_record import ReleaseRecord, read_record
from .row_counts import RowCounts, count_rows
from .vocabulary_gate import shard_features

ACQUISITIONS_NAME = "reports/acquisitions.json"
_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One line of the class table; `subjects` is 0 where they are not known."""

    cell: CellType
    train: int
    validation: int
    test: int
    synthetic: int
    subjects: int

    @property
    def real(self) -> int:
        """Real cells of all splits."""
        return self.train + self.validation + self.test


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that the card of one dataset states."""

    folder: Path
    record: ReleaseRecord
    manifest: Manifest
    counts: RowCounts
    features: Mapping[str, Mapping[str, Any]]
    measurements: Measurements
    curation: CurationReport | None
    acquisitions: AcquisitionReport | None
    selection: SelectionReport | None

    @property
    def is_real(self) -> bool:
        """Whether this is the dataset of real cells."""
        return self.record.kind == "real"

    def classes(self) -> list[ClassRow]:
        """Return the classes of either dataset, in the vocabulary's order."""
        own, other = self.counts.classes, self.record.companion.classes
        real, made = (own, other) if self.is_real else (other, own)
        rows = []
        for cell in CELL_TYPES:
            train, validation, test = (real.get(s, {}).get(cell.name, 0) for s in SPLITS)
            synthetic = sum(counts.get(cell.name, 0) for counts in made.values())
            subjects = self.counts.subjects_of_class.get(cell.name, 0)
            row = ClassRow(cell, train, validation, test, synthetic, subjects)
            if row.real or synthetic:
                rows.append(row)
        return rows

    def balance(self) -> dict[str, dict[str, int]]:
        """Return label -> split or "synthetic" -> cells, for the picture of the classes."""
        parts = ("train", "validation", "test", "synthetic")
        return {
            row.cell.name: {part: getattr(row, part) for part in parts} for row in self.classes()
        }

    def pooled(self) -> list[Measurement]:
        """Return the measurements over all classes together."""
        return [one for one in self.measurements.measurements if one.label == ALL_CLASSES]

    def by_class(self) -> list[Measurement]:
        """Return the measurements of single classes."""
        return [one for one in self.measurements.measurements if one.label != ALL_CLASSES]

    def size_category(self) -> str:
        """Return the Hub's size category."""
        rows = self.counts.rows
        return next((name for limit, name in _SIZES if rows < limit), "100M<n<1B")


def read_facts(folder: Path) -> CardFacts:
    """Gather what the card of a dataset folder states.

    Raises: CorpusError, MeasurementError where a report is missing or does not fit.
    """
    corpus = open_dataset(folder)
    record = read_record(folder)
    shards = corpus.manifest.shards
    return CardFacts(
        folder=folder,
        record=record,
        manifest=corpus.manifest,
        counts=count_rows(corpus),
        features=shard_features(folder / shards[0].path) if shards else {},
        measurements=read_measurements(folder / "reports"),
        curation=_curation(corpus),
        acquisitions=read_acquisitions(folder),
        selection=read_selection(corpus),
    )


def _curation(corpus: Corpus) -> CurationReport | None:
    there = (corpus.path / "reports" / "curation.json").is_file()
    return read_curation(corpus.path) if there else None


def read_acquisitions(folder: Path) -> AcquisitionReport | None:
    """Return what `smearkit validate` found of a dataset folder's acquisitions, if it was given."""
    file = folder / ACQUISITIONS_NAME
    return parse_model(AcquisitionReport, file) if file.is_file() else None
