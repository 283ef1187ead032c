from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curation.cells import Attribute
from curation.deidentify.k_anonymity import Rules, generalised, rules_for, small_groups

RULES = Rules(k=2, l=2, quasi_identifiers=("year", "sex"))


def test_too_few_subjects_make_a_small_group() -> None:
    columns = {
        "year": ["2020", "2020", "2020", "2021", "2021"],
        "sex": ["f", "f", "f", "f", "f"],
        "label": ["basophil"] * 5,
    }
    # Two cells of one subject are not two subjects.
    groups, small = small_groups(columns, ["a", "b", "b", "c", "c"], RULES)
    assert small.tolist() == [False, False, False, True, True]
    assert [(g.rows, g.subjects, dict(g.values)["year"]) for g in groups] == [(2, 1, "2021")]


def test_a_rare_label_is_a_quasi_identifier() -> None:
    columns = {
        "year": ["2020"] * 4, "sex": ["f"] * 4, "label": ["monocyte"] * 3 + ["basophil"],
    }  # fmt: skip
    subjects = ["a", "b", "c", "d"]
    assert small_groups(columns, subjects, RULES)[1].tolist() == [False, False, False, True]
    plain = Rules(2, 2, RULES.quasi_identifiers, rare_labels=False)
    assert not small_groups(columns, subjects, plain)[1].any()


def test_unknown_subjects_are_one_subject() -> None:
    columns = {"year": ["2020"] * 9, "sex": ["f"] * 9, "label": ["monocyte"] * 9}
    assert small_groups(columns, [None] * 9, RULES)[1].all()


def test_sensitive_values_must_differ() -> None:
    rules = Rules(2, 2, ("year",), sensitive=("diagnosis",), rare_labels=False)
    columns = {
        "year": ["2020", "2020", "2021", "2021"], "diagnosis": ["aml", "aml", "aml", "none"],
        "label": ["blast"] * 4,
    }  # fmt: skip
    groups, small = small_groups(columns, ["a", "b", "c", "d"], rules)
    assert small.tolist() == [True, True, False, False]
    assert groups[0].fewest_sensitive == 1


def test_without_quasi_identifiers_there_is_nothing_to_check() -> None:
    rules = rules_for([], [None, None], 5, 2, True)
    assert rules.quasi_identifiers == ()
    groups, small = small_groups({"label": ["basophil", "basophil"]}, ["a", "a"], rules)
    assert not groups
    assert not small.any()
    stain = Attribute(name="stain", action="keep")
    sex = Attribute(name="sex", action="keep", quasi_identifier=True)
    assert rules_for([stain, sex], ["x", None], 5, 2, True).quasi_identifiers == ("site", "sex")


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["2020", "2021", None]),
                  st.sampled_from(["f", "m", None]), st.sampled_from(["basophil", "monocyte"])),
        max_size=40,
    ),
    st.integers(1, 4),
)  # fmt: skip
def test_after_generalising_no_group_is_small(
    rows: list[tuple[str, str | None, str | None, str]], k: int
) -> None:
    rules = Rules(k, 1, ("year", "sex"))
    subjects: list[str | None] = [row[0] for row in rows]
    columns: dict[str, list[str | float | None]] = {
        "year": [row[1] for row in rows], "sex": [row[2] for row in rows],
        "label": [row[3] for row in rows],
    }  # fmt: skip
    made = generalised(columns, subjects, rules)
    assert not small_groups({**columns, **made}, subjects, rules)[1].any()
    _, small = small_groups(columns, subjects, rules)
    for name, values in made.items():
        for row, (before, after) in enumerate(zip(columns[name], values, strict=True)):
            assert after == before or (after is None and small[row])
