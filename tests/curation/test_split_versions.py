"""Splits over several versions: nothing moves, nothing leaks, and what would leak is cut out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curation.split import Assignment, Fractions, assign_splits, related_groups, split_cells
from curation.split_groups import KeyColumn
from curation.split_links import SplitConflictError, check_one_split, cut_links

FRACTIONS = Fractions()
Row = tuple[int, str | None, str | None]
row = st.tuples(
    st.integers(0, 3),
    st.one_of(st.none(), st.sampled_from("abcdefgh")),
    st.one_of(st.none(), st.sampled_from("uvwxyz")),
)


def keys_of(rows: list[Row]) -> dict[str, KeyColumn]:
    return {
        "subject": [subject for _, subject, _ in rows],
        "slide": [slide for _, _, slide in rows],
    }


def split_version(
    rows: list[Row], edges: NDArray[np.int64], fixed: NDArray[np.int64] | None = None
) -> Assignment:
    labels = np.array([label for label, _, _ in rows], np.int64)
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    return split_cells(labels, keys_of(rows), order, FRACTIONS, edges=edges, fixed=fixed)


def leaks(rows: list[Row], edges: NDArray[np.int64], split: NDArray[np.int64]) -> list[str]:
    """What lies in two splits, found the plain way; rows with split -1 are not there."""
    found = []
    for kind in (1, 2):
        seen: dict[str, int] = {}
        for cell, where in zip(rows, split.tolist(), strict=True):
            name = cell[kind]
            if isinstance(name, str) and where >= 0 and seen.setdefault(name, where) != where:
                found.append(f"{kind} {name}")
    for a, b in edges.tolist():
        if split[a] >= 0 and split[b] >= 0 and split[a] != split[b]:
            found.append(f"edge {a} {b}")
    return found


def test_the_search_for_leaks_finds_planted_ones() -> None:
    rows: list[Row] = [(0, "a", None), (0, "a", "u"), (0, None, "u"), (0, None, None)]
    edges = np.array([[2, 3]])
    assert leaks(rows, edges, np.array([0, 1, 1, 1])) == ["1 a"]
    assert leaks(rows, edges, np.array([0, 0, 1, 1])) == ["2 u"]
    assert leaks(rows, edges, np.array([0, 0, 0, 1])) == ["edge 2 3"]
    assert leaks(rows, edges, np.array([0, -1, 1, 1])) == []


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_versions_keep_every_row_and_never_leak(data: st.DataObject) -> None:
    rows: list[Row] = []
    edges = np.empty((0, 2), np.int64)
    fixed = np.empty(0, np.int64)
    for _ in range(4):
        new = data.draw(st.lists(row, min_size=1, max_size=12))
        begin, rows = len(rows), rows + new
        fixed = np.append(fixed, np.full(len(new), -1, np.int64))
        # A verified pair always has a new cell: pairs of old ones were found in their own version.
        pair = st.tuples(st.integers(0, len(rows) - 1), st.integers(begin, len(rows) - 1))
        pairs = data.draw(st.lists(pair, max_size=3))
        edges = np.vstack([edges, np.array(pairs, np.int64).reshape(-1, 2)])
        result = split_version(rows, edges, fixed)
        kept = fixed >= 0
        np.testing.assert_array_equal(result.split[kept], fixed[kept])
        assert not leaks(rows, edges, result.split)
        np.testing.assert_array_equal(result.links, result.split < 0)
        assert not result.links[kept].any()
        # What was cut does not come back in the next version.
        stay = ~result.links
        place = np.cumsum(stay) - 1
        edges = place[edges[stay[edges].all(axis=1)]]
        rows = [cell for cell, here in zip(rows, stay.tolist(), strict=True) if here]
        fixed = result.split[stay]


def test_a_cut_row_truly_ties_two_splits() -> None:
    # Old: subject a in train, slide u in test. The new row 4 has both; rows 2 and 3 have one each.
    rows: list[Row] = [
        (0, "a", None), (0, None, "u"), (0, "a", None), (1, None, "u"), (0, "a", "u"),
    ]  # fmt: skip
    fixed = np.array([0, 2, -1, -1, -1])
    none = np.empty((0, 2), np.int64)
    result = split_version(rows, none, fixed)
    assert result.split.tolist() == [0, 2, 0, 2, -1]
    assert result.links.tolist() == [False, False, False, False, True]
    assert leaks(rows, none, np.array([0, 2, 0, 2, 0])), "the row would leak wherever it goes"


def test_without_the_keys_all_new_rows_of_a_torn_group_are_cut() -> None:
    groups = np.array([0, 0, 0, 1])
    fixed = np.array([0, 2, -1, -1])
    result = assign_splits(np.zeros(4, np.int64), groups, np.arange(4), FRACTIONS, fixed)
    assert result.links.tolist() == [False, False, True, False]
    assert result.split[:3].tolist() == [0, 2, -1]


def test_a_chain_between_two_splits_is_cut_once() -> None:
    # a (train) - row 2 - slide w - row 3 - b (test): one cut is enough, and the rest has a place.
    rows: list[Row] = [
        (0, "a", None), (0, "b", None), (0, "a", "w"), (0, "b", "w"), (0, None, "w"),
    ]  # fmt: skip
    none = np.empty((0, 2), np.int64)
    result = split_version(rows, none, np.array([0, 2, -1, -1, -1]))
    assert result.links.sum() == 1
    assert not leaks(rows, none, result.split)


def test_what_only_a_cut_row_joined_is_free_again() -> None:
    # Row 2 joins a and b, and a pair joins it to row 3, which nothing else holds.
    rows: list[Row] = [(0, "a", None), (0, None, "u"), (0, "a", "u"), (0, None, None)]
    groups = related_groups(*keys_of(rows).values(), edges=np.array([[2, 3]]))
    assert len(set(groups.tolist())) == 1
    cut = cut_links(groups, keys_of(rows), np.array([0, 1, -1, -1]), edges=np.array([[2, 3]]))
    assert cut.links.tolist() == [False, False, True, False]
    assert len(set(cut.groups.tolist())) == 4


def test_new_rows_follow_a_known_subject() -> None:
    rows: list[Row] = [(0, "a", None), (0, "b", None), *[(1, "b", None)] * 30, (2, None, "u")]
    fixed = np.array([0, 1, *[-1] * 31])
    result = split_version(rows, np.empty((0, 2), np.int64), fixed)
    assert set(result.split[2:32].tolist()) == {1}


def test_a_subject_whose_rows_are_gone_keeps_its_split() -> None:
    groups = related_groups(["a", "a", "b", None])
    labels = np.array([-1, 0, 0, 1])
    result = assign_splits(labels, groups, np.arange(4), FRACTIONS, np.array([2, -1, -1, -1]))
    assert result.split[:2].tolist() == [2, 2]
    # The gone row is not counted: three cells are left, and each label has one in train.
    assert result.split[2:].tolist() == [0, 0]


def test_growth_brings_shares_back() -> None:
    """New subjects go where the cells of the earlier version left room."""
    old: list[Row] = [(i % 3, f"old {i // 10}", None) for i in range(300)]
    fixed = np.where(np.arange(300) < 270, 0, 2)
    new: list[Row] = [(i % 3, f"new {i // 10}", None) for i in range(900)]
    result = split_version(
        old + new, np.empty((0, 2), np.int64), np.append(fixed, np.full(900, -1))
    )
    shares = np.bincount(result.split, minlength=3) / 1200
    assert np.abs(shares - FRACTIONS.array()).max() <= 0.02
    np.testing.assert_array_equal(result.split[:300], fixed)


def test_nothing_new_is_left_as_it_was() -> None:
    rows: list[Row] = [(0, "a", None), (1, "b", None), (2, None, "u")]
    fixed = np.array([2, 2, 1])
    result = split_version(rows, np.empty((0, 2), np.int64), fixed)
    assert result.split.tolist() == [2, 2, 1]
    assert not result.links.any()


def test_a_subject_in_two_given_splits_is_refused_by_number() -> None:
    keys: dict[str, KeyColumn] = {
        "subject": ["Jane Roe", "Jane Roe", "John Doe", "John Doe", "Ann", None],
        "slide": ["S1", "S2", "S3", "S3", "S4", None],
    }
    fixed = np.array([0, 2, 0, 1, 0, 2])
    with pytest.raises(SplitConflictError) as caught:
        check_one_split(keys, fixed, where="the source's own splits")
    text = str(caught.value)
    assert text.startswith(
        "in the source's own splits, two or more splits share 2 subjects and 1 slide"
    )
    assert "Next: " in text
    assert not any(name in text for name in ("Jane", "John", "S3"))
    with pytest.raises(SplitConflictError, match="in the earlier version, .* share 2 subjects"):
        split_cells(np.zeros(6, np.int64), keys, np.arange(6), FRACTIONS, fixed=fixed)


def test_a_duplicate_pair_in_two_given_splits_is_refused() -> None:
    pairs = np.array([[0, 1], [1, 2]])
    check_one_split({}, np.array([0, 0, -1]), edges=pairs)
    with pytest.raises(SplitConflictError, match="share 1 duplicate pair;"):
        check_one_split({}, np.array([0, 2, -1]), edges=pairs)


@pytest.mark.parametrize("edges", [[[0, 2], [1, 2]], [[2, 0], [2, 1]], [[0, 2], [2, 1]]])
def test_a_pair_ties_whichever_way_it_is_written(edges: list[list[int]]) -> None:
    rows: list[Row] = [(0, None, None)] * 3
    result = split_version(rows, np.array(edges), np.array([0, 1, -1]))
    assert result.split.tolist() == [0, 1, -1]
    assert result.links.tolist() == [False, False, True]
