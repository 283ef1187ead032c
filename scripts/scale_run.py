"""`curate` over 10,000, 100,000 and 1,000,000 made cells: time, memory, and planted copies found.

Each size is curated in a fresh process; memory is that of its whole tree. A row a size is appended
to a JSON file, from which --table prints the tables of docs/scale.md.

    python -m scripts.scale_run --cells 10000 100000 1000000 --work /big/disk --json docs/scale.json
    python -m scripts.scale_run --json docs/scale.json --table
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation.corpus import load_corpus
from curation.curate import CurateConfig, curate
from curation.engine import cores
from curation.errors import ImageError
from curation.pixels import Limits, release_image
from curation.sources import Columns, open_source
from curation.versions import library_versions
from scripts.tree_memory import TreeMemory

CLUSTER_CELLS = 50_000_000
MOST_MB = 3 * 1024


class StepTimes:
    """How long each step took: from the first word of its progress to that of the next."""

    def __init__(self) -> None:
        self._began = {"open": time.perf_counter()}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Hear of progress."""
        self._began.setdefault(what, time.perf_counter())

    def seconds(self) -> dict[str, float]:
        """Return step -> seconds."""
        names, times = list(self._began), [*self._began.values(), time.perf_counter()]
        return {name: round(times[i + 1] - times[i], 2) for i, name in enumerate(names)}


def run_one(source: Path, out: Path, engine: str, workers: int | None) -> None:
    """Curate in this process; print how long its steps took."""
    steps = StepTimes()
    config = CurateConfig(source_name="made cells", license="cc0-1.0")
    curate([source], out, config, engine=engine, workers=workers, progress=steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"steps_s": steps.seconds(), "first_process_rss_mb": round(peak)}))


def made_source(work: Path, cells: int) -> Path:
    """Return the folder of made cells of that size; made where it is not there."""
    source = work / f"made-{cells}"
    if not source.with_name(f"{source.name}.truth.parquet").is_file():
        shutil.rmtree(source, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-m", "scripts.made_cells", str(source), "--cells", str(cells)],
            check=True,
        )
    return source


def measured(work: Path, cells: int, engine: str, workers: int | None) -> dict[str, Any]:
    """Curate that many cells in a fresh process; return what it took and what was found."""
    source, out = made_source(work, cells), work / f"corpus-{cells}"
    for name in (out.name, f"{out.name}-vault", f"{out.name}-quarantine"):
        shutil.rmtree(work / name, ignore_errors=True)
    asked = [] if workers is None else ["--workers", str(workers)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.scale_run", "--run", str(source), str(out),
         "--engine", engine, *asked],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    with TreeMemory(process.pid) as memory:
        said, _ = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"curate ended with status {process.returncode}")
    corpus = load_corpus(out)
    return {
        "cells": cells, "engine": engine, "workers": workers, "cores": cores(),
        "wall_s": round(seconds, 1), "cpu_s": round(memory.cpu_s, 1),
        "peak_mb": round(memory.peak_bytes / 2**20), "processes": memory.peak_processes,
        "load": round(os.getloadavg()[0], 1), **json.loads(said.splitlines()[-1]),
        "source_mb": round(_bytes(source) / 2**20), "corpus_mb": round(_bytes(out) / 2**20),
        "n_in": corpus.manifest.n_in, "n_out": corpus.manifest.n_out,
        "dropped": corpus.manifest.dropped, **found_copies(source, out),
        "versions": library_versions(),
    }  # fmt: skip


def found_copies(source: Path, out: Path) -> dict[str, Any]:
    """Return how many planted copies there are and were found, by how they were made.

    A copy counts as found where the corpus holds at most one of it and its original. `others` is
    how many cells were dropped beyond one a pair.
    """
    truth = pq.read_table(source.with_name(f"{source.name}.truth.parquet")).to_pylist()
    wanted = {row[role] for row in truth for role in ("copy", "original")}
    ids = dict(_image_ids(source, wanted))
    corpus = load_corpus(out)
    kept: set[str] = set()
    for batch in corpus.batches(["image_id"]):
        kept.update(batch.column("image_id").to_pylist())
    planted, found = Counter[str](), Counter[str]()
    for row in truth:
        planted[row["how"]] += 1
        found[row["how"]] += not (ids[row["copy"]] in kept and ids[row["original"]] in kept)
    dropped = corpus.manifest.n_in - corpus.manifest.n_out
    return {
        "planted": dict(planted), "found": {how: found[how] for how in planted},
        "others": dropped - sum(found.values()),
    }  # fmt: skip


def _image_ids(source: Path, wanted: set[int]) -> Iterator[tuple[int, str]]:
    opened = open_source(str(source), Columns())
    for position, cell in enumerate(opened.read(0, len(opened))):
        if position in wanted:
            try:
                yield position, release_image(cell.data or b"", Limits()).image_id
            except ImageError as error:
                raise SystemExit(f"row {position} of the made cells is damaged: {error}") from error


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tables(rows: list[Mapping[str, Any]]) -> str:
    """Return the tables of docs/scale.md."""
    lines = [
        "| cells | engine | wall | CPU | cells/s of wall | peak memory | planted copies found | "
        "other cells dropped |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        found, planted = sum(row["found"].values()), sum(row["planted"].values())
        lines.append(
            f"| {row['cells']:,} | {row['engine']} | {row['wall_s']:,.0f} s | "
            f"{row['cpu_s']:,.0f} s | {row['cells'] / row['wall_s']:,.0f} | "
            f"{row['peak_mb']:,} MB{'' if row['peak_mb'] < MOST_MB else ' (missed: 3,072 MB)'} | "
            f"{found:,} of {planted:,} | {row['others']:,} |"
        )
    lines += ["", *_by_kind(rows[-1]), "", *_costs(rows)]
    return "\n".join(lines)


def _by_kind(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"| how copied, of {row['cells']:,} cells | planted | found |"
    yield "|---|---:|---:|"
    for how, planted in row["planted"].items():
        yield f"| {how} | {planted:,} | {row['found'][how]:,} |"


def _costs(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    steps = list(rows[-1]["steps_s"])
    yield f"| ms a cell | {' | '.join(steps)} | all |"
    yield f"|---|{'---:|' * (len(steps) + 1)}"
    for row in rows:
        each = [f"{1000 * row['steps_s'].get(step, 0) / row['cells']:.3f}" for step in steps]
        whole = 1000 * row["wall_s"] / row["cells"]
        yield f"| {row['cells']:,} | {' | '.join(each)} | {whole:.3f} |"
    last = rows[-1]
    days = last["cpu_s"] / last["cells"] * CLUSTER_CELLS / 86_400
    yield ""
    yield (
        f"At the CPU time a cell of the largest run, {CLUSTER_CELLS:,} cells are {days:,.1f} "
        "core-days, if every step stays linear."
    )


def main() -> None:
    """Run the sizes asked for, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="*", default=[10_000])
    parser.add_argument("--work", type=Path, help="folder for sources and corpora, about 13 GB")
    parser.add_argument("--json", type=Path, help="file that rows are appended to")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--table", action="store_true", help="print the tables, run nothing")
    parser.add_argument("--run", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        source, out = options.run
        run_one(source, out, options.engine, options.workers)
        return
    if options.json is None or (options.work is None and not options.table):
        parser.error("--json is needed, and --work unless --table is given")
    rows = json.loads(options.json.read_text()) if options.json.is_file() else []
    if not options.table:
        options.work.mkdir(parents=True, exist_ok=True)
        for cells in options.cells:
            rows.append(measured(options.work, cells, options.engine, options.workers))
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(tables(rows))


if __name__ == "__main__":
    main()
