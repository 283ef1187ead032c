"""How much an evaluation measures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.manifest import Frozen

from .measurement import Family

FAMILIES: tuple[Family, ...] = (
    "distance", "coverage", "copying", "shortcuts", "usefulness", "subjects",
)  # fmt: skip


class EvaluateConfig(Frozen):
    """How much is measured."""

    families: tuple[Family, ...] = Field(default=FAMILIES, description="what is measured")
    held_out: Literal["auto", "test", "validation+test"] = Field(
        default="auto",
        description="cells that quality is measured against; auto: test where every class that "
        "was drawn has enough of them, else validation too",
    )
    max_per_class: int = Field(default=200, description="cells a class and side, for distances")
    min_per_class: int = Field(
        default=10, ge=4, description="cells under which a class is not measured"
    )
    max_train: int = Field(default=20_000, description="training cells searched for copies")
    floor_splits: int = Field(
        default=20, ge=1, description="splits of real cells that a floor is measured over"
    )
    neighbours: int = Field(default=5, ge=1, description="k of precision, recall and coverage")
    ladder_seeds: int = Field(default=5, ge=1, description="runs of each rung of the ladder")
    seed: int = 0
