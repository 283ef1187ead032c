"""What a corpus shares with others, as a table of pairs and as counts by split."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .cells import SPLITS
from .corpus import Corpus, load_corpus
from .dedupe.thumbs import write_thumbs
from .manifest import Frozen, parse_model
from .output import whole_directory, write_whole
from .overlap import ALIKE, SIDE_COLUMNS, Against, Flat, Side, look_against
from .progress import Progress, silent
from .signed_corpus import sign_corpus

PARQUET_NAME, JSON_NAME = "overlap.parquet", "overlap.json"
OVERLAP = "overlap"
DROPPED = "dropped"


class OverlapEntry(Frozen):
    """How much of one other corpus is also here."""

    fingerprint: str
    cells: int
    """Of the other corpus."""
    ours: int
    """Cells here that it also shows."""
    theirs: int
    """Cells of it that are also here."""
    counts: dict[str, dict[str, dict[str, int]]]
    """Our split -> their split -> how alike -> our cells; a cell counts where it is most alike."""
    same_field_pairs: int
    """Pairs that show two cells of one field: no copies, but taken from one slide."""


class OverlapReport(Frozen):
    """What a corpus shares with others."""

    fingerprint: str | None
    """Of the corpus itself; None in its own report."""
    dropped: bool
    """Whether what is shared was dropped."""
    others: tuple[OverlapEntry, ...]


def write_overlap(
    folder: Path,
    against: Sequence[Against],
    image_ids: Callable[[Flat], list[str]],
    split: NDArray[np.object_],
    *,
    fingerprint: str | None = None,
    dropped: bool = False,
) -> OverlapReport:
    """Write `overlap.parquet` and `overlap.json` into a folder.

    `image_ids` returns those of some of our rows; `split` is the name of each row's split.
    """
    tables, entries = [], []
    for one in against:
        table = _table(one, image_ids, split)
        tables.append(table)
        entries.append(_entry(one, table))
    report = OverlapReport(fingerprint=fingerprint, dropped=dropped, others=tuple(entries))
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables), folder / PARQUET_NAME)
    write_whole(folder / JSON_NAME, report.model_dump_json(indent=2).encode() + b"\n")
    return report


def read_overlap(folder: Path) -> OverlapReport:
    """Return what `write_overlap` wrote.

    Raises: CorpusError where it is missing or damaged.
    """
    return parse_model(OverlapReport, folder / JSON_NAME)


def _table(
    one: Against, image_ids: Callable[[Flat], list[str]], split: NDArray[np.object_]
) -> pa.Table:
    shared = one.shared
    rows = one.signed.columns(["image_id", "split"]).take(pa.array(shared.theirs))
    count = len(shared)
    return pa.table({
        "image_id": pa.array(image_ids(shared.ours), pa.string()),
        "split": pa.array(split[shared.ours].tolist(), pa.string()),
        "other": pa.array([one.corpus.fingerprint] * count, pa.string()),
        "other_image_id": rows["image_id"],
        "other_split": rows["split"],
        "alike": pa.array([ALIKE[code] for code in shared.alike.tolist()], pa.string()),
        "correlation": pa.array(shared.correlation, pa.float32()),
    })  # fmt: skip


def _entry(one: Against, table: pa.Table) -> OverlapEntry:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    rows = table.select(["image_id", "split", "other_split", "alike"]).to_pylist()
    best: dict[tuple[str, str, str], str] = {}
    for row in rows:
        key = row["image_id"], row["split"], row["other_split"]
        best[key] = min(best.get(key, row["alike"]), row["alike"], key=ALIKE.index)
    for (_, ours, theirs), alike in best.items():
        cell = counts.setdefault(ours, {}).setdefault(theirs, {})
        cell[alike] = cell.get(alike, 0) + 1
    return OverlapEntry(
        fingerprint=one.corpus.fingerprint,
        cells=one.corpus.manifest.n_out,
        ours=len(pc.unique(table["image_id"])),
        theirs=len(pc.unique(table["other_image_id"])),
        counts={a: {b: counts[a][b] for b in SPLITS if b in counts[a]}
                for a in (*SPLITS, DROPPED) if a in counts},
        same_field_pairs=one.shared.same_field,
    )  # fmt: skip


def overlap_lines(report: OverlapReport) -> list[str]:
    """Return what a person reads of it on the terminal."""
    lines = []
    for entry in report.others:
        what = " (dropped)" if report.dropped else ""
        lines.append(
            f"{entry.ours} cells are also in corpus {entry.fingerprint} of {entry.cells}{what}; "
            f"{entry.theirs} of its cells are also here"
        )
        for ours, row in entry.counts.items():
            for theirs, alike in row.items():
                kinds = ", ".join(f"{alike[kind]} {kind}" for kind in ALIKE if kind in alike)
                lines.append(f"  {ours} here, {theirs} there: {kinds}")
        leaks = sum(
            sum(alike.values())
            for ours, row in entry.counts.items()
            for theirs, alike in row.items()
            if "train" in (ours, theirs) and ours != theirs and ours != DROPPED
        )
        if leaks:
            lines.append(
                f"  {leaks} of them lie in one's training split and in what the other measures on: "
                "contamination. Next: `smearkit curate … --against OTHER --drop-overlap`"
            )
    return lines


def overlap(
    corpus: Path,
    other: Path,
    out: Path | None = None,
    *,
    engine: str = "local",
    progress: Progress = silent,
) -> OverlapReport:
    """Compare two corpora, of which either may be of any origin; write the pairs to `out`.

    Raises: CorpusError, OutputExistsError, EngineError.
    """
    one, two = load_corpus(corpus), load_corpus(other)
    if out is None:
        with TemporaryDirectory(prefix="smearkit-overlap-") as folder:
            return _compared(one, two, Path(folder), engine, progress)
    job = {"stage": OVERLAP, "corpora": [one.fingerprint, two.fingerprint]}
    with whole_directory(out, job) as folder:
        return _compared(one, two, folder, engine, progress)


def _compared(
    one: Corpus, two: Corpus, folder: Path, engine: str, progress: Progress
) -> OverlapReport:
    signing = folder / "signed"
    signed = sign_corpus(one, signing / "ours", progress, engine=engine)
    table = signed.columns(SIDE_COLUMNS)
    with closing(write_thumbs(signing / "thumbs.u8", signed.parts("thumbs"))) as thumbs:
        ours = Side(table, thumbs, np.arange(len(signed)))
        found = look_against(two, ours, signing / "theirs", progress, engine)
    ids = np.array(table["image_id"].to_pylist(), dtype=object)
    split = np.array(signed.columns(["split"])["split"].to_pylist(), dtype=object)
    report = write_overlap(
        folder, [found], lambda rows: ids[rows].tolist(), split, fingerprint=one.fingerprint
    )
    shutil.rmtree(signing)
    return report
