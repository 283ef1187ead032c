"""The policy: which columns and DICOM elements leave a source, and in what form.

An allow-list: a column that no rule names is refused, never passed on and never dropped in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from ..cells import SCHEMA, Attribute
from ..errors import PolicyError
from ..frozen import Frozen

DEFAULT_POLICY = "smear-export"
DICOM_PREFIX = "dicom:"
"""What the names of DICOM elements begin with where they stand beside columns."""
CORE_TARGETS = ("subject", "slide", "site")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,39}")

Action = Literal["keep", "age_band", "year", "shift_date", "code", "pseudonymise", "drop"]


class Rule(Frozen):
    """What happens to the columns of some names, and the released column that they become.

    Of several columns that would become one released column, the one named first does; the others
    are dropped. A name with `*` stands for many; only a rule that drops may have one.
    """

    names: tuple[str, ...] = Field(min_length=1)
    action: Action
    to: str | None = None
    values: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="keep: released value -> how a source spells it"
    )
    minimum: float | None = None
    maximum: float | None = None
    codes: dict[str, str] = Field(default_factory=dict, description="code: as found -> code")
    otherwise: Literal["refuse", "empty"] = "refuse"
    quasi_identifier: bool = False
    sensitive: bool = Field(default=False, description="must differ within a group: l-diversity")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.action == "drop":
            if self.to is not None:
                raise ValueError("a rule that drops has no 'to'")
            return self
        if any("*" in name for name in self.names):
            raise ValueError("a name with * may only be dropped")
        if self.to is None:
            raise ValueError(f"'to' must name the released column of action {self.action}")
        self._check_target(self.to)
        if self.action == "keep" and not self.values and not self.is_number:
            raise ValueError("keep needs 'values', or 'minimum' and 'maximum': free text may name")
        if self.values and self.is_number:
            raise ValueError("keep takes 'values', or 'minimum' and 'maximum', not both")
        return self

    def _check_target(self, to: str) -> None:
        if self.action in ("pseudonymise", "code") and to in CORE_TARGETS:
            return
        if not _ATTRIBUTE.fullmatch(to):
            raise ValueError(f"'to: {to}' must be lower-case letters, digits and _")
        if to in SCHEMA.names:
            raise ValueError(f"'to: {to}' is a column of every corpus; choose another name")

    @property
    def is_number(self) -> bool:
        """Whether a kept column holds numbers of a range."""
        return self.minimum is not None and self.maximum is not None


class DicomRules(Frozen):
    """What happens to DICOM elements: the PS3.15 basic profile, then these rules over it.

    `unlisted_standard` is about elements of the DICOM dictionary that neither PS3.15 nor a rule
    names; elements that are in no dictionary are always refused.
    """

    unlisted_standard: Literal["drop", "refuse"] = "drop"
    private: Literal["drop", "refuse"] = "drop"
    elements: tuple[Rule, ...] = ()


class Policy(Frozen):
    """A policy file."""

    policy: Literal[1]
    name: str
    columns: tuple[Rule, ...]
    dicom: DicomRules = DicomRules()
    k: int = Field(default=5, ge=1, description="fewest subjects that share quasi-identifiers")
    l: int = Field(  # noqa: E741
        default=2, ge=1, description="fewest values of a sensitive column among them"
    )
    rare_labels: bool = Field(
        default=True, description="the label is a quasi-identifier beside others"
    )

    @model_validator(mode="after")
    def _no_name_twice(self) -> Self:
        for rules in (self.columns, self.dicom.elements):
            folded = [fold_name(name) for rule in rules for name in rule.names]
            twice = sorted({name for name in folded if folded.count(name) > 1})
            if twice:
                raise ValueError(f"named by two rules: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to one column of a source; `into` is None where it is dropped."""

    column: str
    rule: Rule
    into: str | None


def fold_name(name: str) -> str:
    """Return a column name without case, blanks and punctuation: "Patient ID" -> "patientid"."""
    return "".join(c for c in name.casefold() if c.isalnum() or c == "*")


def treatments(policy: Policy, columns: Sequence[str], where: str) -> tuple[Treatment, ...]:
    """Return what happens to each column found in a source.

    Raises: PolicyError naming every column that no rule names.
    """
    found = {column: find_rule(policy.columns, column) for column in columns}
    refused = [column for column, rule in found.items() if rule is None]
    if refused:
        raise PolicyError(refusal(refused, policy.name, where))
    named = [(column, rule) for column, rule in found.items() if rule is not None]
    return resolve_targets(named)


def resolve_targets(found: Sequence[tuple[str, Rule]]) -> tuple[Treatment, ...]:
    """Return treatments in which each released column comes from one column of a table.

    What a table says goes before what the headers of DICOM files say. Those differ in what they
    hold, so of several elements the first that a file has is taken; they come first to last.
    """
    ordered = sorted(found, key=lambda pair: _rank(pair[1], pair[0]))
    winners: dict[str, str] = {}
    for column, rule in ordered:
        if rule.to is not None and (
            rule.to not in winners or (is_element(winners[rule.to]) and not is_element(column))
        ):
            winners[rule.to] = column
    return tuple(
        Treatment(column, rule, rule.to if _takes_part(column, rule, winners) else None)
        for column, rule in ordered
    )


def _takes_part(column: str, rule: Rule, winners: Mapping[str, str]) -> bool:
    if rule.to is None:
        return False
    winner = winners[rule.to]
    return column == winner or (is_element(column) and is_element(winner))


def is_element(column: str) -> bool:
    """Whether a name stands for a DICOM element."""
    return column.startswith(DICOM_PREFIX)


def _rank(rule: Rule, column: str) -> int:
    """Return where a rule names a column; those that only drop have no rank."""
    if rule.to is None:
        return len(rule.names)
    folded = fold_name(column.removeprefix(DICOM_PREFIX))
    return [fold_name(name) for name in rule.names].index(folded)


def find_rule(rules: Iterable[Rule], column: str) -> Rule | None:
    """Return the rule that names a column: the exact name before a name with `*`."""
    table = {fold_name(name): rule for rule in rules for name in rule.names}
    folded = fold_name(column)
    if folded in table:
        return table[folded]
    return next(
        (rule for name, rule in table.items() if "*" in name and fnmatchcase(folded, name)), None
    )


def refusal(names: Sequence[str], policy: str, where: str) -> str:
    """Return the text of the refusal of columns that no rule names."""
    return (
        f"{where}: no rule of the policy {policy!r} names {', '.join(map(repr, names))}. Next: "
        "drop them with --drop-column NAME, or say in a policy file what becomes of them "
        "(`smearkit policy show` prints the present one), and give it with --policy FILE"
    )


def attributes(found: Iterable[Treatment]) -> tuple[Attribute, ...]:
    """Return the released columns beyond the corpus' own, in order of their names."""
    made = {
        t.into: Attribute(
            name=t.into,
            action=t.rule.action,
            is_number=t.rule.is_number,
            quasi_identifier=t.rule.quasi_identifier,
            sensitive=t.rule.sensitive,
        )
        for t in found
        if t.into is not None and t.into not in CORE_TARGETS
    }
    return tuple(made[name] for name in sorted(made))


def with_columns(policy: Policy, roles: Mapping[str, str], dropped: Sequence[str]) -> Policy:
    """Return a policy in which some columns play the roles, or are dropped, that flags gave them.

    `roles` is "subject", "slide" or "site" -> column.
    """
    elements = [
        name.removeprefix(DICOM_PREFIX) for name in dropped if name.startswith(DICOM_PREFIX)
    ]
    if elements:
        policy = policy.model_copy(update={"dicom": _without(policy.dicom, elements)})
    dropped = [name for name in dropped if not name.startswith(DICOM_PREFIX)]
    mine = [Rule(names=(column,), action="pseudonymise", to=role) for role, column in roles.items()]
    if dropped:
        mine.append(Rule(names=tuple(dict.fromkeys(dropped)), action="drop"))
    named = {fold_name(name) for rule in mine for name in rule.names}
    others = []
    for rule in policy.columns:
        rest = tuple(name for name in rule.names if fold_name(name) not in named)
        # The usual names of a role that a flag decides would compete with it: they only drop.
        if rule.to in roles:
            others.extend([Rule(names=rest, action="drop")] if rest else [])
        elif rest:
            others.append(rule.model_copy(update={"names": rest}))
    return policy.model_copy(update={"columns": (*mine, *others)})


def _without(rules: DicomRules, elements: Sequence[str]) -> DicomRules:
    named = {fold_name(name) for name in elements}
    others = [
        rule.model_copy(update={"names": rest})
        for rule in rules.elements
        if (rest := tuple(name for name in rule.names if fold_name(name) not in named))
    ]
    drop = Rule(names=tuple(dict.fromkeys(elements)), action="drop")
    return rules.model_copy(update={"elements": (drop, *others)})


def load_policy(location: str | Path | None = None) -> Policy:
    """Read a policy file; None is the one for smear exports that comes with the package.

    Raises: PolicyError with the field that does not fit.
    """
    text = policy_text(location)
    where = f"policy {location or DEFAULT_POLICY}"
    try:
        values = yaml.safe_load(text)
        # As JSON, in which a list may stand for a tuple.
        return Policy.model_validate_json(json.dumps(values))
    except yaml.YAMLError as error:
        raise PolicyError(f"{where} is no YAML: {error}") from error
    except (ValidationError, TypeError) as error:
        raise PolicyError(f"{where}: {_first(error)}") from error


def policy_text(location: str | Path | None = None) -> str:
    """Return the text of a policy file; None is the one that comes with the package.

    Raises: PolicyError where it cannot be read.
    """
    if location is None:
        name = f"policies/{DEFAULT_POLICY}.yaml"
        return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
    try:
        return Path(location).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy {location} cannot be read: {error}") from error


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors()[0]
    return f"at {'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
