from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.split import related_groups
from curation.split_groups import key_codes

names = st.one_of(st.none(), st.sampled_from("abcdef"))


def union_find(keys: list[list[str | None]], edges: list[tuple[int, int]]) -> list[int]:
    """The slow and plain way: a parent per row."""
    parent = list(range(len(keys[0])))

    def root(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    joins = list(edges)
    for column in keys:
        first: dict[str, int] = {}
        joins += [(first.setdefault(v, row), row) for row, v in enumerate(column) if v is not None]
    for a, b in joins:
        parent[root(a)] = root(b)
    return [root(row) for row in range(len(parent))]


def same_partition(a: list[int], b: list[int]) -> bool:
    return len(set(a)) == len(set(b)) == len(set(zip(a, b, strict=True)))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_groups_are_the_connected_components(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 30))
    keys = data.draw(
        st.lists(st.lists(names, min_size=count, max_size=count), min_size=1, max_size=3)
    )
    rows = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(rows, rows), max_size=8))
    groups = related_groups(*keys, edges=np.array(edges, np.int64).reshape(-1, 2))
    assert same_partition(groups.tolist(), union_find(keys, edges))
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))


def test_every_form_of_a_column_gives_the_same_groups() -> None:
    texts = ["x", None, "y", "x", None, "z", "y"]
    column = pa.array(texts)
    # Two chunks with dictionaries of their own: the same number means another name in each.
    own = pa.chunked_array([column[:3].dictionary_encode(), column[3:].dictionary_encode()])
    forms = [
        texts,
        column,
        column.cast(pa.large_string()),
        pa.chunked_array([column[:3], column[3:]]),
        own,
        np.array([7, -1, 9, 7, -5, 1, 9]),
        np.array([2**40, -1, 9, 2**40, -1, 1, 9]),
        np.array([0, 5, 1, 0, 6, 2, 1], np.uint8),
        pa.array([7, None, 9, 7, None, 1, 9]),
    ]
    for form in forms:
        assert same_partition(related_groups(form).tolist(), [0, 1, 2, 0, 3, 4, 2]), form


def test_a_name_joins_only_within_its_own_column() -> None:
    assert len(set(related_groups(["x", None], [None, "x"]).tolist())) == 2


def test_what_is_not_known_joins_nothing() -> None:
    assert len(set(related_groups([None] * 5, pa.nulls(5)).tolist())) == 5
    assert len(related_groups([], pa.chunked_array([], pa.string()))) == 0


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"as long as the rows; found lengths \[1, 2\]"):
        related_groups(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="at least one key column"):
        related_groups()


@pytest.mark.parametrize("edges", [[[0, 2]], [[-1, 0]]])
def test_an_edge_out_of_the_rows_is_refused(edges: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="edges must join rows 0 to 1; found"):
        related_groups(["a", "b"], edges=np.array(edges))


def test_edges_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pairs of rows, \(m, 2\); found shape \(3,\)"):
        related_groups(["a", "b"], edges=np.array([0, 1, 0]))


def test_numbers_with_a_fraction_are_no_key() -> None:
    with pytest.raises(ValueError, match="text or whole numbers; found double"):
        key_codes(pa.array([1.5, float("nan")]))
    with pytest.raises(ValueError, match="whole numbers; found float64"):
        key_codes(np.array([1.5, 2.0]))
