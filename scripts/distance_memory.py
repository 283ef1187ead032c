"""How much memory the distances need as the features grow in number.

    python scripts/distance_memory.py --rows 20000 50000 200000 --features 64

Each measurement runs in a process of its own on random features mapped from files; its own memory
(anonymous pages: not those of the mapped files, which the system takes back when it needs them)
is read every 10 ms, and its peak is given above that before the first distance.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synth.measure.fid_infinity import frechet_estimates
from synth.measure.floors import frechet_floors, halves, kernel_floors
from synth.measure.frechet import frechet_distance
from synth.measure.kernel import kernel_distance

Features = NDArray[np.float32]
_MB = 1024  # /proc gives kB

DISTANCES: dict[str, Callable[[Features, Features, Features], object]] = {
    "kid": lambda a, b, pool: kernel_distance(a, b),
    "fid": lambda a, b, pool: frechet_distance(a, b),
    "fid_infinity": lambda a, b, pool: frechet_estimates(a, b),
    "kid_floor": lambda a, b, pool: kernel_floors(pool, halves([len(a)], 20, 0)),
    "fid_floor": lambda a, b, pool: frechet_floors(pool, halves([len(a)], 20, 0)),
}


def main() -> None:
    """Measure each distance at each number of rows, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 50_000, 200_000])
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--distances", nargs="+", choices=DISTANCES, default=list(DISTANCES))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(*_measured(args.distances[0], args.one, args.rows[0], args.features))
        return
    print("| rows a side | features | distance | peak MB | CPU s |\n|---|---|---|---|---|")
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "features"
            _write(file, 2 * rows, args.features)
            for name in args.distances:
                command = [
                    sys.executable, __file__, "--one", str(file), "--rows", str(rows),
                    "--features", str(args.features), "--distances", name,
                ]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                peak, seconds = done.stdout.split()
                print(f"| {rows:,} | {args.features} | {name} | {peak} | {seconds} |", flush=True)


def _write(file: Path, rows: int, features: int) -> None:
    rng = np.random.default_rng(0)
    with file.open("wb") as stream:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            stream.write(rng.random((count, features), dtype=np.float32).tobytes())


def _measured(name: str, file: Path, rows: int, features: int) -> tuple[int, float]:
    """Return the peak in MB above the start, and the processor seconds."""
    pool: Features = np.memmap(file, np.float32, "r", shape=(2 * rows, features))
    DISTANCES[name](pool[:64], pool[64:128], pool[:128])  # what is imported late
    before, started = _own_memory_mb(), time.process_time()
    peak = [before]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            peak[0] = max(peak[0], _own_memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    DISTANCES[name](pool[:rows], pool[rows:], pool)
    stop.set()
    watcher.join()
    return peak[0] - before, round(time.process_time() - started, 1)


def _own_memory_mb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // _MB
    raise RuntimeError("/proc/self/status has no RssAnon: this script needs Linux")


if __name__ == "__main__":
    main()
