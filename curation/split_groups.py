"""Groups of related cells: the connected components of everything that rows share.

Rows that share a subject, a slide or a field, or that a verified duplicate pair joins, are one
group. Columns are taken in one after another, each as the distinct pairs of (group so far, value):
their number is what the graph costs, not the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Groups: TypeAlias = NDArray[np.int64]
Codes: TypeAlias = NDArray[np.int64]
Edges: TypeAlias = NDArray[np.int64]
KeyColumn: TypeAlias = "Sequence[str | None] | NDArray[np.integer] | pa.Array | pa.ChunkedArray"


def related_groups(*keys: KeyColumn, edges: Edges | None = None) -> Groups:
    """Return a group number per row, (n,) int64: rows that share a value or an edge share a group.

    A key column holds strings, or whole numbers of which a negative one means "not known". A value
    joins rows within its own column only. `edges` is (m, 2) int64, pairs of row positions.

    Raises: ValueError where columns differ in length or an edge leaves the rows.
    """
    columns = [key_codes(key) for key in keys]
    count = _common_length(columns)
    groups = np.arange(count, dtype=np.int64)
    alone = True
    for codes in columns:
        groups = _grouped_once(codes) if alone else _joined_by_codes(groups, codes)
        alone = False
    if edges is not None and len(edges):
        groups = _joined(groups, groups[checked_edges(edges, count)])
    return _compact(groups)


def key_codes(values: KeyColumn) -> Codes:
    """Return a number per row, (n,) int64 from 0 up; -1 where nothing is known.

    Raises: ValueError for a column that is neither text nor whole numbers.
    """
    if isinstance(values, np.ndarray):
        return _codes_of_numbers(values)
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, pa.string())
    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):
        return np.full(len(values), -1, np.int64)
    if not _is_text_or_whole(values.type):
        raise ValueError(f"a key column must hold text or whole numbers; found {values.type}")
    if pa.types.is_integer(values.type):
        return _codes_of_numbers(pc.fill_null(values.cast(pa.int64()), -1).to_numpy())
    encoded = values.dictionary_encode()
    parts = [pc.fill_null(chunk.indices, -1).to_numpy() for chunk in encoded.chunks]
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64, copy=False)


def _is_text_or_whole(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    return any(test(kind) for test in tests)


def checked_edges(edges: Edges, count: int) -> Edges:
    """Return the edges after looking whether each joins two of the rows.

    Raises: ValueError.
    """
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"edges must be pairs of rows, (m, 2); found shape {edges.shape}")
    if len(edges) and (edges.min() < 0 or edges.max() >= count):
        raise ValueError(
            f"edges must join rows 0 to {count - 1}; found {edges.min()} to {edges.max()}"
        )
    return edges


def _codes_of_numbers(values: NDArray[np.integer]) -> Codes:
    if not np.issubdtype(values.dtype, np.integer) or values.ndim != 1:
        raise ValueError(
            f"a key column must be one row of whole numbers; found {values.dtype}, "
            f"shape {values.shape}"
        )
    numbers = values.astype(np.int64, copy=False)
    codes = np.full(len(numbers), -1, np.int64)
    known = numbers >= 0
    # Numbers about as small as codes are may stay: nothing here minds a gap.
    if int(numbers.max(initial=-1)) < 2 * len(numbers):
        codes[known] = numbers[known]
    else:
        codes[known] = np.unique(numbers[known], return_inverse=True)[1]
    return codes


def _common_length(columns: Sequence[Codes]) -> int:
    lengths = {len(codes) for codes in columns}
    if len(lengths) != 1:
        raise ValueError(
            f"groups need at least one key column, all as long as the rows; found lengths "
            f"{sorted(lengths)}"
        )
    return lengths.pop()


def _grouped_once(codes: Codes) -> Groups:
    unknown = codes < 0
    first_free = int(codes.max(initial=-1)) + 1
    return np.where(unknown, first_free - 1 + np.cumsum(unknown), codes)


def _joined_by_codes(groups: Groups, codes: Codes) -> Groups:
    known = codes >= 0
    n_codes = int(codes.max(initial=-1)) + 1
    if n_codes == 0:
        return groups
    pairs = np.unique(groups[known] * n_codes + codes[known])
    n_groups = int(groups.max()) + 1
    ends = np.stack([pairs // n_codes, n_groups + pairs % n_codes], axis=1)
    return _joined(groups, ends, n_groups + n_codes)


def _joined(groups: Groups, ends: Edges, size: int | None = None) -> Groups:
    size = int(groups.max()) + 1 if size is None else size
    ones = np.ones(len(ends), np.int8)
    graph = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return np.asarray(components[groups], dtype=np.int64)


def _compact(groups: Groups) -> Groups:
    used = np.bincount(groups) > 0
    return (np.cumsum(used) - 1)[groups]
