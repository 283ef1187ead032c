"""`reports/curation.json`: what `curate` did, in numbers that may be published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .cells import SPLITS
from .dedupe.exact import Duplicates
from .deidentify.own_labels import public_labels
from .deidentify.policy import is_element
from .deidentify.source_policy import SourcePolicy
from .manifest import Frozen
from .output import write_whole
from .staged_rows import StagedRows


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
    split_shares: dict[str, float]
    missing_in_split: dict[str, tuple[str, ...]]


def write_report(
    folder: Path,
    sources: Sequence[SourcePolicy],
    staged: StagedRows,
    reasons: NDArray[np.object_],
    duplicates: Duplicates,
    splits: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> CurationReport:
    """Write `curation.json` into `folder` and return what it says."""
    columns = staged.columns(["label", "label_found"])
    pairs = zip(columns["label_found"].to_pylist(), columns["label"].to_pylist(), strict=True)
    labels = columns["label"].take(pa.array(kept)).to_pylist()
    report = CurationReport(
        sources=tuple(entry.source.kind for entry in sources),
        n_in=len(staged),
        n_out=len(kept),
        dropped=dict(Counter(reason for reason in reasons.tolist() if reason)),
        labels=public_labels(pairs),
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
        split_shares={
            split: round(float(np.mean(splits == index)), 4) for index, split in enumerate(SPLITS)
        },
        missing_in_split=_missing(labels, splits),
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_whole(folder / "curation.json", text.encode() + b"\n")
    return report


def _missing(labels: list[str], splits: NDArray[np.int64]) -> dict[str, tuple[str, ...]]:
    known = sorted(set(labels))
    missing: dict[str, tuple[str, ...]] = {}
    for index, split in enumerate(SPLITS):
        here = {labels[row] for row in np.flatnonzero(splits == index)}
        absent = tuple(label for label in known if label not in here)
        if absent:
            missing[split] = absent
    return missing
