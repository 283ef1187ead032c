"""What a policy would do to a source: a line for every column and element found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..sources.source import Source
from .policy import Policy, Rule, Treatment, resolve_targets
from .source_policy import rule_for
from .treat import Treat, ValueNotAllowedError
from .vault import KEY_BYTES, Vault

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CheckedColumn:
    """What would happen to a column; `values` are distinct ones, `unexpected` those not allowed."""

    column: str
    action: str
    into: str | None
    values: int
    unexpected: int
    otherwise: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether `curate` would refuse the source because of this column."""
        return self.action == REFUSED or (self.unexpected > 0 and self.otherwise == "refuse")


def check_policy(policy: Policy, source: Source) -> tuple[CheckedColumn, ...]:
    """Return what would happen to each column of a source; no value of one stands in it."""
    rules = {column: rule_for(policy, column) for column in source.columns}
    known: list[tuple[str, Rule]] = [(c, rule) for c, rule in rules.items() if rule is not None]
    treatments = {t.column: t for t in resolve_targets(known)}
    # Nothing is kept: under any key the same values are expected.
    treat = Treat(tuple(treatments.values()), Vault(Path(), bytes(KEY_BYTES)))
    values: Counter[str] = Counter()
    unexpected: Counter[str] = Counter()
    for column, text in dict.fromkeys(source.identifiers()):
        values[column] += 1
        if column in treatments and not _is_expected(treatments[column], text, treat):
            unexpected[column] += 1
    return tuple(_checked(column, treatments, values, unexpected) for column in rules)


def lines(found: tuple[CheckedColumn, ...]) -> Iterator[tuple[str, str, str, str]]:
    """Yield column, action, released column and a note for a table."""
    for entry in found:
        note = f"{entry.values} values"
        if entry.unexpected:
            fate = "refused" if entry.otherwise == "refuse" else "left empty"
            note += f", {entry.unexpected} not expected: {fate}"
        yield entry.column, entry.action, entry.into or "–", note


def _checked(
    column: str,
    treatments: dict[str, Treatment],
    values: Counter[str],
    unexpected: Counter[str],
) -> CheckedColumn:
    found = treatments.get(column)
    if found is None:
        return CheckedColumn(column, REFUSED, None, values[column], 0)
    action = found.rule.action if found.into else "drop"
    return CheckedColumn(
        column, action, found.into, values[column], unexpected[column], found.rule.otherwise
    )


def _is_expected(treatment: Treatment, text: str, treat: Treat) -> bool:
    if treatment.into is None:
        return True
    try:
        treat.value(treatment, text, None)
    except ValueNotAllowedError:
        return False
    return True
