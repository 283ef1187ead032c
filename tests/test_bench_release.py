"""The bench of publishing: its rows, its changes and its tables."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cards.publication_plan import pack_files
from scripts import bench_release
from scripts.bench_release import changes, changes_table, publish_table, rows_of, write_state
from tests.made_release import made_rows


def test_a_comment_changes_no_pixel() -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 90, 200)).save(out, "JPEG")
    plain = out.getvalue()
    cells = [bench_release.with_comment(plain, number) for number in range(3)]
    assert len({*cells, plain}) == 4
    decoded = {Image.open(io.BytesIO(cell)).tobytes() for cell in (*cells, plain)}
    assert len(decoded) == 1


def test_each_change_is_of_one_percent() -> None:
    found = changes(1000, np.random.default_rng(0))
    sizes = {name: (len(before), len(after)) for name, (before, after) in found.items()}
    assert sizes == {
        "nothing changed": (1000, 1000), "1 % removed, scattered": (1000, 990),
        "1 % removed, one block": (1000, 990), "1 % added, at the end": (990, 1000),
        "1 % added, scattered": (990, 1000), "1 % relabelled, scattered": (1000, 1000),
    }  # fmt: skip
    for name in ("1 % added, at the end", "1 % added, scattered"):
        assert sorted(found[name][1].tolist()) == list(range(1000))
    relabelled = found["1 % relabelled, scattered"][1]
    assert (relabelled < 0).sum() == 10
    assert np.where(relabelled < 0, -relabelled - 1, relabelled).tolist() == list(range(1000))


def test_a_negative_row_has_another_label() -> None:
    table = made_rows(range(4), "real")
    taken = rows_of(table, np.array([0, -2, 3]))
    assert taken["image_id"].to_pylist() == [table["image_id"][i].as_py() for i in (0, 1, 3)]
    same = [
        taken["label"][at].as_py() == table["label"][row].as_py()
        for at, row in enumerate((0, 1, 3))
    ]
    assert same == [True, False, True]


@pytest.mark.parametrize("chunks", [False, True])
def test_what_did_not_change_is_not_sent(tmp_path: Path, chunks: bool) -> None:
    table = made_rows(range(60), "real", side=64)
    old = write_state(tmp_path / "old", table, 2, chunks=chunks)
    store = f"local://{tmp_path / 'store'}"
    total, _, sent = pack_files(store, old)
    assert sent > 0.9 * total
    new = write_state(tmp_path / "new", table, 2, chunks=chunks)
    again, kept, sent = pack_files(store, new)
    assert (again, kept) == (total, total)
    assert sent < 0.02 * total


def test_the_tables_say_what_was_missed() -> None:
    rows = [
        {"way": "publish", "wall_s": 20.0, "cpu_s": 9.0, "peak_mb": 1600, "load": 1.0},
        {"way": "push_to_hub", "wall_s": 10.0, "cpu_s": 9.0, "peak_mb": 900, "load": 1.0},
    ]
    text = publish_table(rows, 200_000, 900.0)
    assert "| publish | 1 | 20.0 s | 9.0 s | 1,600 MB (missed: 1,536 MB) |" in text
    assert "2.00 of the wall time and 1.00 of the CPU time" in text
    sent = [
        {"change": "c", "chunks": chunks, "sent_bytes": share * 1e8, "share": share}
        for chunks, share in ((False, 0.07), (True, 0.02))
    ]
    assert "| c | 7.0 MB, 7.0 % (missed: 5 %) | 2.0 MB, 2.0 % |" in changes_table(sent)
