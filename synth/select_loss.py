"""What real cells would have lost: the price of selection, on cells it never saw."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.manifest import Frozen


class ClassLoss(Frozen):
    """Real cells of one class, how many break each rule by itself, and how many any."""

    label: str
    n: int
    broken: dict[str, int] = Field(description="rule -> cells; a cell may break several")
    any: int


class RealLoss(Frozen):
    """Real cells judged as if they had been drawn."""

    measured_on: Literal["test", "nothing"]
    classes: tuple[ClassLoss, ...] = ()

    @property
    def n(self) -> int:
        """Real cells judged, over all classes."""
        return sum(entry.n for entry in self.classes)

    @property
    def lost(self) -> int:
        """Of these, how many break any rule."""
        return sum(entry.any for entry in self.classes)
