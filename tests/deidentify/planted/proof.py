"""The proof: a made export is curated, and what came out is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .export import Curated, PlantedExport, curate_planted, write_planted_export
from .fact import Fact
from .judge import Judge, everything
from .score import Score, score

REMOVED, KEPT = 1.0, 0.99
"""Shares of what must go and of what must stay that the product has to reach."""


@dataclass(frozen=True)
class Proof:
    """A made export, what became of it, and the score."""

    export: PlantedExport
    curated: Curated
    score: Score

    @cached_property
    def unseen(self) -> tuple[Fact, ...]:
        """What must go but cannot be seen in the source either: it would prove nothing."""
        judge = Judge(everything(self.export.root))
        planted = (fact for fact in self.export.facts if fact.must == "go" and fact.text)
        return tuple(fact for fact in planted if judge.sees(fact.text) is None)

    @property
    def is_reached(self) -> bool:
        """Whether both shares are reached, and every fact is there in the source."""
        return not self.unseen and self.score.reaches(REMOVED, KEPT)


def prove(folder: Path) -> Proof:
    """Write the made export below a folder, curate it there, and return the score."""
    export = write_planted_export(folder / "source")
    curated = curate_planted(export, folder / "work")
    found = score(export.facts, Judge(everything(curated.published)), curated.outcome)
    return Proof(export, curated, found)
