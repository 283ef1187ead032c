"""One code path from a laptop to a cluster: a function over chunk numbers, on an engine.

    local            a loop in this process
    processes        a process for each core of this machine: a Ray cluster that lives as long as
                     the run, and listens to this machine alone
    ray              the Ray cluster that this machine belongs to
    ray://HOST:PORT  a Ray cluster elsewhere, whose machines see the same files
    auto             `processes` where that is faster and Ray is installed, else `local`

The function makes files and returns nothing; it may be called twice for one chunk, and in any
order. What it raises never reaches the engine, whose logs would keep it: it comes back as text and
is raised here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from importlib.util import find_spec

from .engine_worker import Outcome, raise_outcome, sendable
from .errors import EngineError

ENGINES = ("auto", "local", "processes", "ray")
PROCESSES_FROM_CHUNKS = 16
"""From which on the start of the workers is paid back: docs/decisions/0009-engine.md."""

Work = Callable[[int], None]


def _nothing(chunk: int) -> None:
    pass


def run_chunks(
    function: Work,
    chunks: Sequence[int],
    engine: str = "auto",
    *,
    workers: int | None = None,
    finished: Callable[[int], None] = _nothing,
) -> None:
    """Call a function for every chunk; `finished` hears the number of each that is done.

    `workers` is the number of processes of a cluster that is made for the run; None is one a core.

    Raises: EngineError; what the function raises, with nothing of a source in it.
    """
    name = chosen_engine(engine, len(chunks), workers)
    if not chunks:
        return
    if name == "local":
        for chunk in chunks:
            function(chunk)
            finished(chunk)
        return
    with closing(_on_ray(sendable(function), chunks, name, workers)) as outcomes:
        for outcome in outcomes:
            raise_outcome(outcome)
            finished(outcome.chunk)


def chosen_engine(engine: str, chunks: int, workers: int | None = None) -> str:
    """Return the engine that a name stands for, `auto` resolved.

    Raises: EngineError where there is no such engine.
    """
    if engine not in ENGINES and not engine.startswith("ray://"):
        raise EngineError(
            f"there is no engine {engine!r}; expected one of {', '.join(ENGINES)}, ray://HOST:PORT"
        )
    if engine != "auto":
        return engine
    pays = chunks >= PROCESSES_FROM_CHUNKS and (workers or cores()) > 1
    return "processes" if pays and find_spec("ray") is not None else "local"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_ray(
    work: bytes, chunks: Sequence[int], engine: str, workers: int | None
) -> Generator[Outcome]:
    from .engine_ray import ray_outcomes

    return ray_outcomes(work, chunks, engine, min(workers or cores(), len(chunks)))
