"""Daft and Ray against a plain loop on the first pass of `curate`: speed, memory, start-up.

    loop        one process, no engine
    ray         Ray tasks on a cluster of this machine (the engine `processes`)
    daft        Daft's native runner, a process for each worker
    ray-data    Ray Data, an actor for each worker
    daft-ray    Daft's Ray runner on the same cluster

Each run is a fresh process that stages every cell of a source of `scripts/made_cells.py`; runs take
turns, and the best of the rounds counts. Start-up is the same run over one chunk that does nothing.
Memory is the proportional set size of the process tree. Prints one JSON object a run, then a table.

    python -m scripts.bench_engines SOURCE [--rounds 2] [--workers 2] [--only loop daft …]
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from curation.engine import Work, run_chunks
from curation.engine_worker import Worker, sendable
from curation.stage import chunk_count, stage_chunk
from scripts.staged_source import stage_job
from scripts.tree_memory import TreeMemory


def loop(work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Call the work for one chunk after another."""
    yield from _on("local", work, chunks, workers)


def ray_tasks(work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Run on the engine `processes`."""
    yield from _on("processes", work, chunks, workers)


def _on(engine: str, work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    done: list[int] = []
    run_chunks(work, chunks, engine, workers=workers, finished=done.append)
    yield from done


class OnRayData(Worker):
    """A worker as Ray Data calls it."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome of one row."""
        return {"chunk": row["chunk"], "error": self.outcome(int(row["chunk"]))}


def ray_data(work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Run on Ray Data."""
    import ray

    _start_ray(workers)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"chunk": chunk} for chunk in chunks]
    worker: Any = OnRayData
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        worker, fn_constructor_args=(sendable(work),),
        compute=ray.data.ActorPoolStrategy(size=workers), num_cpus=1,
    )  # fmt: skip
    yield from _done(made.iter_rows())


def daft_native(work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Run on Daft's native runner."""
    return _on_daft(work, chunks, workers, use_process=True)


def daft_on_ray(work: Work, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Run on Daft's Ray runner."""
    import daft

    _start_ray(workers)
    daft.set_runner_ray(noop_if_initialized=True)
    return _on_daft(work, chunks, workers, use_process=None)


def _on_daft(
    work: Work, chunks: Sequence[int], workers: int, use_process: bool | None
) -> Iterator[int]:
    import daft

    class OnDaft(Worker):
        @daft.method(return_dtype=daft.DataType.string())  # type: ignore[untyped-decorator]
        def outcome(self, chunk: int) -> str:
            return super().outcome(chunk)

    on_workers = daft.cls(OnDaft, max_concurrency=workers, use_process=use_process)
    frame = daft.from_pydict({"chunk": list(chunks)}).into_batches(1)
    frame = frame.with_column("error", on_workers(sendable(work)).outcome(daft.col("chunk")))
    return _done(frame.iter_rows())


def _start_ray(workers: int) -> None:
    import ray

    ray.init(
        "local", num_cpus=workers, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip


def _done(rows: Iterable[dict[str, Any]]) -> Iterator[int]:
    for row in rows:
        if row["error"]:
            raise RuntimeError(row["error"])
        yield row["chunk"]


ENGINES: dict[str, Callable[[Work, Sequence[int], int], Iterator[int]]] = {
    "loop": loop, "ray": ray_tasks, "daft": daft_native, "ray-data": ray_data,
    "daft-ray": daft_on_ray,
}  # fmt: skip


def run_one(name: str, source: Path, folder: Path, workers: int, chunks: int | None) -> None:
    """Stage the source on one engine, in this process; print what took how long."""
    job = stage_job(source, folder / "staging")
    count = chunk_count(job) if chunks is None else chunks
    work: Any = partial(stage_chunk, job) if count else math.sqrt
    began = time.perf_counter()
    made = sum(1 for _ in ENGINES[name](work, range(count or 1), workers))
    seconds = time.perf_counter() - began
    assert made == (count or 1), f"{made} chunks came back"
    rows = min(sum(len(source) for source in job.sources), count * job.chunk_rows)
    print(json.dumps({"seconds": seconds, "rows": rows, "chunks": count}))


def measured(name: str, source: Path, workers: int, chunks: int | None) -> dict[str, Any]:
    """Run one engine in a fresh process and return its times and the memory of its tree."""
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--run", name, "--folder", folder, "--workers", str(workers)]
        asked += [] if chunks is None else ["--chunks", str(chunks)]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1", "DAFT_PROGRESS_BAR": "0",
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }  # fmt: skip
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench_engines", str(source), *asked],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        with TreeMemory(process.pid) as memory:
            said, errors = process.communicate(timeout=150)
        if process.returncode:
            return {"engine": name, "failed": errors[-600:]}
        return {
            "engine": name, **json.loads(said.splitlines()[-1]),
            "whole_s": time.perf_counter() - began,
            "peak_mb": memory.peak_bytes / 2**20, "driver_mb": memory.peak_first_bytes / 2**20,
            "processes": memory.peak_processes, "stderr_bytes": len(errors),
            "stdout_bytes": len(said), "cpu_s": memory.cpu_s, "load": os.getloadavg()[0],
        }  # fmt: skip


def main() -> None:
    """Measure every engine, or run one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--chunks", type=int, help="of the source, the first; default: all")
    parser.add_argument("--run", choices=list(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run, options.source, options.folder, options.workers, options.chunks)
        return
    best: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for name in options.only:
            for chunks in (0, options.chunks):
                row = measured(name, options.source, options.workers, chunks)
                print(json.dumps(row), flush=True)
                best.setdefault(f"{name} {'start' if chunks == 0 else 'cells'}", []).append(row)
    for key, rows in best.items():
        right = [row for row in rows if "failed" not in row]
        if right:
            row = min(right, key=lambda found: float(found["seconds"]))
            print(
                f"{key:<16} {row['seconds']:7.1f} s  {row['rows'] / row['seconds']:8.0f} cells/s  "
                f"{min(r['cpu_s'] for r in right):6.1f} CPU-s  "
                f"{max(r['peak_mb'] for r in right):7.0f} MB  {row['processes']} processes"
            )


if __name__ == "__main__":
    main()
