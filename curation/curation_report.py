"""`reports/curation.json`: what `curate` did, in numbers that may be published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa
from pydantic import Field, model_validator

from .decide import Decided
from .dedupe.report import DuplicateReport, duplicate_report, write_conflicts
from .deidentify.own_labels import public_labels
from .deidentify.policy import is_element
from .deidentify.source_policy import SourcePolicy
from .manifest import Frozen, parse_model
from .output import write_whole
from .split_report import SplitReport
from .staged_rows import StagedRows
from .validate.checks import CheckReport

REPORT_NAME = "curation.json"


class ConflictEntry(Frozen):
    """One image that carried several labels, or belonged to several subjects."""

    image_id: str
    kind: str
    labels: tuple[str, ...]
    copies: int


class CurationReport(Frozen):
    """What was read, what was dropped and why, and how the rest was split."""

    sources: tuple[str, ...]
    n_in: int
    n_out: int
    dropped: dict[str, int]
    labels: dict[str, str]
    columns_dropped: tuple[str, ...]
    duplicate_groups: int
    conflicts: tuple[ConflictEntry, ...]
    duplicates: DuplicateReport
    checks: CheckReport
    acquisitions: tuple[int, ...] = Field(description="cells of each, the largest first")
    splits: SplitReport

    @model_validator(mode="after")
    def _counts_add_up(self) -> Self:
        dropped, divided = sum(self.dropped.values()), sum(self.splits.cells.values())
        if self.n_in != self.n_out + dropped:
            raise ValueError(f"n_in {self.n_in} != n_out {self.n_out} + dropped {dropped}")
        if divided != self.n_out:
            raise ValueError(f"splits add up to {divided}, but n_out is {self.n_out}")
        return self


def write_report(
    folder: Path,
    sources: Sequence[SourcePolicy],
    staged: StagedRows,
    decided: Decided,
    splits: SplitReport,
) -> CurationReport:
    """Write `curation.json` and `conflicts.parquet` into `folder`; return what the first says."""
    columns = staged.columns(["image_id", "label", "label_found", "subject"])
    duplicates = decided.copies.duplicates
    report = CurationReport(
        sources=tuple(entry.source.kind for entry in sources),
        n_in=len(staged),
        n_out=len(decided.kept),
        dropped=dict(Counter(reason for reason in decided.reasons.tolist() if reason)),
        labels=public_labels(_label_pairs(columns)),
        columns_dropped=tuple(
            dict.fromkeys(
                t.column
                for entry in sources
                for t in entry.treatments
                if not t.into and not is_element(t.column)
            )
        ),
        duplicate_groups=duplicates.n_groups,
        conflicts=tuple(
            ConflictEntry(image_id=c.image_id, kind=c.kind, labels=c.labels, copies=len(c.rows))
            for c in duplicates.conflicts
        ),
        duplicates=duplicate_report(decided.copies, len(decided.judged.usable)),
        checks=decided.judged.checked.report,
        acquisitions=tuple(decided.judged.acquisitions.sizes().tolist()),
        splits=splits,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_conflicts(folder, duplicates, columns)
    text = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_whole(folder / REPORT_NAME, text.encode() + b"\n")
    return report


def read_report(corpus: Path) -> CurationReport:
    """Return the curation report of a corpus.

    Raises: CorpusError where it is missing or damaged.
    """
    return parse_model(CurationReport, corpus / "reports" / REPORT_NAME)


def _label_pairs(columns: pa.Table) -> list[tuple[str, str | None]]:
    """Return the distinct pairs of label as found and label, in the order they are met."""
    pairs = columns.select(["label_found", "label"]).group_by(
        ["label_found", "label"], use_threads=False
    ).aggregate([])  # fmt: skip
    return list(zip(pairs["label_found"].to_pylist(), pairs["label"].to_pylist(), strict=True))
