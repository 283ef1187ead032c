"""What the search for copies found, how sure it is, and what that means at this size of corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..manifest import Frozen
from .candidates import gate_distance
from .exact import Duplicates
from .find import Found
from .model import MODEL_VERSION, FalseRates, false_rates
from .registration import MIN_CORRELATION, MIN_DETAIL, MIN_OVERLAP

CONFLICTS_NAME = "conflicts.parquet"


class Thresholds(Frozen):
    """What a pair has to pass to be taken for one place of one smear, and how often chance does.

    Rates are those measured when the model was fitted, scaled to the cells searched here.
    """

    model_version: int
    gate_distance: float
    """Of codes; a pair beyond is never looked at."""
    candidates_per_cell: float
    """Different cells that pass the gate by chance, expected at this number of cells."""
    min_correlation: float
    min_detail: float
    min_overlap: float
    false_neighbours_per_cell_at_most: float
    """Upper 95 % limit of different cells merged, expected at this number of cells."""
    measured_on: str
    measured_pairs: int
    measured_false: int
    measured_highest_rejected: float


class DuplicateReport(Frozen):
    """How many copies were found, of which kind, and by what measure."""

    searched_for_altered: bool
    searched: int
    groups: int
    conflicts: int
    dropped: dict[str, int]
    same_field_pairs: int
    """Pairs that show one place but two cells of it: both stay, in one split."""
    giant_groups: tuple[int, ...]
    candidates: int
    registered: int
    cells_with_too_many_candidates: int
    highest_rejected: float | None
    """Of pairs not taken, the lesser of correlation and detail."""
    thresholds: Thresholds | None


def duplicate_report(found: Found, searched: int) -> DuplicateReport:
    """Return the report of what was found among so many usable cells."""
    kinds = Counter(
        reason
        for reason in found.duplicates.reasons.tolist()
        if reason and "conflict" not in reason
    )
    near = found.near
    return DuplicateReport(
        searched_for_altered=near is not None,
        searched=searched,
        groups=found.duplicates.n_groups,
        conflicts=len(found.duplicates.conflicts),
        dropped=dict(sorted(kinds.items())),
        same_field_pairs=0 if near is None else int((~near.is_copy).sum()),
        giant_groups=found.giant,
        candidates=0 if near is None else near.candidates,
        registered=0 if near is None else near.registered,
        cells_with_too_many_candidates=0 if near is None else near.cut_off,
        highest_rejected=_rejected(found),
        thresholds=None if near is None else thresholds(searched, false_rates()),
    )


def thresholds(cells: int, rates: FalseRates) -> Thresholds:
    """Return the thresholds with their error rates at a number of cells."""
    gate = gate_distance(cells)
    share = float(np.interp(gate, rates.gate_distance, rates.gate_share))
    # The rule of three: with none in n, the 95 % limit is 3 / n; with more, Poisson's.
    limit = _poisson_upper(rates.merged) / rates.pairs
    others = max(cells - 1, 0)
    return Thresholds(
        model_version=MODEL_VERSION,
        gate_distance=gate,
        candidates_per_cell=_rounded(share * others),
        min_correlation=MIN_CORRELATION,
        min_detail=MIN_DETAIL,
        min_overlap=MIN_OVERLAP,
        false_neighbours_per_cell_at_most=_rounded(limit * others),
        measured_on=rates.measured_on,
        measured_pairs=rates.pairs,
        measured_false=rates.merged,
        measured_highest_rejected=rates.highest_rejected,
    )


def duplicate_lines(report: DuplicateReport) -> list[str]:
    """Return what a person reads of it on the terminal."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.dropped.items()) or "none"
    lines = [f"copies: {kinds}; {report.conflicts} groups in conflict"]
    if report.same_field_pairs:
        lines.append(
            f"  {report.same_field_pairs} pairs show two cells of one field: "
            "both stay, in one split"
        )
    if report.giant_groups:
        sizes = ", ".join(map(str, report.giant_groups[:5]))
        lines.append(
            f"  {len(report.giant_groups)} groups are too large for one cell ({sizes}): "
            "they were not merged; look at them"
        )
    if report.thresholds is not None:
        found = report.thresholds
        lines.append(
            f"  at {report.searched} cells: at most "
            f"{found.false_neighbours_per_cell_at_most:.2g} false copies a cell (95 %, measured on "
            f"{found.measured_pairs} pairs of different cells)"
        )
    return lines


def write_conflicts(folder: Path, duplicates: Duplicates, labels: pa.Table) -> None:
    """Write `conflicts.parquet`: a row for each copy of a cell whose labels or subjects disagree.

    `labels` are the columns `image_id`, `label` and `subject` of all rows.
    """
    rows = [row for conflict in duplicates.conflicts for row in conflict.rows]
    groups = [n for n, conflict in enumerate(duplicates.conflicts) for _ in conflict.rows]
    kinds = [conflict.kind for conflict in duplicates.conflicts for _ in conflict.rows]
    table = labels.select(["image_id", "label", "subject"]).take(pa.array(rows, pa.int64()))
    table = table.add_column(0, "group", pa.array(groups, pa.int64()))
    pq.write_table(table.append_column("kind", pa.array(kinds, pa.string())),
                   folder / CONFLICTS_NAME)  # fmt: skip


def _rejected(found: Found) -> float | None:
    if found.near is None or found.near.highest_rejected < 0:
        return None
    return round(found.near.highest_rejected, 4)


def _poisson_upper(count: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
