"""A user's class names in the vocabulary, and what each class lacks of a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from curation.errors import GeneratorError, SourceError, UnknownLabelError
from curation.vocabulary import LABELS, canonical_label, unknown_label_message

if TYPE_CHECKING:
    from datasets import Dataset

Target = Literal["balanced"] | int | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The classes of a dataset: `own` label -> the user's name, `counts` label -> real cells.

    `values` label -> what stands in the column: an id, or the name itself.
    """

    column: str
    own: dict[str, str]
    values: dict[str, int | str]
    counts: dict[str, int]

    @classmethod
    def of(cls, dataset: Dataset, column: str) -> ClassNames:
        """Map every class that a column has, or could have, into the vocabulary.

        Raises: UnknownLabelError for one with cells that the vocabulary does not know; SourceError
        for cells without a class, and for two names of one class.
        """
        names = getattr(dataset.features[column], "names", None)
        found: Counter[Any] = Counter(dataset.with_format(None)[column])
        if found[None] or (names is not None and found[-1]):
            count = found[None] + (found[-1] if names is not None else 0)
            raise SourceError(
                f"{count} cells have no class in {column!r}. Next: dataset.filter(…) them away"
            )
        used = {v if names is None else names[v]: n for v, n in found.items() if n}
        unknown = sorted(name for name in used if canonical_label(name) is None)
        if unknown:
            raise UnknownLabelError(unknown_label_message(unknown))
        # Classes without a cell, as a ClassLabel may have, can be asked for; and may be unknown.
        every = used.keys() if names is None else [*used, *(n for n in names if n not in used)]
        own = _by_label(every, used)
        return cls(
            column,
            own,
            {label: name if names is None else names.index(name) for label, name in own.items()},
            {label: used[own[label]] for label in LABELS if own.get(label) in used},
        )

    def counts_where(self, dataset: Dataset, chosen: Sequence[bool]) -> Counter[str]:
        """Return label -> rows of a dataset with the same classes, of those that are chosen."""
        labels = {value: label for label, value in self.values.items()}
        column = dataset.with_format(None)[self.column]
        return Counter(labels[value] for value, taken in zip(column, chosen, strict=True) if taken)


def _by_label(names: Iterable[str], used: Mapping[str, int]) -> dict[str, str]:
    own: dict[str, str] = {}
    for name in names:
        label = canonical_label(name)
        if label is None:
            continue
        if label in own:
            if name in used:
                raise SourceError(
                    f"{own[label]!r} and {name!r} both mean {label}: synthetic cells could stand "
                    "for either. Next: give the class one name"
                )
            continue
        own[label] = name
    return own


def target_plan(names: ClassNames, target: Target) -> dict[str, int]:
    """Return label -> cells that are lacking of a target, in the vocabulary's order.

    Raises: SourceError for a target that cannot be; UnknownLabelError.
    """
    goals = _goals(names, target)
    lacking = {label: goals[label] - names.counts.get(label, 0) for label in LABELS
               if label in goals}  # fmt: skip
    return {label: count for label, count in lacking.items() if count > 0}


def _goals(names: ClassNames, target: Target) -> dict[str, int]:
    if not names.counts:
        raise SourceError("the dataset has no cells to fill up")
    if isinstance(target, str):
        if target != "balanced":
            raise SourceError(f'target {target!r} is neither "balanced", a number nor a dict')
        return dict.fromkeys(names.counts, max(names.counts.values()))
    if isinstance(target, int):
        _check_number("every class", target)
        return dict.fromkeys(names.counts, target)
    goals: dict[str, int] = {}
    for name, goal in target.items():
        _check_number(name, goal)
        label = canonical_label(name)
        if label is None:
            raise UnknownLabelError(unknown_label_message([name]))
        if label not in names.own:
            raise SourceError(
                f"the column {names.column!r} has no class {name!r}; it has "
                f"{', '.join(names.own.values())}. Next: cast it to a ClassLabel that has it"
            )
        if label in goals:
            raise SourceError(f"the target names {label} twice, by two of its names")
        goals[label] = goal
    return goals


def _check_number(name: str, goal: int) -> None:
    if isinstance(goal, bool) or not isinstance(goal, int) or goal < 0:
        raise SourceError(f"the target for {name} is {goal!r}; a number of cells is needed")


def check_known(plan: Mapping[str, int], names: ClassNames, trained_on: Mapping[str, int]) -> None:
    """Refuse a plan with a class that the generator never saw.

    Raises: GeneratorError that lists what it knows.
    """
    never = [names.own[label] for label in plan if not trained_on.get(label)]
    if never:
        known = ", ".join(f"{label} ({count})" for label, count in trained_on.items())
        raise GeneratorError(
            f"the generator never saw {', '.join(never)}; it was trained on {known}. "
            "Next: give a target of the classes it knows ({class: cells}), or train a generator "
            "on cells of that class"
        )
