"""A policy applied to what sources hold: what happens to each column, checked before any image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cells import Attribute
from ..errors import PolicyError, SourceError
from ..sources.source import Source
from .element_rule import element_rule
from .policy import (
    DICOM_PREFIX,
    Policy,
    Rule,
    Treatment,
    attributes,
    find_rule,
    fold_name,
    refusal,
    resolve_targets,
)
from .treat import Treat, check_values
from .vault import KEY_BYTES, Vault


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """A source and what happens to each of its columns and elements; `where` names it in errors."""

    source: Source
    treatments: tuple[Treatment, ...]
    where: str


def source_policies(
    policy: Policy, sources: Sequence[Source], roles: Mapping[str, str]
) -> tuple[SourcePolicy, ...]:
    """Return the treatments of each source.

    Raises: PolicyError naming what no rule names; SourceError where a column that a flag named is
    in no source.
    """
    _check_roles(sources, roles)
    made = []
    for number, source in enumerate(sources, start=1):
        where = f"source {number} ({source.kind})"
        made.append(SourcePolicy(source, source_treatments(policy, source.columns, where), where))
    return tuple(made)


def source_treatments(policy: Policy, columns: Sequence[str], where: str) -> tuple[Treatment, ...]:
    """Return what happens to each column and DICOM element.

    Raises: PolicyError naming everything that no rule names.
    """
    found = [(name, rule_for(policy, name)) for name in columns]
    refused = [name for name, rule in found if rule is None]
    if refused:
        raise PolicyError(refusal(refused, policy.name, where))
    return resolve_targets([(name, rule) for name, rule in found if rule is not None])


def rule_for(policy: Policy, column: str) -> Rule | None:
    """Return the rule for a column or a DICOM element, None where the policy does not know it."""
    if not column.startswith(DICOM_PREFIX):
        return find_rule(policy.columns, column)
    return element_rule(policy.dicom, column.removeprefix(DICOM_PREFIX))


def released_attributes(found: Sequence[SourcePolicy]) -> tuple[Attribute, ...]:
    """Return the columns that the policy adds, over all sources.

    Raises: PolicyError where two rules make one column in two ways.
    """
    made: dict[str, Attribute] = {}
    for entry in found:
        for attribute in attributes(entry.treatments):
            if made.setdefault(attribute.name, attribute) != attribute:
                raise PolicyError(
                    f"two rules of the policy release {attribute.name!r} in different ways. Next: "
                    "give them the same action, or release them under two names"
                )
    return tuple(made[name] for name in sorted(made))


def check_source_values(found: Sequence[SourcePolicy]) -> None:
    """Refuse sources with values that a rule does not expect.

    Raises: PolicyError naming columns and counts, never a value.
    """
    for entry in found:
        # Nothing of it is kept: under any key the same values are refused.
        treat = Treat(entry.treatments, Vault(Path(), bytes(KEY_BYTES)))
        check_values(entry.treatments, entry.source.identifiers(), treat, entry.where)


def vault_identifiers(found: Sequence[SourcePolicy], vault: Vault) -> Iterator[tuple[str, str]]:
    """Yield (kind, value) of everything that must not be published.

    What a rule keeps is published; everything else that a source says is an identifier.
    """
    for entry in found:
        by_column = {t.column: t for t in entry.treatments}
        treat = Treat(entry.treatments, vault)
        for column, value in entry.source.identifiers():
            treatment = by_column.get(column)
            if treatment is None:
                yield column, value
            elif not _is_kept(treatment, value, treat):
                yield _kind(treatment), value


def _is_kept(treatment: Treatment, value: str, treat: Treat) -> bool:
    if treatment.rule.action != "keep" or treatment.into is None:
        return False
    return treat({treatment.column: value}).attributes[treatment.into] is not None


def _kind(treatment: Treatment) -> str:
    if treatment.rule.action == "pseudonymise":
        return treatment.into or treatment.rule.to or ""
    is_element = treatment.column.startswith(DICOM_PREFIX)
    return treatment.column if is_element else f"column {treatment.column}"


def _check_roles(sources: Sequence[Source], roles: Mapping[str, str]) -> None:
    for role, column in roles.items():
        known = [fold_name(name) for source in sources for name in source.columns]
        if fold_name(column) not in known:
            found = ", ".join(dict.fromkeys(name for s in sources for name in s.columns)) or "none"
            raise SourceError(
                f"there is no column {column!r} for the {role}; columns found: {found}"
            )
