from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.split import Fractions, assign_splits, related_groups

FRACTIONS = Fractions()
Rows = list[tuple[int, str | None, str | None]]
row = st.tuples(
    st.integers(0, 4),
    st.one_of(st.none(), st.sampled_from("abcdefgh")),
    st.one_of(st.none(), st.sampled_from("uvwxyz")),
)


def split_rows(rows: Rows, fractions: Fractions = FRACTIONS, seed: int = 0) -> np.ndarray:
    labels = np.array([label for label, _, _ in rows], dtype=np.int64)
    groups = related_groups([s for _, s, _ in rows], [s for _, _, s in rows])
    order = np.random.default_rng(seed).permutation(len(rows))
    return assign_splits(labels, groups, order, fractions).split


@settings(deadline=None, max_examples=200)
@given(st.lists(row, max_size=60), st.integers(0, 5))
def test_no_subject_and_no_slide_is_divided(rows: Rows, seed: int) -> None:
    splits = split_rows(rows, seed=seed)
    assert len(splits) == len(rows)
    assert set(splits.tolist()) <= {0, 1, 2}
    for names in ([subject for _, subject, _ in rows], [slide for _, _, slide in rows]):
        seen: dict[str, int] = {}
        for name, split in zip(names, splits.tolist(), strict=True):
            if name is not None:
                assert seen.setdefault(name, split) == split
    for label in {label for label, _, _ in rows}:
        here = [s for (own, _, _), s in zip(rows, splits.tolist(), strict=True) if own == label]
        assert 0 in here, "every label occurs in train"
    np.testing.assert_array_equal(splits, split_rows(rows, seed=seed))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_single_cells_are_stratified(sizes: list[int]) -> None:
    rows: Rows = [(label, None, None) for label, size in enumerate(sizes) for _ in range(size)]
    splits = split_rows(rows)
    labels = np.array([label for label, _, _ in rows])
    for label, size in enumerate(sizes):
        counts = np.bincount(splits[labels == label], minlength=3)
        assert (np.abs(counts - FRACTIONS.array() * size) <= 1).all()


def test_shares_hold_for_many_cells_in_groups() -> None:
    rng = np.random.default_rng(1)
    rows: Rows = [
        (int(label), f"subject {subject}", None)
        for subject in range(200)
        for label in rng.choice(5, rng.integers(2, 20), p=[0.5, 0.3, 0.1, 0.06, 0.04])
    ]
    shares = np.bincount(split_rows(rows), minlength=3) / len(rows)
    np.testing.assert_allclose(shares, FRACTIONS.array(), atol=0.03)


@pytest.mark.parametrize("cells_each", [2, 10, 41])
def test_twelve_subjects_fill_every_split(cells_each: int) -> None:
    rng = np.random.default_rng(2)
    rows: Rows = [
        (int(rng.integers(0, 6)), f"subject {subject}", None)
        for subject in range(12)
        for _ in range(cells_each)
    ]
    counts = np.bincount(split_rows(rows), minlength=3)
    assert (counts > 0).all()
    assert counts[0] == counts.max()


def test_subject_and_slide_join_rows() -> None:
    groups = related_groups(["s1", "s1", None, None, "s2", None], [None, "a", "a", "b", None, None])
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 4
    # The same name as a subject and as a slide joins nothing.
    assert len(set(related_groups(["x", None], [None, "x"]).tolist())) == 2
    assert len(related_groups([], [])) == 0


def test_nothing_to_split() -> None:
    assert len(split_rows([])) == 0


def test_a_share_of_zero_gets_no_cell() -> None:
    rows: Rows = [(i % 3, None if i % 2 else f"s{i % 14}", None) for i in range(90)]
    assert set(split_rows(rows, Fractions(0.8, 0.2, 0.0)).tolist()) == {0, 1}
    assert set(split_rows(rows, Fractions(1.0, 0.0, 0.0)).tolist()) == {0}


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_are_checked(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1; found"):
        Fractions(*shares)
