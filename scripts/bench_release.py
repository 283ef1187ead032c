"""Publishing 200,000 cells against `datasets.push_to_hub`, and what a small change sends.

    python scripts/bench_release.py --work /tmp/bench-release --json out/bench-release.json
    python scripts/bench_release.py --changes out/pbc --work /tmp/bench-release \\
        --json out/bench-changes.json

The first publishes a release of made cells and pushes the same rows by `datasets`, each in a fresh
process to a fresh Hub on loopback of its own, by Xet: wall and CPU time, and the peak memory of
the process tree. `publish` compares every checksum first and loads back what it sent; of
`push_to_hub` only the call is timed, its rows lie in the Arrow cache already. In turn, several
rounds; the ratio is of the medians.

The second takes the training split of a corpus, changes 1 % of its rows in several ways, writes
both states as the corpus writer does, without and with content-defined chunks, and lets Xet's own
client pack one after the other: the bytes that the second sends. It needs twice their space.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cards.publication_plan import pack_files
from curation.cells import SCHEMA
from curation.corpus import load_corpus
from curation.corpus_writer import shard_name, write_shard
from scripts.tree_memory import TreeMemory
from tests.made_release import finish_release

ROOT = Path(__file__).resolve().parents[1]
BANK, SHARE, SHARD_CELLS = 500, 0.01, 40_000
MOST_MB, MOST_SHARE = 1536, 0.05
GROUP_BYTES = 64 * 2**20


# A release of many made cells


def made_release(folder: Path, cells: int) -> Path:
    """Return a release: three quarters real, one quarter synthetic; made where it is not there.

    A cell is one of a few drawn ones with a comment of its own in its JPEG, so that no two are
    equal and none has to be encoded.
    """
    if (folder / "release.json").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    bank = _bank()
    real = cells * 3 // 4
    parts = {"train": real * 8 // 10, "validation": real // 10, "test": real // 10}
    first = 0
    for split, count in parts.items():
        _write_split(folder / "real", split, "real", range(first, first + count), bank)
        first += count
    _write_split(folder / "synthetic", "train", "synthetic", range(first, cells), bank)
    return finish_release(folder, "1.0.0")


def _bank() -> list[bytes]:
    from scripts.made_cells import bank, encoded, made_cell

    made_of = bank(200, 0)
    return [encoded(made_cell(row, 0, made_of)[0], 90) for row in range(BANK)]


def _write_split(folder: Path, split: str, kind: str, rows: range, bank: Sequence[bytes]) -> None:
    shards = max(1, -(-len(rows) // SHARD_CELLS))
    for shard in range(shards):
        table = _made_rows(rows[shard::shards], kind, bank)
        write_shard(folder, split, shard_name(split, shard, shards), table)


def _made_rows(rows: Sequence[int], kind: str, bank: Sequence[bytes]) -> pa.Table:
    drawn = kind == "synthetic"
    columns: dict[str, Any] = {name: [None] * len(rows) for name in SCHEMA.names}
    columns["image"] = [
        {"bytes": with_comment(bank[row * 7919 % BANK], row), "path": None} for row in rows
    ]
    columns["image_id"] = [f"{row:032x}" for row in rows]
    columns["label"] = [row % 6 for row in rows]
    columns["origin"] = [kind] * len(rows)
    if drawn:
        columns |= {
            "generator": ["g"] * len(rows), "seed": list(rows), "guidance": [1.0] * len(rows),
            "steps": [8] * len(rows), "training_corpus": ["c"] * len(rows),
        }  # fmt: skip
    else:
        columns |= {"subject": [f"s{row // 400:06d}" for row in rows],
                    "license": ["cc0-1.0"] * len(rows)}  # fmt: skip
    return pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)


def with_comment(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG with 24 bytes of its own in a comment segment."""
    text = np.random.default_rng(number).bytes(24)
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


# Publishing it, and pushing the same rows


def publish_here(release: Path) -> float:
    """Publish in this process; return the seconds of the call."""
    from cards.publication import publish

    began = time.perf_counter()
    publish(release, "lab/cells")
    seconds = time.perf_counter() - began
    shards = (release / kind / "data" for kind in ("real", "synthetic"))
    counts = (pq.read_metadata(path).num_rows for data in shards for path in data.iterdir())
    print(json.dumps({"cells": sum(counts)}), flush=True)
    return seconds


def push_here(release: Path) -> float:
    """Push both datasets in this process; return the seconds of the two calls."""
    import datasets

    datasets.disable_progress_bars()
    loaded = [datasets.load_dataset(str(release / kind)) for kind in ("real", "synthetic")]
    cpu = time.process_time()
    began = time.perf_counter()
    for rows, name in zip(loaded, ("lab/cells", "lab/cells-synthetic"), strict=True):
        rows.push_to_hub(name)
    seconds = time.perf_counter() - began
    count = sum(len(rows) for found in loaded for rows in found.values())
    print(json.dumps({"push_cpu_s": time.process_time() - cpu, "cells": count}), flush=True)
    return seconds


WAYS: Mapping[str, Callable[[Path], float]] = {"publish": publish_here, "push_to_hub": push_here}


def measured(way: str, release: Path, work: Path) -> dict[str, Any]:
    """Run one way in a fresh process to a fresh Hub; return what it took."""
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        with hub_process(folder / "hub") as address:
            environment = {
                **os.environ, "HF_ENDPOINT": address, "HF_TOKEN": "hf_writes",
                "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_DATASETS_CACHE": str(work / f"arrow-{release.name}"), "OMP_NUM_THREADS": "1",
            }  # fmt: skip
            process = subprocess.Popen(
                [sys.executable, __file__, "--run", way, str(release)], env=environment,
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            with TreeMemory(process.pid) as memory:
                said, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"{way} ended with status {process.returncode}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Any] = {}
    for line in said.splitlines():
        found |= json.loads(line)
    return {
        "way": way, "cells": found["cells"], "wall_s": round(found["seconds"], 1),
        "cpu_s": round(found.get("push_cpu_s", found["cpu_s"]), 1),
        "peak_mb": round(memory.peak_bytes / 2**20), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


@contextmanager
def hub_process(root: Path) -> Iterator[str]:
    """Run a Hub in a process of its own; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.loopback_hub", str(root)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None, "asked for"
    assert process.stdout is not None, "asked for"
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()


# What a change sends

Rows = NDArray[np.int64]


def changes(count: int, rng: np.random.Generator) -> dict[str, tuple[Rows, Rows]]:
    """Return name -> (rows before, rows after): positions in a table, negative ones relabelled."""
    every = np.arange(count)
    some = max(1, round(count * SHARE))
    scattered = np.sort(rng.choice(every, some, replace=False))
    other_label = np.where(np.isin(every, scattered), -every - 1, every)
    start = count // 3
    block = every[start : start + some]
    places = np.sort(rng.choice(count - some, some, replace=False))
    early, late = every[: count - some], every[count - some :]
    return {
        "nothing changed": (every, every),
        "1 % removed, scattered": (every, np.delete(every, scattered)),
        "1 % removed, one block": (every, np.delete(every, block)),
        "1 % added, at the end": (early, every),
        "1 % added, scattered": (early, np.insert(early, places, late)),
        "1 % relabelled, scattered": (every, other_label),
    }


def rows_of(table: pa.Table, rows: Rows) -> pa.Table:
    """Return the rows of a table; of a negative one, with another label."""
    taken = table.take(pa.array(np.where(rows < 0, -rows - 1, rows)))
    labels = np.asarray(taken["label"])
    relabelled = np.where(rows < 0, (labels + 1) % 6, labels)
    index = table.schema.get_field_index("label")
    return taken.set_column(index, table.schema.field(index), pa.array(relabelled))


def write_state(
    folder: Path, table: pa.Table, shards: int, *, chunks: bool, group_bytes: int = GROUP_BYTES
) -> list[Path]:
    """Write rows as the corpus writer does, without or with content-defined chunks."""
    folder.mkdir(parents=True)
    paths, size = [], -(-len(table) // shards)
    leaves = ["image.bytes", "image.path", *(n for n in table.column_names if n != "image")]
    for number in range(shards):
        part = table.slice(number * size, size)
        path = folder / f"train-{number}.parquet"
        pq.write_table(
            part, path, row_group_size=max(1, int(len(part) * group_bytes / part.nbytes)),
            compression={name: "NONE" if name == "image.bytes" else "ZSTD" for name in leaves},
            use_dictionary=[name for name in leaves if not name.startswith("image")],
            write_page_index=True, use_content_defined_chunking=chunks,
        )  # fmt: skip
        paths.append(path)
    return paths


def sent_by_changes(corpus: Path, work: Path) -> list[dict[str, Any]]:
    """Return, for each change and way of writing, the bytes of the new state and those sent."""
    opened = load_corpus(corpus)
    table = opened.rows(SCHEMA.names, ["train"]).combine_chunks()
    shards = len(opened.shards(["train"]))
    found = []
    for name, (before, after) in changes(len(table), np.random.default_rng(0)).items():
        for chunks in (False, True):
            folder = Path(tempfile.mkdtemp(dir=work))
            try:
                store = f"local://{folder / 'store'}"
                old = write_state(folder / "old", rows_of(table, before), shards, chunks=chunks)
                pack_files(store, old)
                new = write_state(folder / "new", rows_of(table, after), shards, chunks=chunks)
                total, kept, sent = pack_files(store, new)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            found.append({
                "change": name, "chunks": chunks, "rows": len(after), "total_bytes": total,
                "kept_bytes": kept, "sent_bytes": sent, "share": round(sent / total, 4),
            })  # fmt: skip
            print(json.dumps(found[-1]), file=sys.stderr)
    return found


# What is printed


def publish_table(rows: Sequence[Mapping[str, Any]], cells: int, size_mb: float) -> str:
    """Return the table of publishing and pushing, with the ratio of the medians."""
    lines = [
        f"{cells:,} cells, {size_mb:,.0f} MB", "",
        "| way | rounds | wall | CPU | peak memory |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    middle = {}
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        wall, cpu = (statistics.median(row[key] for row in own) for key in ("wall_s", "cpu_s"))
        peak = max(row["peak_mb"] for row in own)
        middle[way] = wall, cpu
        missed = f" (missed: {MOST_MB:,} MB)" if way == "publish" and peak > MOST_MB else ""
        lines.append(f"| {way} | {len(own)} | {wall:,.1f} s | {cpu:,.1f} s | {peak:,} MB{missed} |")
    ours, theirs = middle["publish"], middle["push_to_hub"]
    lines.append(
        f"\npublish took {ours[0] / theirs[0]:.2f} of the wall time and {ours[1] / theirs[1]:.2f} "
        "of the CPU time of push_to_hub (goal: not over 1)."
    )
    return "\n".join(lines)


def changes_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of what each change sends, without and with content-defined chunks."""
    lines = ["| change | as written now | with content-defined chunks |", "|---|---:|---:|"]
    for name in dict.fromkeys(row["change"] for row in rows):
        cells = []
        for chunks in (False, True):
            (row,) = (r for r in rows if r["change"] == name and r["chunks"] is chunks)
            missed = " (missed: 5 %)" if row["share"] > MOST_SHARE else ""
            cells.append(f"{row['sent_bytes'] / 1e6:.1f} MB, {100 * row['share']:.1f} %{missed}")
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for, and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=Path, metavar="CORPUS", help="real cells to change")
    parser.add_argument("--work", type=Path, help="folder for releases and Hubs")
    parser.add_argument("--json", type=Path, help="file that what was measured goes to")
    parser.add_argument("--run", nargs=2, metavar=("WAY", "RELEASE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        seconds = WAYS[asked.run[0]](Path(asked.run[1]))
        print(json.dumps({"seconds": seconds, "cpu_s": time.process_time()}))
        return
    if asked.work is None or asked.json is None:
        parser.error("--work and --json are needed")
    asked.work.mkdir(parents=True, exist_ok=True)
    if asked.changes is not None:
        rows = sent_by_changes(asked.changes, asked.work)
        text = changes_table(rows)
    else:
        release = made_release(asked.work / f"release-{asked.cells}", asked.cells)
        size = sum(path.stat().st_size for path in release.rglob("*") if path.is_file())
        rows = [measured(way, release, asked.work) for _ in range(asked.rounds) for way in WAYS]
        if {row["cells"] for row in rows} != {asked.cells}:
            # `datasets` knows a folder's Arrow cache by the folder's last name only.
            raise SystemExit(f"not every way sent {asked.cells} cells: {rows}")
        text = publish_table(rows, asked.cells, size / 1e6)
    asked.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
