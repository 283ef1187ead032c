"""What the image checks found, in numbers that may be published."""

from __future__ import annotations

from typing import Literal

from ...frozen import Frozen

Basis = Literal["acquisition", "own level, spread of all", "all"]
"""Which cells said what is usual in an acquisition."""


class AcquisitionThreshold(Frozen):
    """How one acquisition was judged: `level` is usual, beyond `threshold` is flagged.

    Both are in the unit of the check's `Check.values`, for a cell of a middling class.
    `worse_than_others` says that the acquisition as a whole was measured against the others.
    """

    acquisition: int
    cells: int
    calibrated_on: Basis
    level: float
    threshold: float
    worse_than_others: bool
    flagged: int


class CheckResult(Frozen):
    """One check over all cells; `flagged_by_label` leaves out classes without a flag."""

    check: str
    flagged: int
    share: float
    flagged_by_label: dict[str, int]
    acquisitions: tuple[AcquisitionThreshold, ...]


class CheckReport(Frozen):
    """Every check; acquisitions of fewer than `least_cells` were judged by all cells.

    With `too_few` all cells together were fewer than that, and the thresholds are weak.
    """

    cells: int
    flagged: int
    least_cells: int
    too_few: bool
    checks: tuple[CheckResult, ...]


def check_lines(report: CheckReport) -> list[str]:
    """Return what a person reads of it on the terminal."""
    if not report.flagged:
        return [f"checks: none of {report.cells} cells flagged"]
    found = ", ".join(f"{one.check} {one.flagged}" for one in report.checks if one.flagged)
    weak = "; too few cells to judge by, thresholds are weak" if report.too_few else ""
    return [
        f"checks: {report.flagged} of {report.cells} cells flagged ({found}){weak}",
        "  flags drop nothing by themselves: --drop-flagged CHECK,CHECK does",
    ]
