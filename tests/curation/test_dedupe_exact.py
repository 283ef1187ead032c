from __future__ import annotations

from curation.dedupe.exact import find_duplicates


def test_one_copy_is_kept() -> None:
    found = find_duplicates(["b", "a", "b", "c", "b"], ["x"] * 5, [None] * 5)
    assert found.reasons.tolist() == ["", "", "duplicate", "", "duplicate"]
    assert found.n_groups == 1
    assert found.conflicts == ()


def test_a_copy_with_a_known_subject_goes_first() -> None:
    found = find_duplicates(["a", "a", "a"], ["x"] * 3, [None, "s", "s"])
    assert found.reasons.tolist() == ["duplicate", "", "duplicate"]


def test_copies_that_disagree_all_go() -> None:
    found = find_duplicates(
        ["a", "a", "b", "b", "c", "c", "c"],
        ["x", "y", "x", "x", "x", "x", "y"],
        [None, None, "s", "t", "s", None, "t"],
    )
    assert found.reasons.tolist() == [
        "label_conflict", "label_conflict", "subject_conflict", "subject_conflict",
        "label_conflict", "label_conflict", "label_conflict",
    ]  # fmt: skip
    assert [(c.image_id, c.kind, c.labels, c.rows) for c in found.conflicts] == [
        ("a", "label", ("x", "y"), (0, 1)),
        ("b", "subject", ("x",), (2, 3)),
        ("c", "label", ("x", "y"), (4, 5, 6)),
    ]
    assert found.n_groups == 3


def test_nothing_to_compare() -> None:
    found = find_duplicates([], [], [])
    assert found.n_groups == 0
    assert len(found.reasons) == 0
