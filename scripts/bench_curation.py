"""The whole of `curate` on 360 px JPEG files against what users chain today, and against decoding.

    curate, local        everything that `curate` does, in one process
    curate, processes    the same on the engine `processes`, a worker a core
    cleanvision + imagededup   one after the other on all cores (--others PYTHON, which has them)
    decoding             reading and decoding every file with simplejpeg, a process a core

Each run is a fresh process that does its job once over 32 of the files, which loads libraries and
models, and then over all of them, which counts; runs take turns, and the best of the rounds counts.
Processor time is that of the process and of all that it starts, engine and workers included: on a
machine where other work runs, it is the ratio to trust. --profile prints where the time goes.

    python -m scripts.bench_curation --source FOLDER [--others PYTHON] [--rounds 3] [--profile]
    python -m scripts.bench_curation --cells FILE.parquet --count 6144 …   files made of cells
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from scripts.tree_memory import cpu_seconds, tree

BEGIN = "begin"
CURATE, DECODE, OTHERS = "curate", "decoding", "cleanvision + imagededup"
ENGINES = ("local", "processes")
GOAL_OTHERS, GOAL_DECODING = 8.0, 0.2
_SMALL = 32
_SAMPLE_S = 0.05


def main() -> None:
    """Measure, or do one of the runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="class folders of JPEG files")
    parser.add_argument("--cells", type=Path, help="Parquet file of cells to make such files of")
    parser.add_argument("--count", type=int, default=6144, help="of files made of --cells")
    parser.add_argument("--others", type=Path, help="Python that has cleanvision and imagededup")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--profile", action="store_true", help="only say where the time goes")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--small", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run_here(options.run, options.small, options.source)))
        return
    with tempfile.TemporaryDirectory() as name:
        source = options.source or _made_files(options.cells, Path(name) / "cells", options.count)
        if options.profile:
            print_profile(source, options.rounds)
            return
        small = _some_files(source, Path(name) / "small")
        report = compared(source, small, options.engines, options.others, options.rounds)
    print(json.dumps(report) if options.as_json else as_text(report))


def compared(
    source: Path, small: Path, engines: list[str], others: Path | None, rounds: int
) -> dict[str, Any]:
    """Run everything in turn, and return the best wall and processor seconds of each."""
    names = [f"{CURATE}, {engine}" for engine in engines] + [DECODE]
    commands = {
        name: [sys.executable, "-m", "scripts.bench_curation", "--run", name, "--small", str(small),
               "--source", str(source)]
        for name in names
    }  # fmt: skip
    if others is not None:
        script = str(Path(__file__).with_name("other_curation_tools.py"))
        commands[OTHERS] = [str(others), script, str(small), str(source), str(_cores())]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measured(command))
            print(f"{name}: {json.dumps(runs[name][-1])}", file=sys.stderr, flush=True)
    count = len(_images(source))
    keys = ("wall_s", "cpu_s", "import_s", "first_s", "first_cpu_s")
    best = {
        name: {key: min(run[key] for run in found) for key in keys if key in found[0]}
        for name, found in runs.items()
    }
    loads = [run["load"] for found in runs.values() for run in found]
    return {
        "images": count, "cores": _cores(), "load": [min(loads), max(loads)], "rounds": rounds,
        "date": time.strftime("%Y-%m-%d"), "best": best,
    }  # fmt: skip


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command and return what it says, with the processor time of all that it started.

    Sampled, since an engine's daemons let their workers go without asking what they used. Counted
    from the line "begin" to what it says.
    """
    load, used = os.getloadavg()[0], ProcessorTime()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    marks_s: list[float] = []
    lines: list[str] = []
    while True:
        ready, _, _ = select.select([process.stdout], [], [], _SAMPLE_S)
        used.sample(process.pid)
        if ready:
            line = process.stdout.readline().decode().strip()
            if not line:
                break
            lines.append(line)
            marks_s.append(used.seconds)
    if process.wait() or len(lines) != 2 or lines[0] != BEGIN:
        raise RuntimeError(f"{command[0]} {command[1]} … failed")
    found: dict[str, Any] = json.loads(lines[-1])
    cpu_s = marks_s[1] - marks_s[0]
    return {**found, "cpu_s": cpu_s, "first_cpu_s": marks_s[0], "load": load}


class ProcessorTime:
    """What a process and all that it started have used, those that ended since included."""

    def __init__(self) -> None:
        self._by_pid: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Processor seconds, user and system."""
        return sum(self._by_pid.values())

    def sample(self, pid: int) -> None:
        """Look at all processes below one."""
        for each in tree(pid):
            self._by_pid[each] = max(self._by_pid.get(each, 0.0), cpu_seconds(each))


def run_here(name: str, small: Path, source: Path) -> dict[str, Any]:
    """Do one run in this process and return its seconds."""
    if name == DECODE:
        return _decode_run(small, source)
    engine = name.removeprefix(f"{CURATE}, ")
    with tempfile.TemporaryDirectory() as place:
        folder, started = Path(place), time.perf_counter()
        from curation.curate import curate
        from curation.deidentify.text import find_text

        imported = time.perf_counter()
        curate([small], folder / "small", vault=folder / "vault", engine=engine)
        if engine == "local":
            # Read texts are rare: which run would load the models that read them is chance.
            find_text(np.full((64, 64, 3), 255, np.uint8), threads=1)
        began = _begin()
        corpus = curate([source], folder / "all", vault=folder / "vault", engine=engine)
        wall_s = time.perf_counter() - began
        assert corpus.manifest.n_in == len(_images(source))
        return {
            "wall_s": wall_s, "import_s": imported - started,
            "first_s": began - imported,
        }  # fmt: skip


def _decode_run(small: Path, source: Path) -> dict[str, Any]:
    with multiprocessing.get_context("fork").Pool(_cores()) as pool:
        started = time.perf_counter()
        pool.map(_decode, _images(small))
        began = _begin()
        pool.map(_decode, _images(source), chunksize=64)
        wall_s = time.perf_counter() - began
    return {"wall_s": wall_s, "first_s": began - started}


def _decode(path: Path) -> None:
    import simplejpeg

    simplejpeg.decode_jpeg(path.read_bytes(), "RGB", strict=True)


def print_profile(source: Path, rounds: int) -> None:
    """Print the steps of `curate` on one core, the best of the rounds for each."""
    import cv2
    import pyarrow as pa

    from curation.curate import curate
    from scripts.curation_steps import STEPS, StepClock

    cv2.setNumThreads(1)
    pa.set_cpu_count(1)
    clocks: list[StepClock] = []
    for number in range(rounds + 1):
        clock = StepClock()
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            with clock.on():
                curate([source], folder / "corpus", vault=folder / "vault")
        if number:  # the first loads libraries and models
            clocks.append(clock)
    count = len(_images(source))
    names = [*STEPS, *(set(clocks[0].spent) - set(STEPS))]
    best = {name: min(clock.spent[name] for clock in clocks) / count / 1e6 for name in names}
    for name, spent_ms in best.items():
        print(f"{name:<34} {spent_ms:7.3f} ms an image")
    print(f"{'sum':<34} {sum(best.values()):7.3f} ms an image, {count} images")


def as_text(report: dict[str, Any]) -> str:
    """Return the report as a table with its ratios."""
    count, best = report["images"], report["best"]
    low, high = report["load"]
    lines = [
        f"{report['date']}, {count} images, {report['cores']} cores, load {low:.1f} to {high:.1f}, "
        f"best of {report['rounds']}"
    ]
    for name, row in best.items():
        imported = f"import {row['import_s']:.1f} s, " if "import_s" in row else ""
        start = f"{imported}start {row['first_s']:.1f} s wall; {row['first_cpu_s']:.1f} s CPU"
        lines.append(
            f"{name:<26} {count / row['wall_s']:8.0f} images/s   {row['wall_s']:7.2f} s wall   "
            f"{row['cpu_s']:7.2f} s CPU   {row['cpu_s'] / count * 1e3:7.2f} ms CPU each   ({start})"
        )
    for name in (name for name in best if name.startswith(CURATE)):
        for other, goal in ((OTHERS, GOAL_OTHERS), (DECODE, GOAL_DECODING)):
            if other in best:
                wall, cpu = (best[other][key] / best[name][key] for key in ("wall_s", "cpu_s"))
                lines.append(
                    f"{name} over {other}: {wall:.2f} by wall, {cpu:.2f} by CPU; goal {goal}: "
                    f"{'met' if cpu >= goal else 'missed'}"
                )
    return "\n".join(lines)


def _made_files(cells: Path | None, folder: Path, count: int) -> Path:
    from scripts.enlarged_cells import write_enlarged_cells

    if cells is None:
        raise SystemExit("name files by --source, or cells to make files of by --cells")
    write_enlarged_cells(cells, folder, count)
    return folder


def _some_files(source: Path, folder: Path) -> Path:
    files = _images(source)
    for place in np.linspace(0, len(files) - 1, _SMALL).astype(int).tolist():
        target = folder / files[place].relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[place], target)
    return folder


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _begin() -> float:
    print(BEGIN, flush=True)
    # So long that what was used until now is seen.
    time.sleep(2 * _SAMPLE_S)
    return time.perf_counter()


if __name__ == "__main__":
    main()
