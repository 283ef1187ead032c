"""Applying the policy: from what a source says of a cell to what is released about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..errors import PolicyError
from .dates import age_band, parse_age_years, parse_date, parse_year
from .policy import CORE_TARGETS, Rule, Treatment
from .vault import Vault

Released = str | float | None


class ValueNotAllowedError(ValueError):
    """A value is not what its rule expects; it is not repeated here."""


@dataclass(frozen=True, slots=True)
class ReleasedFields:
    """What is released about a cell beside its pixels and label."""

    subject: str | None
    slide: str | None
    site: str | None
    attributes: Mapping[str, Released]


class Treat:
    """The treatments of one source, bound to the keys of a vault."""

    def __init__(self, treatments: Sequence[Treatment], vault: Vault) -> None:
        self._used = [t for t in treatments if t.into is not None]
        self._vault = vault
        self._subject_columns = [t.column for t in self._used if t.into == "subject"]

    def __call__(self, fields: Mapping[str, str | None]) -> ReleasedFields:
        """Return what is released of the fields of one cell.

        Raises: ValueNotAllowedError where a rule refuses a value.
        """
        subject = self._first(fields, self._subject_columns)
        made: dict[str, Released] = dict.fromkeys(t.into or "" for t in self._used)
        for treatment in self._used:
            text = fields.get(treatment.column)
            if text is not None and made[treatment.into or ""] is None:
                made[treatment.into or ""] = self._value(treatment, text, subject)
        core = {name: _text(made.pop(name, None)) for name in CORE_TARGETS}
        return ReleasedFields(**core, attributes=made)

    @staticmethod
    def _first(fields: Mapping[str, str | None], columns: Sequence[str]) -> str | None:
        return next((text for column in columns if (text := fields.get(column)) is not None), None)

    def _value(self, treatment: Treatment, text: str, subject: str | None) -> Released:
        try:
            return self.value(treatment, text, subject)
        except ValueNotAllowedError:
            if treatment.rule.otherwise == "empty":
                return None
            raise

    def value(self, treatment: Treatment, text: str, subject: str | None) -> Released:
        """Return what becomes of one value.

        Raises: ValueNotAllowedError, also where the rule would leave such a value empty.
        """
        rule, into = treatment.rule, treatment.into or ""
        if rule.action == "pseudonymise":
            return self._vault.pseudonym(into, text)
        if rule.action == "code":
            return self._code(rule, into, text)
        if rule.action == "shift_date":
            return self._shifted(text, subject)
        return _PLAIN[rule.action](rule, text)

    def _code(self, rule: Rule, into: str, text: str) -> str:
        if not rule.codes:
            return self._vault.pseudonym(into, text)
        if text not in rule.codes:
            raise ValueNotAllowedError
        return rule.codes[text]

    def _shifted(self, text: str, subject: str | None) -> str | None:
        day = parse_date(text)
        if day is None:
            raise ValueNotAllowedError
        if subject is None:
            return None  # one offset per subject: without one, intervals would not survive
        return (day + timedelta(days=self._vault.shift_days(subject))).isoformat()


def _text(value: Released) -> str | None:
    return None if value is None else str(value)


def _keep(rule: Rule, text: str) -> Released:
    if rule.minimum is not None and rule.maximum is not None:
        return _number(text, rule.minimum, rule.maximum)
    folded = text.casefold()
    for released, spellings in rule.values.items():
        if folded == released.casefold() or folded in (s.casefold() for s in spellings):
            return released
    raise ValueNotAllowedError


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text.casefold().rstrip("x×").replace(",", "."))
    except ValueError:
        raise ValueNotAllowedError from None
    if not low <= value <= high:
        raise ValueNotAllowedError
    return value


def _age_band(rule: Rule, text: str) -> str:
    years = parse_age_years(text)
    if years is None:
        raise ValueNotAllowedError
    return age_band(years)


def _year(rule: Rule, text: str) -> str:
    year = parse_year(text)
    if year is None:
        raise ValueNotAllowedError
    return str(year)


_PLAIN: Mapping[str, Callable[[Rule, str], Released]] = {
    "keep": _keep,
    "age_band": _age_band,
    "year": _year,
}


def check_values(
    treatments: Sequence[Treatment],
    values: Iterable[tuple[str, str]],
    treat: Treat,
    where: str,
) -> None:
    """Refuse a source whose values a rule does not expect, before any image is read.

    `values` is (column, text) of every distinct value.

    Raises: PolicyError naming the columns and how many values each; never a value.
    """
    used = {t.column for t in treatments if t.into is not None and t.rule.otherwise == "refuse"}
    refused: dict[str, int] = {}
    for column, text in values:
        if column in used:
            try:
                treat({column: text})
            except ValueNotAllowedError:
                refused[column] = refused.get(column, 0) + 1
    if refused:
        listed = ", ".join(f"{column!r} ({count})" for column, count in refused.items())
        raise PolicyError(
            f"{where}: values that the policy does not expect, by column: {listed}; they are not "
            "shown, since they may name someone. Next: mend the table, extend the rule, or say "
            "'otherwise: empty' in it to leave such values out"
        )
