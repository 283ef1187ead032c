"""What must stay of a cell, as facts: its label, its pixels, whose it is, what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from .fact import Array, Check, Fact, stay
from .outcome import Outcome

LABELS = {
    "BA": "basophil", "MO": "monocyte", "LY": "lymphocyte", "EO": "eosinophil",
    "SNE": "neutrophil_segmented", "PLT": "platelet",
}  # fmt: skip
"""How the made exports spell labels -> the name in the vocabulary."""


def label_of(number: int) -> str:
    """Return the label of the made cell of a number, as an export spells it."""
    return list(LABELS)[number % len(LABELS)]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that must come out: what it shows (within levels of 255), and what is said of it.

    `subject` and `slide` are as the source names them, `says` the other columns as released.
    """

    carrier: str
    where: str
    shown: Array
    label: str
    levels: int = 0
    scan: bytes = b""
    subject: str = ""
    slide: str = ""
    says: Mapping[str, str | float] = field(default_factory=dict)


def facts_of_cells(cells: Iterable[Cell]) -> Iterator[Fact]:
    """Yield what must stay of each cell."""
    for cell in cells:
        yield stay(cell.carrier, f"{cell.where}: pixels", _pixels(cell))
        yield stay(cell.carrier, f"{cell.where}: label", _says(cell, "label", LABELS[cell.label]))
        if cell.scan:
            yield stay(cell.carrier, f"{cell.where}: scan", _scan(cell))
        for column, value in cell.says.items():
            yield stay(cell.carrier, f"{cell.where}: {column}", _says(cell, column, value))


def facts_of_groups(carrier: str, cells: Iterable[Cell]) -> Iterator[Fact]:
    """Yield that cells of one subject or slide stay together, and those of two do not."""
    known = list(cells)
    for column in ("subject", "slide"):
        groups: dict[str, list[Cell]] = {}
        for cell in known:
            groups.setdefault(getattr(cell, column), []).append(cell)
        for number, group in enumerate(groups.values()):
            yield stay(carrier, f"{column} {number}: one pseudonym", _together(group, column))
        firsts = [group[0] for group in groups.values()]
        for one, other in combinations(range(len(firsts)), 2):
            check = _apart(firsts[one], firsts[other], column)
            yield stay(carrier, f"{column}s {one} and {other}: two pseudonyms", check)


def count_of_cells(carrier: str, count: int) -> Fact:
    """Return the fact that as many cells came out as had to."""
    return stay(carrier, "number of cells", lambda outcome: len(outcome.cells) == count)


def _pixels(cell: Cell) -> Check:
    return lambda outcome: outcome.find(cell.shown, cell.levels) is not None


def _says(cell: Cell, column: str, value: str | float) -> Check:
    return lambda outcome: outcome.value(cell.shown, column, cell.levels) == value


def _scan(cell: Cell) -> Check:
    def kept(outcome: Outcome) -> bool:
        found = outcome.find(cell.shown, cell.levels)
        return found is not None and cell.scan in found.data

    return kept


def _together(group: list[Cell], column: str) -> Check:
    def one(outcome: Outcome) -> bool:
        values = {outcome.value(cell.shown, column, cell.levels) for cell in group}
        return len(values) == 1 and None not in values

    return one


def _apart(one: Cell, other: Cell, column: str) -> Check:
    def two(outcome: Outcome) -> bool:
        values = {outcome.value(cell.shown, column, cell.levels) for cell in (one, other)}
        return len(values) == 2 and None not in values

    return two
