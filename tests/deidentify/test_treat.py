from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.deidentify.dates import age_band, parse_age_years, parse_date, parse_year
from curation.deidentify.policy import Rule, Treatment, load_policy
from curation.deidentify.source_policy import source_treatments
from curation.deidentify.treat import Treat, ValueNotAllowedError, check_values
from curation.deidentify.vault import Vault
from curation.errors import PolicyError

VAULT = Vault(Path("v"), bytes(range(32)))
OTHER = Vault(Path("v"), bytes(32))


def released(rule: Rule, text: str, **more: str) -> object:
    fields = {rule.names[0]: text, **more}
    treatments = [Treatment(rule.names[0], rule, rule.to)]
    for name in more:
        as_subject = Rule(names=(name,), action="pseudonymise", to="subject")
        treatments.append(Treatment(name, as_subject, "subject"))
    made = Treat(treatments, VAULT)(fields)
    return made.attributes.get(rule.to or "", getattr(made, rule.to or "", None))


def test_a_row_becomes_what_the_policy_says() -> None:
    columns = ["patient", "slide", "lab", "age", "sex", "acquired", "stain", "objective", "mrn"]
    treat = Treat(source_treatments(load_policy(), columns, ""), VAULT)
    made = treat({
        "patient": "Jane Roe", "slide": "S-1", "lab": "North", "age": "93", "sex": "W",
        "acquired": "2021-03-04 10:11", "stain": "MGG", "objective": "100x", "mrn": "12345",
    })  # fmt: skip
    assert made.subject == VAULT.pseudonym("subject", "Jane Roe")
    assert made.slide == VAULT.pseudonym("slide", "S-1")
    assert made.site == VAULT.pseudonym("site", "North")
    assert dict(made.attributes) == {
        "age_band": "90+", "sex": "female", "acquisition_year": "2021",
        "stain": "may-grünwald-giemsa", "magnification": 100.0,
    }  # fmt: skip
    empty = treat(dict.fromkeys(columns))
    assert (empty.subject, set(empty.attributes.values())) == (None, {None})


def test_dates_of_a_subject_move_together() -> None:
    rule = Rule(names=("seen",), action="shift_date", to="seen_shifted")
    first = released(rule, "2020-02-28", who="Jane")
    second = released(rule, "01.03.2020", who="Jane")
    assert isinstance(first, str)
    assert isinstance(second, str)
    assert (date.fromisoformat(second) - date.fromisoformat(first)).days == 2
    assert first != "2020-02-28"
    assert released(rule, "2020-02-28", who="John") != first
    assert released(rule, "2020-02-28") is None
    with pytest.raises(ValueNotAllowedError):
        released(rule, "03/04/2020", who="Jane")


def test_shifts_are_keyed_and_never_nothing() -> None:
    shifts = [VAULT.shift_days(f"p{n}") for n in range(500)]
    assert 0 not in shifts
    assert min(shifts) < -300
    assert max(shifts) > 300
    assert max(map(abs, shifts)) <= 365
    assert shifts[:20] != [OTHER.shift_days(f"p{n}") for n in range(20)]


def test_codes() -> None:
    rule = Rule(names=("lab",), action="code", to="site", codes={"North Hospital": "A"})
    assert released(rule, "North Hospital") == "A"
    with pytest.raises(ValueNotAllowedError):
        released(rule, "South Hospital")
    keyed = Rule(names=("lab",), action="code", to="site")
    assert released(keyed, "North Hospital") == VAULT.pseudonym("site", "North Hospital")


def test_unexpected_values_are_counted_and_never_shown() -> None:
    strict = Rule(names=("stain",), action="keep", to="stain", values={"wright": ()})
    lenient = Rule(names=("sex",), action="keep", to="sex", values={"f": ()}, otherwise="empty")
    treatments = [Treatment("stain", strict, "stain"), Treatment("sex", lenient, "sex")]
    treat = Treat(treatments, VAULT)
    values = [("stain", "Wright"), ("stain", "Jane Roe"), ("stain", "Ann Li"), ("sex", "Jane Roe")]
    with pytest.raises(PolicyError) as caught:
        check_values(treatments, values, treat, "source 2")
    assert "source 2" in str(caught.value)
    assert "'stain' (2)" in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert "sex" not in str(caught.value)
    check_values(treatments, values[:1], treat, "source 2")
    assert treat({"sex": "Jane Roe"}).attributes["sex"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-03-04", date(2021, 3, 4)), ("20210304", date(2021, 3, 4)),
        ("2021/03/04T10:11:12.5+01:00", date(2021, 3, 4)), ("4.3.2021", date(2021, 3, 4)),
        ("13/03/2021", date(2021, 3, 13)), ("03/13/2021", date(2021, 3, 13)),
        ("03/03/2021", date(2021, 3, 3)), ("03/04/2021", None), ("2021-13-40", None),
        ("yesterday", None), ("", None), ("1234567890", None), ("2021", None),
        ("20210304101112.000000", date(2021, 3, 4)),
    ],
)  # fmt: skip
def test_dates_that_are_beyond_doubt(text: str, expected: date | None) -> None:
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("03/04/2021", 2021), ("2021", 2021), ("2021-03", 2021), ("4.3.2021", 2021), ("0021", None),
     ("12345", None), ("Jane", None), ("99/99/2021", None)],
)  # fmt: skip
def test_years(text: str, expected: int | None) -> None:
    assert parse_year(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45", "40-49"), ("045Y", "40-49"), ("89", "80-89"), ("90", "90+"), ("117 years", "90+"),
     ("7 months", "0-9"), ("300D", "0-9"), ("45.5", "40-49"), ("0", "0-9")],
)  # fmt: skip
def test_ages(text: str, expected: str) -> None:
    years = parse_age_years(text)
    assert years is not None
    assert age_band(years) == expected


@given(st.text(max_size=30))
def test_no_text_breaks_the_readers(text: str) -> None:
    day, year, age = parse_date(text), parse_year(text), parse_age_years(text)
    assert day is None or year == day.year
    assert age is None or 0 <= age <= 130
