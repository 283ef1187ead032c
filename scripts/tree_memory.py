"""The memory of a process and of all that it started, while it runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_SECONDS = 0.25


class TreeMemory:
    """Samples the proportional set size of a process tree: shared pages count once.

    Peaks are in bytes: of the whole tree, and of the first process alone. `cpu_s` is what its
    processes used, short ones that fall between two samples left out.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_bytes = 0
        self.peak_first_bytes = 0
        self.peak_processes = 0
        self._cpu_s: dict[int, float] = {}

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that the tree used."""
        return sum(self._cpu_s.values())

    def __enter__(self) -> TreeMemory:
        """Begin to sample."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SECONDS):
            found = tree(self._pid)
            sizes = [pss_bytes(pid) for pid in found]
            self.peak_bytes = max(self.peak_bytes, sum(sizes))
            self.peak_first_bytes = max(self.peak_first_bytes, sizes[0] if sizes else 0)
            self.peak_processes = max(self.peak_processes, len(found))
            for pid in found:
                self._cpu_s[pid] = max(self._cpu_s.get(pid, 0.0), cpu_seconds(pid))


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            for task in tasks:
                found.extend(int(child) for child in (task / "children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process itself, 0 where it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of a process, 0 where it ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
