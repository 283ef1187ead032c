"""From raw measures to scores and flags: each acquisition is judged by what is usual in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...vocabulary import LABELS
from .check import CHECKS, Check, Raw
from .check_report import AcquisitionThreshold, Basis, CheckReport, CheckResult
from .measures import Measures
from .robust import folded_scales, medians, polish, upper_scales

LEAST_CELLS = 30
"""An acquisition, and a class, of fewer cells has no spread of its own."""

LEAST_FOR_LEVEL = 10
"""An acquisition, and a class, of fewer cells has no level of its own either."""

_FENCE = 3.0
"""Standard deviations from what is usual to the threshold."""

_TAIL = 2.0
"""A tail may make the spread so much wider than the bulk of the cells, and no more."""

_MANY_OTHERS = 5
"""So many other acquisitions say how much acquisitions differ."""

_FEW_OTHERS_REACH = 3.0
"""Where fewer do, one is worse as a whole when it lies so many times `Check.reach` away."""

_ANY = "any"

Flags = NDArray[np.bool_]
Ids = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Checked:
    """Every cell judged: check -> scores float32 (n,) in [0, 1], 1 = fine, and flags below 0.5."""

    scores: dict[str, NDArray[np.float32]]
    flags: dict[str, Flags]
    report: CheckReport


@dataclass(frozen=True, slots=True)
class _Groups:
    """The cells by acquisition and class, both counted from 0; `ids` are those of the caller."""

    ids: Ids
    acquisition: Ids
    sizes: Ids
    label: Ids
    label_sizes: Ids
    names: tuple[str, ...]

    @property
    def own_level(self) -> Flags:
        """Which acquisitions are judged by their own level."""
        return np.asarray(self.sizes >= LEAST_FOR_LEVEL)

    @property
    def own_spread(self) -> Flags:
        """Which acquisitions are judged by their own spread too."""
        return np.asarray(self.sizes >= LEAST_CELLS)


@dataclass(frozen=True, slots=True)
class _Judged:
    """How far each cell lies from what is usual, and how far it may; per acquisition the level."""

    distance: Values
    allowed: Values
    level: Values
    threshold: Values
    worse: Flags


def calibrate(raw: Raw, acquisition: Ids, labels: Ids | None = None) -> Checked:
    """Judge all cells by their raw measures (`check_scores`), float32 (n,) a column.

    `acquisition` is int64 (n,), any numbers; `labels` are label ids of the vocabulary.

    Raises: ValueError where a column is absent, not finite, or of another length.
    """
    _refuse_misfit(raw, acquisition, labels)
    groups = _grouped(acquisition, labels)
    judged = {check.name: _judge(check, raw, groups) for check in CHECKS}
    scores = {name: _score(found) for name, found in judged.items()}
    flags = {name: np.asarray(found.distance > found.allowed) for name, found in judged.items()}
    report = CheckReport(
        cells=len(acquisition),
        flagged=int(np.logical_or.reduce(list(flags.values())).sum()),
        least_cells=LEAST_CELLS,
        too_few=len(acquisition) < LEAST_CELLS,
        checks=tuple(_result(name, judged[name], flags[name], groups) for name in judged),
    )
    return Checked(scores, flags, report)


def _refuse_misfit(raw: Raw, acquisition: Ids, labels: Ids | None) -> None:
    count = len(acquisition)
    if labels is not None and len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} cells")
    for name in Measures._fields:
        if name not in raw:
            raise ValueError(f"no raw column {name!r}; found {', '.join(raw)}")
        if raw[name].shape != (count,):
            raise ValueError(f"raw column {name!r} of shape {raw[name].shape}; expected ({count},)")
        if not np.isfinite(raw[name]).all():
            raise ValueError(f"raw column {name!r} has a value that is not finite")


def _grouped(acquisition: Ids, labels: Ids | None) -> _Groups:
    ids, place, sizes = np.unique(acquisition, return_inverse=True, return_counts=True)
    if labels is None:
        kinds, label = np.array([-1]), np.zeros(len(acquisition), np.int64)
    else:
        kinds, label = np.unique(labels, return_inverse=True)
    names = tuple(_ANY if kind < 0 else LABELS[kind] for kind in kinds.tolist())
    label = label.astype(np.int64)
    return _Groups(
        ids, place.astype(np.int64), sizes, label, np.bincount(label, minlength=len(names)), names
    )


def _judge(check: Check, raw: Raw, groups: _Groups) -> _Judged:
    columns = check.values(raw)
    usual_by_label = _usual_labels(groups) if check.by_label else np.zeros_like(groups.label)
    left = [_without_usual(values, groups, usual_by_label) for values in columns]
    distance = np.mean(left, axis=0)
    level = np.zeros(len(groups.ids))
    if check.two_sided:
        distance = np.abs(distance)
    else:
        level = medians(columns[0] - distance, groups.acquisition, len(groups.ids))
    scale = _scales(check, distance, groups, usual_by_label)
    allowed = np.maximum(_FENCE * scale, check.reach)
    threshold = level + medians(allowed, groups.acquisition, len(groups.ids))
    judged = _Judged(distance, allowed, level, threshold, np.zeros(len(level), np.bool_))
    return _compared(check, judged, groups) if check.compared is not None else judged


def _usual_labels(groups: _Groups) -> Ids:
    """Return the class of each cell from 1, with 0 for all classes too small to have a level."""
    return np.where(groups.label_sizes[groups.label] >= LEAST_FOR_LEVEL, groups.label + 1, 0)


def _without_usual(values: Values, groups: _Groups, labels: Ids) -> Values:
    """Return how far each value lies from the level of its acquisition and its class."""
    count = len(groups.names) + 1
    own = groups.own_level[groups.acquisition]
    left = np.empty_like(values)
    if own.any():
        rows = groups.acquisition[own]
        left[own] = polish(values[own], rows, labels[own], (len(groups.ids), count))
    if not own.all():
        # By all cells, those of large acquisitions too: a few cells say nothing of themselves.
        whole = polish(values, np.zeros_like(labels), labels, (1, count))
        left[~own] = whole[~own]
    return left


def _scales(check: Check, distance: Values, groups: _Groups, labels: Ids) -> Values:
    """Return the usual spread for each cell: of its class, or its acquisition, or everywhere."""
    scales = folded_scales if check.two_sided else upper_scales
    spread = partial(scales, tail=1.0 if check.common else _TAIL)
    # Cells without a level of their own lie wider than those that have one.
    tier = groups.own_level[groups.acquisition].astype(np.int64)
    own = groups.own_spread[groups.acquisition]
    acquisitions = spread(distance, groups.acquisition, len(groups.ids))
    scale = np.where(own, acquisitions[groups.acquisition], spread(distance, tier, 2)[tier])
    if not check.by_label:
        return scale
    classes = spread(distance, labels, len(groups.names) + 1)
    return np.where(groups.label_sizes[groups.label] >= LEAST_CELLS, classes[labels], scale)


def _compared(check: Check, judged: _Judged, groups: _Groups) -> _Judged:
    """Judge by the others' level those acquisitions that are worse than all others as a whole."""
    own = np.flatnonzero(groups.own_level)
    if check.compared is None or len(own) < check.compared:
        return judged
    level, threshold, worse = judged.level.copy(), judged.threshold.copy(), judged.worse.copy()
    distance, allowed = judged.distance.copy(), judged.allowed.copy()
    within = float(np.median((judged.threshold - judged.level)[own]))
    for place in own.tolist():
        others = judged.level[own[own != place]]
        usual = float(np.median(others))
        between = float(np.median(np.abs(others - usual))) * 1.4826
        least = check.reach if len(others) >= _MANY_OTHERS else _FEW_OTHERS_REACH * check.reach
        margin = max(within, _FENCE * between, least)
        if judged.level[place] > usual + margin:
            here = groups.acquisition == place
            distance[here] += judged.level[place] - usual
            allowed[here] = margin
            level[place], threshold[place], worse[place] = usual, usual + margin, True
    return _Judged(distance, allowed, level, threshold, worse)


def _score(judged: _Judged) -> NDArray[np.float32]:
    """Return 1 at what is usual, 0.5 at the threshold, towards 0 beyond it."""
    beyond = np.minimum(np.maximum(judged.distance, 0) / judged.allowed, 10.0)
    return np.asarray(np.exp2(-(beyond**2)), np.float32)


def _basis(cells: int) -> Basis:
    if cells >= LEAST_CELLS:
        return "acquisition"
    return "own level, spread of all" if cells >= LEAST_FOR_LEVEL else "all"


def _result(name: str, judged: _Judged, flags: Flags, groups: _Groups) -> CheckResult:
    by_label = np.bincount(groups.label[flags], minlength=len(groups.names)).tolist()
    by_acquisition = np.bincount(groups.acquisition[flags], minlength=len(groups.ids))
    total = int(flags.sum())
    return CheckResult(
        check=name,
        flagged=total,
        share=round(total / max(1, len(flags)), 6),
        flagged_by_label={
            label: count for label, count in zip(groups.names, by_label, strict=True) if count
        },
        acquisitions=tuple(
            AcquisitionThreshold(
                acquisition=int(groups.ids[place]),
                cells=int(groups.sizes[place]),
                calibrated_on=_basis(int(groups.sizes[place])),
                level=round(float(judged.level[place]), 4),
                threshold=round(float(judged.threshold[place]), 4),
                worse_than_others=bool(judged.worse[place]),
                flagged=int(by_acquisition[place]),
            )
            for place in range(len(groups.ids))
        ),
    )
