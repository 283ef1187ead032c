"""What a split turned out like: shares found against wanted, and why a label is off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .cells import SPLITS
from .frozen import Frozen
from .split import Assignment, Fractions
from .split_demand import TOLERANCE, closest_off
from .split_exact import alone, least_alone
from .split_groups import Codes, Edges, KeyColumn, key_codes

# 3 of 20 cells are 15 %, whatever the last bit of a float says; and solvers stop this close.
_HAIR = 1e-6
_TRADE_OFF = "closer, other labels or all cells together would be further off"
_NOT_FOUND = "nothing closer was found that suits all labels"
Why = Literal["few_cells", "large_groups", "earlier_version", "trade_off"]


class LabelShares(Frozen):
    """How the cells of one label are divided, and why not as wanted where they are not."""

    label: str
    cells: int
    groups: int = Field(description="that hold any of it")
    shares: dict[str, float] = Field(description="split -> share of its cells")
    off: float = Field(description="the largest distance from a share wanted")
    why: Why | None = Field(default=None, description="None: within the tolerance")
    text: str | None = None


class SplitReport(Frozen):
    """What was kept together, and how close the shares came; only counts, no value of a source."""

    tolerance: float
    wanted: dict[str, float]
    cells: dict[str, int]
    shares: dict[str, float]
    off: float
    labels: tuple[LabelShares, ...]
    missing: dict[str, tuple[str, ...]] = Field(description="split -> labels without a cell there")
    grouped_by: dict[str, int] = Field(description="what joined cells -> how many of them")
    groups: int
    largest_group: float = Field(description="its share of the cells")
    kept: int = Field(description="rows that an earlier version fixed")
    links_splits: int = Field(description="rows dropped because they tied two splits together")
    best_possible: bool = Field(description="no split of these groups lies less outside")

    def labels_off(self) -> tuple[LabelShares, ...]:
        """Return the labels that are not within the tolerance."""
        return tuple(entry for entry in self.labels if entry.why is not None)


def split_report(
    assignment: Assignment,
    labels: NDArray[np.int64],
    names: Sequence[str],
    keys: Mapping[str, KeyColumn],
    fractions: Fractions,
    *,
    edges: Edges | None = None,
    fixed: NDArray[np.int64] | None = None,
) -> SplitReport:
    """Say how a split turned out; `names` are those of the labels by number, the rest as given."""
    counted = np.flatnonzero((assignment.split >= 0) & (labels >= 0))
    codes = {name: key_codes(key) for name, key in keys.items()}
    wanted = fractions.array()
    split = assignment.split[counted]
    cells = np.bincount(split, minlength=len(SPLITS))
    _, groups, sizes = np.unique(
        assignment.groups[counted], return_inverse=True, return_counts=True
    )
    view = _View(
        labels[counted], groups, split,
        np.zeros(len(counted), np.bool_) if fixed is None else fixed[counted] >= 0,
        {name: code[counted] for name, code in codes.items()}, wanted, assignment.proved,
    )  # fmt: skip
    present = np.unique(view.labels)
    found = tuple(_label_shares(view, int(label), names[label]) for label in present)
    joined = {name: len(np.unique(code[code >= 0])) for name, code in codes.items()}
    joined["duplicate_pair"] = 0 if edges is None else len(edges)
    return SplitReport(
        tolerance=TOLERANCE,
        wanted=_by_split(wanted),
        cells={name: int(count) for name, count in zip(SPLITS, cells, strict=True)},
        shares=_by_split(cells / max(len(counted), 1)),
        off=_off(cells, wanted),
        labels=found,
        missing={
            name: absent
            for name in SPLITS
            if (absent := tuple(e.label for e in found if e.shares[name] == 0))
        },
        grouped_by={name: count for name, count in joined.items() if count},
        groups=len(sizes),
        largest_group=round(float(sizes.max(initial=0)) / max(len(counted), 1), 4),
        kept=0 if fixed is None else int((fixed >= 0).sum()),
        links_splits=int(assignment.links.sum()),
        best_possible=assignment.proved,
    )


@dataclass(frozen=True, slots=True)
class _View:
    """The rows that count: label, group, split, whether fixed, what they belong to; the wish."""

    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    split: NDArray[np.int64]
    fixed: NDArray[np.bool_]
    keys: dict[str, Codes]
    wanted: NDArray[np.float64]
    proved: bool


def _by_split(shares: NDArray[np.float64]) -> dict[str, float]:
    return {name: round(float(share), 4) for name, share in zip(SPLITS, shares, strict=True)}


def _off(cells: NDArray[np.int64], wanted: NDArray[np.float64]) -> float:
    return round(float(np.abs(cells / max(cells.sum(), 1) - wanted).max()), 4)


def _label_shares(view: _View, label: int, name: str) -> LabelShares:
    rows = np.flatnonzero(view.labels == label)
    cells = np.bincount(view.split[rows], minlength=len(SPLITS))
    distance = float(np.abs(cells / len(rows) - view.wanted).max())
    holders, held = np.unique(view.groups[rows], return_counts=True)
    why = None if distance <= TOLERANCE + _HAIR else _why(view, rows, held)
    return LabelShares(
        label=name,
        cells=len(rows),
        groups=len(holders),
        shares=_by_split(cells / len(rows)),
        off=round(distance, 4),
        why=why,
        text=None if why is None else _text(view, rows, holders, held, name, why),
    )


def _why(view: _View, rows: NDArray[np.int64], held: NDArray[np.int64]) -> Why:
    """Return the first thing that alone keeps a label outside the tolerance."""
    if closest_off(len(rows), view.wanted) > TOLERANCE + _HAIR:
        return "few_cells"
    if least_alone(alone(held, np.zeros(len(SPLITS), np.int64), view.wanted)) > _HAIR:
        return "large_groups"
    bound = np.unique(view.groups[view.fixed])
    stays = np.isin(view.groups[rows], bound)
    pinned = np.bincount(view.split[rows[stays]], minlength=len(SPLITS))
    free = np.unique(view.groups[rows[~stays]], return_counts=True)[1]
    if stays.any() and least_alone(alone(free, pinned, view.wanted)) > _HAIR:
        return "earlier_version"
    return "trade_off"


def _text(
    view: _View,
    rows: NDArray[np.int64],
    holders: NDArray[np.int64],
    held: NDArray[np.int64],
    name: str,
    why: Why,
) -> str:
    if why == "few_cells":
        return f"{len(rows)} cells of {name} cannot be divided any closer"
    if why == "earlier_version":
        return f"an earlier version fixes where {view.fixed[rows].mean():.0%} of {name} lies"
    largest = int(holders[np.argmax(held)])
    what = _called(view, np.flatnonzero(view.groups == largest))
    share = held.max() / len(rows)
    text = f"{what} holds {share:.0%} of {name}, {len(holders)} groups hold all of it"
    if len(holders) == 1:
        text = f"{what} holds all of {name}"
    if why == "trade_off":
        return f"{_TRADE_OFF if view.proved else _NOT_FOUND}; {text}"
    return text


def _called(view: _View, rows: NDArray[np.int64]) -> str:
    """Return what a group is: "1 subject", "1 group of 3 slides", "1 duplicate cluster"."""
    for name, codes in view.keys.items():
        known = codes[rows]
        count = len(np.unique(known[known >= 0]))
        if count:
            return f"1 {name}" if count == 1 else f"1 group of {count} {name}s"
    return "1 cell" if len(rows) == 1 else "1 duplicate cluster"
