"""The plan: how many cells of which class to draw, and the seed of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from blake3 import blake3

from curation.errors import GeneratorError
from curation.vocabulary import LABELS, canonical_label, nearest_names

Plan = Mapping[str, int]
"""Label -> cells to draw."""
BALANCE_CAP = 10.0
"""Most synthetic cells for each real one of a class, where a corpus is filled up."""


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


def match_plan(counts: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the fewest cells that give a training split the class proportions of another.

    No cell is removed, so the class that is most frequent beside the other corpus decides how large
    the whole becomes. Classes that the other corpus does not have stay as they are and are not
    counted; classes are rounded up to whole cells.

    Raises: GeneratorError where the two have no class in common, or nothing is lacking.
    """
    shared = [label for label in counts if counts[label] and other.get(label)]
    if not shared:
        raise GeneratorError(
            "the two training splits have no class in common, so there is no proportion to match. "
            "Next: give another corpus with --match"
        )
    # Of the exact ratios: in floating point a class that is whole would come out one cell short.
    scale = max(Fraction(counts[label], other[label]) for label in shared)
    goals = {label: -(-count * scale.numerator // scale.denominator)
             for label, count in other.items() if count}  # fmt: skip
    plan = {label: goal - counts.get(label, 0) for label, goal in goals.items()}
    plan = {label: lacking for label, lacking in plan.items() if lacking > 0}
    if not plan:
        raise GeneratorError(
            "nothing to draw: the training split has the class proportions of the other corpus"
        )
    return _in_order(plan)


def capped_plan(plan: Plan, counts: Mapping[str, int], ratio: float) -> dict[str, int]:
    """Return a plan with at most `ratio` synthetic cells for each real one of a class.

    What few real cells teach is repeated by many synthetic ones.

    Raises: GeneratorError where nothing is left.
    """
    capped = {label: min(n, int(counts.get(label, 0) * ratio)) for label, n in plan.items()}
    capped = {label: count for label, count in capped.items() if count}
    if plan and not capped:
        raise GeneratorError(
            f"a cap of {ratio:g} synthetic cells for each real one leaves nothing to draw. "
            "Next: raise --cap"
        )
    return capped


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


def planned_cells(plan: Plan, seed: int, after: Plan | None = None) -> list[PlannedCell]:
    """Return every cell of a plan with its own seed; `after` says how many were drawn before.

    The seed depends on the run's seed, the class and the number within the class only, so drawing
    more of one class changes no other cell.
    """
    first = after or {}
    return [
        PlannedCell(label, cell_seed(seed, label, number))
        for label, count in plan.items()
        for number in range(first.get(label, 0), first.get(label, 0) + count)
    ]


def cell_seed(seed: int, label: str, number: int) -> int:
    """Return the seed of one cell, in [0, 2^63)."""
    digest = blake3(f"{seed}/{label}/{number}".encode()).digest(length=8)
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One class of a training split and of a plan for it."""

    label: str
    real: int
    synthetic: int
    wanted: int
    """Synthetic cells before the cap."""

    @property
    def total(self) -> int:
        """Cells of the class once they are drawn."""
        return self.real + self.synthetic

    @property
    def ratio(self) -> float | None:
        """Synthetic cells for each real one; None where there are no real ones."""
        return self.synthetic / self.real if self.real else None


def plan_rows(counts: Mapping[str, int], wanted: Plan, plan: Plan) -> list[PlanRow]:
    """Return every class of a training split or a plan, in the vocabulary's order."""
    return [
        PlanRow(label, counts.get(label, 0), plan.get(label, 0), wanted.get(label, 0))
        for label in LABELS
        if counts.get(label) or wanted.get(label)
    ]


def _in_order(plan: Mapping[str, int]) -> dict[str, int]:
    return {label: plan[label] for label in LABELS if label in plan}
