from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.cells import SCHEMA
from curation.deidentify.policy import (
    Policy,
    Rule,
    attributes,
    find_rule,
    load_policy,
    policy_text,
    resolve_targets,
    with_columns,
)
from curation.deidentify.source_policy import source_treatments
from curation.errors import PolicyError


def policy_of(*rules: Rule) -> Policy:
    return Policy(policy=1, name="test", columns=rules)


def treated(policy: Policy, *columns: str) -> dict[str, tuple[str, str | None]]:
    found = source_treatments(policy, columns, "source 1")
    return {t.column: (t.rule.action, t.into) for t in found}


def test_the_default_policy_knows_an_export() -> None:
    assert treated(
        load_policy(), "Patient ID", "slide", "hospital", "patient_name", "MRN", "Birth Date",
        "age", "Sex", "acquired", "scanner_serial", "original_width", "stain",
    ) == {
        "Patient ID": ("pseudonymise", "subject"), "slide": ("pseudonymise", "slide"),
        "hospital": ("pseudonymise", "site"), "patient_name": ("drop", None), "MRN": ("drop", None),
        "Birth Date": ("drop", None), "age": ("age_band", "age_band"), "Sex": ("keep", "sex"),
        "acquired": ("year", "acquisition_year"), "scanner_serial": ("drop", None),
        "original_width": ("drop", None), "stain": ("keep", "stain"),
    }  # fmt: skip


def test_the_default_policy_takes_a_corpus_again() -> None:
    own = [name for name in SCHEMA.names if name not in ("image", "label")]
    released = {name for name, (_, into) in treated(load_policy(), *own).items() if into}
    assert released == {"subject", "slide", "site"}


def test_what_no_rule_names_is_refused_by_name() -> None:
    with pytest.raises(PolicyError) as caught:
        treated(load_policy(), "patient_id", "blood_group", "lucky number")
    text = str(caught.value)
    assert "source 1: no rule of the policy 'smear-export' names 'blood_group', 'lucky number'" in (
        text
    )
    assert "--drop-column" in text
    assert "patient_id" not in text


def test_one_released_column_has_one_origin() -> None:
    found = treated(load_policy(), "case", "patient", "subject_id")
    assert found == {
        "case": ("pseudonymise", None),
        "patient": ("pseudonymise", None),
        "subject_id": ("pseudonymise", "subject"),
    }


def test_exact_names_go_before_patterns() -> None:
    rules = (
        Rule(names=("*date",), action="drop"),
        Rule(names=("scan_date",), action="year", to="scan_year"),
    )
    exact = find_rule(rules, "Scan Date")
    pattern = find_rule(rules, "birth_date")
    assert exact is not None
    assert exact.action == "year"
    assert pattern is not None
    assert pattern.action == "drop"
    assert find_rule(rules, "dates") is None


def test_flags_go_over_the_policy() -> None:
    policy = with_columns(load_policy(), {"subject": "proband"}, ["hobby"])
    assert treated(policy, "proband", "patient_id", "hobby", "slide") == {
        "proband": ("pseudonymise", "subject"),
        "patient_id": ("drop", None),
        "hobby": ("drop", None),
        "slide": ("pseudonymise", "slide"),
    }
    # A column that a rule drops may be given a role, and one with a role may be dropped.
    policy = with_columns(load_policy(), {"slide": "mrn"}, ["age"])
    assert treated(policy, "mrn", "age") == {
        "mrn": ("pseudonymise", "slide"),
        "age": ("drop", None),
    }


def test_released_columns_are_described() -> None:
    found = source_treatments(load_policy(), ["magnification", "sex", "patient"], "")
    assert [(a.name, a.is_number, a.quasi_identifier) for a in attributes(found)] == [
        ("magnification", True, False),
        ("sex", False, True),
    ]
    assert resolve_targets([]) == ()


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"names": ["a"], "action": "keep", "to": "a"}, "free text may name"),
        ({"names": ["a*"], "action": "year", "to": "a"}, r"with \* may only be dropped"),
        ({"names": ["a"], "action": "year"}, "'to' must name the released column"),
        ({"names": ["a"], "action": "drop", "to": "a"}, "has no 'to'"),
        ({"names": ["a"], "action": "year", "to": "image_id"}, "a column of every corpus"),
        ({"names": ["a"], "action": "year", "to": "subject"}, "a column of every corpus"),
        ({"names": ["a"], "action": "year", "to": "A b"}, "lower-case letters"),
        ({"names": ["a"], "action": "shred"}, "at columns.0.action"),
        ({"names": [], "action": "drop"}, "at columns.0.names"),
        ({"names": ["a"], "action": "drop", "colour": 1}, "at columns.0.colour"),
    ],
)
def test_rules_that_do_not_fit(rule: dict[str, Any], match: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({"policy": 1, "name": "x", "columns": [rule]}))
    with pytest.raises(PolicyError, match=match):
        load_policy(path)


def test_files_that_are_no_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    for text, match in (
        ("{", "is no YAML"),
        ("[]", "policy"),
        ("policy: 2\nname: x\ncolumns: []", "at policy"),
        ("policy: 1\nname: x\ncolumns:\n- {names: [a_b], action: drop}\n"
         "- {names: [A B], action: drop}", "named by two rules: ab"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(PolicyError, match=match):
            load_policy(path)
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "absent.yaml")


def test_the_printed_policy_is_a_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(policy_text(), encoding="utf-8")
    assert load_policy(path) == load_policy()
