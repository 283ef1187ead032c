"""Chunks on a Ray cluster: one task each; Ray makes those of a lost node again elsewhere."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from .engine_worker import Outcome, Worker
from .errors import EngineError

_STORE_BYTES = 100 * 2**20
"""Of the shared memory that results pass through, here a few bytes each; Ray asks for 75 MB."""

_TOKEN = secrets.token_hex(32)
"""By which the nodes of a cluster of this process know each other; Ray reads it once a process."""

_workers: dict[str, Worker] = {}
"""In a worker process: the one that unpacked the work of a run."""


def ray_outcomes(
    work: bytes, chunks: Sequence[int], engine: str, workers: int
) -> Generator[Outcome]:
    """Yield what became of each chunk, in the order given; closed early, the rest is cancelled.

    Raises: EngineError where Ray is not installed, cannot be reached, or gives up on a chunk.
    """
    ray = _ray()
    with _connected(ray, engine, workers, _STORE_BYTES + 2 * len(work)):
        task = ray.remote(num_cpus=1)(_outcome)
        token = secrets.token_hex(8)
        # In a list, Ray passes the reference on: each process fetches the work once.
        place = [ray.put(work)]
        pending = [task.remote(token, place, chunk) for chunk in chunks]
        pending.reverse()
        try:
            for chunk in chunks:
                yield Outcome(chunk, _answer(ray, pending.pop()) or None)
        finally:
            for left in pending:
                ray.cancel(left, force=False)


def _outcome(token: str, place: list[Any], chunk: int) -> str:
    """Run in a worker process of the cluster."""
    import ray

    if token not in _workers:
        _workers.clear()
        _workers[token] = Worker(ray.get(place[0]))
    return _workers[token].outcome(chunk)


def _answer(ray: Any, reference: Any) -> str:
    try:
        with _unheard():
            return str(ray.get(reference))
    except ray.exceptions.RayError:
        # Its text shows the worker's last lines and the place of its logs.
        raise EngineError(
            "a worker of the engine ended without a word, several times; the system ends processes "
            "where memory runs out. Next: run the same command again (it goes on where it "
            "stopped), with fewer workers"
        ) from None


def _ray() -> Any:
    # Read when it is imported or started: it would call home, and warn at length.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise EngineError(
            "this engine needs Ray. Next: pip install 'smearkit[cluster]', or --engine local"
        ) from error
    return ray


@contextmanager
def _connected(ray: Any, engine: str, workers: int, store_bytes: int) -> Iterator[None]:
    # Ray tells of lost nodes on the standard output, from a thread of its own, whatever it is
    # asked to log; results go there, and nothing else may.
    with redirect_stdout(sys.stderr), _connection(ray, engine, workers, store_bytes):
        yield


@contextmanager
def _connection(ray: Any, engine: str, workers: int, store_bytes: int) -> Iterator[None]:
    if engine == "processes":
        with _own_cluster(ray, workers, store_bytes):
            yield
        return
    if ray.is_initialized():
        yield  # whoever connected this process also lets go
        return
    address = "auto" if engine == "ray" else engine
    with _named_errors("the Ray cluster" if engine == "ray" else f"the Ray cluster {engine}"):
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    try:
        yield
    finally:
        with _unheard():
            ray.shutdown()


@contextmanager
def _own_cluster(ray: Any, workers: int, store_bytes: int) -> Iterator[None]:
    if ray.is_initialized():
        raise EngineError(
            "this process is connected to a Ray cluster already. Next: use the engine 'ray', or "
            "call ray.shutdown() before"
        )
    # A folder of its own, gone with the run: its logs stay nowhere, and no other run joins it. In
    # /tmp, since the names of its sockets must be short.
    folder = tempfile.mkdtemp(prefix="smearkit-", dir="/tmp")
    token = os.environ.get("RAY_AUTH_TOKEN")
    os.environ["RAY_AUTH_TOKEN"] = token or _TOKEN
    try:
        with _named_errors("a Ray cluster on this machine"):
            ray.init(
                "local", num_cpus=workers, num_gpus=0, include_dashboard=False,
                log_to_driver=False, logging_level=logging.CRITICAL, _temp_dir=folder,
                # It listens for whoever knows its port.
                _node_ip_address="127.0.0.1", object_store_memory=store_bytes,
            )  # fmt: skip
        yield
    finally:
        with _unheard():
            ray.shutdown()
        if token is None:
            os.environ.pop("RAY_AUTH_TOKEN", None)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _named_errors(what: str) -> Iterator[None]:
    try:
        with _unheard():
            yield
    except Exception as error:  # a start that times out is a bare one
        raise EngineError(
            f"{what} cannot be reached ({type(error).__name__}). Next: check that it runs "
            "with this version of Ray, or use --engine local"
        ) from None


@contextmanager
def _unheard() -> Iterator[None]:
    """Drop what Ray prints meanwhile, from a thread of its own, on the standard output."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield
