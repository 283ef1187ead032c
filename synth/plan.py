"""The plan: how many cells of which class to draw, and the seed of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blake3 import blake3

from curation.errors import GeneratorError
from curation.vocabulary import LABELS, canonical_label, nearest_names

Plan = Mapping[str, int]
"""Label -> cells to draw."""


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One cell to draw."""

    label: str
    seed: int


def balance_plan(counts: Mapping[str, int], target: int | None = None) -> dict[str, int]:
    """Return what each class of a training split lacks of the target (default: of the largest).

    Raises: GeneratorError where no class lacks any.
    """
    if not counts:
        raise GeneratorError("the training split to balance is empty")
    goal = target if target is not None else max(counts.values())
    plan = {label: goal - count for label, count in counts.items() if count < goal}
    if not plan:
        raise GeneratorError(
            f"nothing to draw: every class has {goal} cells or more already. "
            "Next: raise --target, or draw a class with --class"
        )
    return _in_order(plan)


def class_plan(labels: Sequence[str], count: int) -> dict[str, int]:
    """Return a plan of `count` cells of each named class; aliases are understood.

    Raises: GeneratorError for a name outside the vocabulary.
    """
    plan = {}
    for name in labels:
        label = canonical_label(name)
        if label is None:
            near = ", ".join(nearest_names(name)) or "nothing similar is known"
            raise GeneratorError(f"there is no class {name!r}; nearest known: {near}")
        plan[label] = count
    return _in_order(plan)


def check_plan(plan: Plan, trained_on: Mapping[str, int]) -> None:
    """Refuse a plan of no cells, or with a class that the generator never saw.

    Raises: GeneratorError.
    """
    if not plan or min(plan.values()) < 1:
        raise GeneratorError(f"nothing to draw: the plan is {dict(plan)}")
    never = [label for label in plan if not trained_on.get(label)]
    if never:
        known = ", ".join(f"{label} ({count})" for label, count in trained_on.items())
        raise GeneratorError(
            f"the generator never saw {', '.join(never)}; it was trained on {known}. "
            "Next: leave the class out, or train on a corpus that has it"
        )


def planned_cells(plan: Plan, seed: int) -> list[PlannedCell]:
    """Return every cell of a plan with its own seed.

    The seed depends on the run's seed, the class and the number within the class only, so drawing
    more of one class changes no other cell.
    """
    return [
        PlannedCell(label, cell_seed(seed, label, number))
        for label, count in plan.items()
        for number in range(count)
    ]


def cell_seed(seed: int, label: str, number: int) -> int:
    """Return the seed of one cell, in [0, 2^63)."""
    digest = blake3(f"{seed}/{label}/{number}".encode()).digest(length=8)
    return int.from_bytes(digest, "big") >> 1


def _in_order(plan: Mapping[str, int]) -> dict[str, int]:
    return {label: plan[label] for label in LABELS if label in plan}
