"""How far adding batches to a corpus differs from curating all at once, on real signatures.

    python -m scripts.measure_adding VAULT CORPUS [--shares 0.5 0.9] [--orders 2]

Reads the hash index of a curated corpus, which knows dropped copies as well. For each share and
order of its rows, the first rows are searched alone, the rest is then added, and what becomes of
each row is compared with one search over all. Nothing is written.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.corpus import load_corpus
from curation.dedupe.find import COLUMNS, Found, Known, find_copies
from curation.dedupe.index import index_path
from curation.dedupe.thumbs import ChosenThumbs, Thumbs, write_thumbs
from curation.staged_rows import StagedRows, write_rows

Flat = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Usable rows in some order; `folder` is one for files of them."""

    table: pa.Table
    thumbs: Thumbs
    folder: Path

    def first(self, count: int) -> Found:
        """Return what one search over the first rows finds."""
        rows = np.arange(count)
        return find_copies(self._staged(count), rows, ChosenThumbs(self.thumbs, rows))

    def added(self, before: Found, count: int) -> Found:
        """Return what is found when the rest is added to the first rows."""
        assert before.near is not None
        pairs = before.near.where(np.ones(len(before.near), np.bool_), before.same_place)
        known = Known(before.duplicates.reasons != "", pairs)
        staged = self._staged(len(self.table))
        return find_copies(staged, np.arange(len(staged)), self.thumbs, known)

    def _staged(self, count: int) -> StagedRows:
        path = self.folder / "rows.arrow"
        write_rows(path, self.table.slice(0, count))
        return StagedRows([path])


def pairs_of(found: Found) -> set[tuple[int, int]]:
    """Return the verified pairs of rows."""
    first, second = found.same_place.T.tolist()
    return set(zip(first, second, strict=True))


def compare(rows: Rows, whole: Found, share: float) -> dict[str, object]:
    """Return how two batches differ from one."""
    count = round(share * len(rows.table))
    started = time.perf_counter()
    before = rows.first(count)
    middle = time.perf_counter()
    grown = rows.added(before, count)
    seconds = time.perf_counter() - middle
    one, two = whole.duplicates.reasons, grown.duplicates.reasons
    assert whole.near is not None
    assert grown.near is not None
    return {
        "share": share, "cells": len(rows.table), "known": count,
        "other_decisions": int((one != two).sum()),
        "pairs": len(whole.near), "pairs_missed": len(pairs_of(whole) - pairs_of(grown)),
        "pairs_more": len(pairs_of(grown) - pairs_of(whole)),
        "cells_cut_off": whole.near.cut_off, "decisions": dict(Counter(one[one != ""].tolist())),
        "seconds_first": round(middle - started, 1), "seconds_added": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    """Measure and print one line of JSON a share and order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vault", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--orders", type=int, default=2)
    given = parser.parse_args()
    place = index_path(given.vault, load_corpus(given.corpus).fingerprint)
    staged = StagedRows(sorted(place.glob("[0-9]*.arrow")))
    size = sum(file.stat().st_size for file in place.iterdir())
    print(json.dumps({"index_bytes_per_cell": round(size / len(staged)), "rows": len(staged)}))
    usable = np.flatnonzero(
        np.array(staged.columns(["reason"])["reason"].to_pylist(), dtype=object) == ""
    )
    with TemporaryDirectory() as folder:
        thumbs = write_thumbs(Path(folder) / "thumbs.u8", staged.parts("thumbs"))
        for order in range(given.orders):
            chosen = usable if order == 0 else np.random.default_rng(order).permutation(usable)
            table = staged.columns(COLUMNS).take(pa.array(chosen))
            rows = Rows(table, ChosenThumbs(thumbs, chosen), Path(folder))
            started = time.perf_counter()
            whole = rows.first(len(table))
            seconds = round(time.perf_counter() - started, 1)
            for share in given.shares:
                found = compare(rows, whole, share)
                print(json.dumps({"order": order, "seconds_whole": seconds, **found}), flush=True)
        thumbs.close()


if __name__ == "__main__":
    main()
