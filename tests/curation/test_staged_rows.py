from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.shards import split_by_bytes
from curation.staged_rows import StagedRows, write_rows


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for number, count in enumerate((3, 0, 4, 1)):
        path = tmp_path / f"{number}.arrow"
        first = 10 * number
        schema = pa.schema([("n", pa.int64()), ("data", pa.large_binary())])
        numbers = list(range(first, first + count))
        write_rows(path, pa.table([numbers, [bytes(1 << 20)] * count], schema=schema))
        paths.append(path)
    return paths


def test_rows_come_in_the_order_asked_for(files: list[Path]) -> None:
    staged = StagedRows(files)
    everything = staged.columns(["n"])["n"].to_pylist()
    assert everything == [0, 1, 2, 20, 21, 22, 23, 30]
    assert len(staged) == 8
    for rows in ([], [7], [7, 0, 3, 3, 1], [2, 3, 6, 7], list(range(7, -1, -1))):
        taken = staged.take(np.array(rows, dtype=np.int64))
        assert taken["n"].to_pylist() == [everything[row] for row in rows]
    staged.close()


def test_columns_of_some_rows_come_from_their_files_alone(files: list[Path]) -> None:
    staged = StagedRows(files)
    everything = staged.columns(["n"])["n"].to_pylist()
    for rows in ([], [7], [0, 2, 3], [1, 3, 6, 7], list(range(8))):
        some = staged.columns(["n"], np.array(rows, dtype=np.int64))
        assert some.column_names == ["n"]
        assert some["n"].to_pylist() == [everything[row] for row in rows]
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    held = staged.columns(["data"], np.array([0, 5]))
    assert 2 * 2**20 <= pool.bytes_allocated() - before < 5 * 2**20
    assert len(held) == 2
    staged.close()


def test_taking_rows_does_not_read_all_of_them(files: list[Path]) -> None:
    staged = StagedRows(files)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    taken = staged.take(np.array([0, 5]))
    assert pool.bytes_allocated() - before < 5 * 2**20
    assert len(taken) == 2
    staged.close()


def test_images_come_in_the_order_asked_for(tmp_path: Path) -> None:
    paths, data = [], [bytes([n]) * (n * 7 % 5) for n in range(8)]
    for number, part in enumerate((data[:3], data[:0], data[3:])):
        paths.append(tmp_path / f"{number}.arrow")
        write_rows(paths[-1], pa.table({"data": pa.array(part, pa.large_binary())}))
    staged = StagedRows(paths)
    sizes = np.array([len(one) for one in data])
    for rows in ([], [7], [7, 0, 3, 3, 1], list(range(7, -1, -1))):
        chosen = np.array(rows, dtype=np.int64)
        images = staged.images(chosen, sizes[chosen])
        images.validate(full=True)
        assert images.to_pylist() == [data[row] for row in rows]
    with pytest.raises(ValueError, match="broadcast"):
        staged.images(np.array([1, 2]), sizes[[2, 1]])


def test_images_do_not_keep_their_files_in_memory(files: list[Path]) -> None:
    pool = pa.default_memory_pool()
    before, staged = pool.bytes_allocated(), StagedRows(files)
    images = staged.images(np.array([7, 0, 5, 4]), np.full(4, 1 << 20))
    assert len(images) == 4
    assert pool.bytes_allocated() - before < (4 << 20) + 4096


def test_shards_are_cut_by_bytes() -> None:
    sizes = np.array([5, 5, 5, 5, 20, 1, 1, 1, 1, 1])
    parts = split_by_bytes(sizes, 10)
    rows = np.concatenate([np.arange(10)[part] for part in parts])
    np.testing.assert_array_equal(rows, np.arange(10))
    assert len(parts) > 1
    assert split_by_bytes(sizes) == [slice(0, 10)]
    assert split_by_bytes(sizes[:0], 10) == []
    assert split_by_bytes(np.array([99]), 10) == [slice(0, 1)]
