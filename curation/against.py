"""What a run of `curate` shares with other corpora, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cells import SPLITS
from .corpus import Corpus
from .decide import Decided
from .dedupe.thumbs import write_thumbs
from .overlap import SIDE_COLUMNS, Against, Flat, Side, look_against
from .overlap_report import DROPPED, OVERLAP, write_overlap
from .progress import Progress
from .staged_rows import StagedRows


def find_against(
    others: Sequence[Corpus],
    staged: StagedRows,
    decided: Decided,
    folder: Path,
    engine: str,
    progress: Progress,
) -> list[Against]:
    """Return what each of the others shares with the kept rows.

    Dropped copies of a kept row are looked for as well: what shows one of them shows it, too.
    `folder` is one for files that nobody needs afterwards.
    """
    if not others:
        return []
    stands = _stands_for(decided)
    rows = np.flatnonzero(stands >= 0)
    folder.mkdir(exist_ok=True)
    with closing(write_thumbs(folder / "thumbs.u8", staged.parts("thumbs"))) as thumbs:
        ours = Side(staged.columns(SIDE_COLUMNS), thumbs, rows)
        found = [
            look_against(other, ours, folder / str(number), progress, engine)
            for number, other in enumerate(others)
        ]
    return [replace(one, shared=one.shared.stood_for(stands)) for one in found]


def _stands_for(decided: Decided) -> Flat:
    """Return the kept row that stands for each row, -1: none does."""
    instead = decided.copies.duplicates.kept_row
    stands = np.where(instead >= 0, instead, np.arange(len(instead)))
    return np.where(decided.reasons[stands] == "", stands, -1)


def drop_shared(decided: Decided, against: Sequence[Against]) -> None:
    """Give the rows that others share the reason for which they are dropped."""
    for one in against:
        decided.reasons[one.shared.ours] = OVERLAP


def write_against(
    folder: Path,
    against: Sequence[Against],
    staged: StagedRows,
    decided: Decided,
    split: NDArray[np.int64],
    *,
    dropped: bool,
) -> None:
    """Write the report of what is shared, if there were others; `split` is that of kept rows."""
    if not against:
        return
    names = np.full(len(staged), DROPPED, dtype=object)
    names[decided.kept] = np.array(SPLITS, dtype=object)[split]
    # What went for another reason is not in the corpus, and shares nothing.
    in_report = (decided.reasons == "") | (decided.reasons == OVERLAP)
    found = [replace(a, shared=a.shared.where(in_report[a.shared.ours])) for a in against]

    def image_ids(rows: Flat) -> list[str]:
        ids: list[str] = staged.take(rows, ["image_id"])["image_id"].to_pylist()
        return ids

    write_overlap(folder, found, image_ids, names, dropped=dropped)
