"""k-anonymity: how many subjects share what a corpus says about a cell beside its pixels.

A rare cell, a site and a year can single a patient out though no name is there. Each combination of
quasi-identifiers must be shared by k subjects, and show l values of each sensitive column.
Source: Sweeney, Int J Uncertain Fuzz 10:557 (2002); Machanavajjhala et al., TKDD 1:3 (2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..cells import Attribute

Choice = Literal["report", "generalise", "drop"]
Column = Sequence[str | float | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What must hold: k subjects a group, l values of each sensitive column in it."""

    k: int
    l: int  # noqa: E741
    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    rare_labels: bool = True


@dataclass(frozen=True, slots=True)
class SmallGroup:
    """A combination of values that too few subjects share. Private: it may single one out."""

    values: tuple[tuple[str, str | float | None], ...]
    rows: int
    subjects: int
    fewest_sensitive: int | None


def rules_for(attributes: Sequence[Attribute], sites: Column, k: int, l: int, rare: bool) -> Rules:  # noqa: E741
    """Return the rules of a corpus: the site is a quasi-identifier wherever it is known."""
    quasi = [a.name for a in attributes if a.quasi_identifier]
    if any(site is not None for site in sites):
        quasi.insert(0, "site")
    sensitive = tuple(a.name for a in attributes if a.sensitive)
    return Rules(k, l, tuple(quasi), sensitive, rare)


def small_groups(
    columns: Mapping[str, Column], subjects: Sequence[str | None], rules: Rules
) -> tuple[tuple[SmallGroup, ...], NDArray[np.bool_]]:
    """Return the groups that break the rules, and which rows are in one, (n,) bool.

    `columns` holds the quasi-identifiers, the sensitive columns and "label". Rows whose
    quasi-identifiers are all empty say nothing. Rows without a subject count as one subject.
    """
    small = np.zeros(len(subjects), dtype=bool)
    found = []
    for key, rows in _groups(columns, rules).items():
        group = SmallGroup(
            key, len(rows), len({subjects[row] for row in rows}),
            min((len({columns[c][r] for r in rows}) for c in rules.sensitive), default=None),
        )  # fmt: skip
        few_values = group.fewest_sensitive is not None and group.fewest_sensitive < rules.l
        if group.subjects < rules.k or few_values:
            found.append(group)
            small[rows] = True
    return tuple(sorted(found, key=lambda group: (group.subjects, repr(group.values)))), small


def generalised(
    columns: Mapping[str, Column], subjects: Sequence[str | None], rules: Rules
) -> dict[str, list[str | float | None]]:
    """Return the quasi-identifiers with as few values emptied as one pass finds.

    Column by column from the last, the rows of small groups lose its value; what is then large
    enough keeps the rest.
    """
    made = {name: list(values) for name, values in columns.items()}
    for name in reversed(rules.quasi_identifiers):
        _, small = small_groups(made, subjects, rules)
        for row in np.flatnonzero(small):
            made[name][row] = None
    return {name: made[name] for name in rules.quasi_identifiers}


def _groups(
    columns: Mapping[str, Column], rules: Rules
) -> dict[tuple[tuple[str, str | float | None], ...], list[int]]:
    groups: dict[tuple[tuple[str, str | float | None], ...], list[int]] = {}
    if not rules.quasi_identifiers:
        return groups
    names = (*rules.quasi_identifiers, *(["label"] if rules.rare_labels else []))
    quasi = [columns[name] for name in rules.quasi_identifiers]
    labels = columns["label"]
    for row in range(len(labels)):
        values = [column[row] for column in quasi]
        if any(value is not None for value in values):
            if rules.rare_labels:
                values.append(labels[row])
            groups.setdefault(tuple(zip(names, values, strict=True)), []).append(row)
    return groups
