from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.sources import Columns, open_source
from scripts.made_cells import COPIES, Bank, bank, made_row, planted, write_made_cells


@pytest.fixture(scope="module")
def made_of() -> Bank:
    return bank(8, 0)


def test_copies_are_of_earlier_rows_that_are_no_copies() -> None:
    copies = planted(5_000, seed=3)
    assert len(copies) == 50
    originals = [original for original, _ in copies.values()]
    assert all(original < copy for copy, (original, _) in copies.items())
    assert not set(originals) & set(copies)
    assert len(set(originals)) == len(originals)
    assert {how for _, how in copies.values()} == set(COPIES)
    assert planted(5_000, seed=3) == copies
    assert planted(5_000, seed=4) != copies


def test_a_row_depends_on_its_seed_and_number_alone(made_of: Bank) -> None:
    assert made_row(7, 0, made_of, {}) == made_row(7, 0, made_of, {})
    others = [made_row(7, 1, made_of, {}), made_row(8, 0, made_of, {})]
    assert all(made_row(7, 0, made_of, {})[0] != other[0] for other in others)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_the_label_and_owner_of_its_original_in_another_file(
    how: str, made_of: Bank
) -> None:
    original, copy = made_row(3, 0, made_of, {}), made_row(9, 0, made_of, {9: (3, how)})
    assert copy[1:] == original[1:]
    assert copy[0] != original[0]


def test_the_source_can_be_curated_and_its_truth_lies_outside(tmp_path: Path) -> None:
    truth = write_made_cells(tmp_path / "made", 300, seed=0, drawings=8)
    assert truth.parent == tmp_path
    source = open_source(str(tmp_path / "made"), Columns())
    assert len(source) == 300
    assert source.columns == ("subject", "slide")
    assert sum(source.labels().values()) == 300
    rows = pq.read_table(truth).to_pylist()
    assert [row["copy"] for row in rows] == sorted(planted(300, 0))
    cells = list(source.read(0, 300))
    for row in rows:
        assert cells[row["copy"]].fields == cells[row["original"]].fields
