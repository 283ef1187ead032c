"""Which running average of the weights a generator has, and how it was chosen."""

from __future__ import annotations

from curation.manifest import Frozen


class TriedAverage(Frozen):
    """One relative width of the running average, and how well it draws."""

    width: float
    value: float
    low: float | None = None
    high: float | None = None


class ChosenAverage(Frozen):
    """The width chosen, by what, and every one that was tried."""

    width: float
    by: str
    cells: int
    tried: tuple[TriedAverage, ...]
