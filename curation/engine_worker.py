"""What runs in a worker of an engine, and how its errors come home."""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import EngineError, SmearkitError

_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk; `error` is None where it is done."""

    chunk: int
    error: str | None


def single_thread_variables() -> dict[str, str]:
    """Return the environment of a worker: one thread, since there is a worker for each core."""
    return dict.fromkeys(_SINGLE, "1")


def sendable(function: Callable[[int], None]) -> bytes:
    """Return a function as bytes for workers, with the directory that its paths start from.

    Raises: EngineError where it holds something that only this process has.
    """
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5)
    pickler.dispatch_table = copyreg.dispatch_table | {MappingProxyType: _plain_mapping}
    try:
        pickler.dump((function, str(Path.cwd())))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise EngineError(
            f"the work cannot be sent to other processes ({type(error).__name__}). Next: use "
            "--engine local"
        ) from None
    return out.getvalue()


def _plain_mapping(mapping: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    # By a function: the type's own name is not where pickle looks for it.
    return _read_only, (dict(mapping),)


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


class Worker:
    """One worker: it unpacks the function once, and then calls it for one chunk after another."""

    def __init__(self, work: bytes) -> None:
        self._error: str | None = None
        if threading.current_thread() is threading.main_thread():
            # The engine's own process hears of an interruption, and tells its workers.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with _quiet():
                _hold_threads()
                self._function, folder = pickle.loads(work)
                os.chdir(folder)
        except Exception as error:
            self._error = _text(error)

    def outcome(self, chunk: int) -> str:
        """Call the function for a chunk; return "" or what it raised, never raise."""
        if self._error is None:
            try:
                with _quiet():
                    self._function(chunk)
            except Exception as error:
                return _text(error)
        return self._error or ""


def _hold_threads() -> None:
    import cv2
    import pyarrow as pa

    os.environ.update(single_thread_variables())
    cv2.setNumThreads(1)
    pa.set_cpu_count(1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is printed meanwhile, by libraries in C too: engines pass it on, or keep it."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        kept = [os.dup(1), os.dup(2)]
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            for number, handle in enumerate(kept, start=1):
                os.dup2(handle, number)
                os.close(handle)


def _text(error: Exception) -> str:
    """Return an error as JSON: named ones whole, of others nothing that a source could be in."""
    if isinstance(error, SmearkitError):
        return json.dumps({"name": type(error).__name__, "message": str(error)})
    if isinstance(error, OSError) and error.errno is not None:
        return json.dumps({"errno": error.errno})
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    return json.dumps({"kind": type(error).__name__, "where": where})


def raise_outcome(outcome: Outcome) -> None:
    """Raise what a worker raised, where it did.

    Raises: SmearkitError of the worker's own kind; OSError with its number and without its file;
    EngineError for any other.
    """
    if not outcome.error:
        return
    found = json.loads(outcome.error)
    if "errno" in found:
        raise OSError(found["errno"], os.strerror(found["errno"]))
    if "name" in found:
        kind = _kinds(SmearkitError).get(found["name"], SmearkitError)
        error = kind.__new__(kind)
        error.args = (found["message"],)
        raise error
    raise EngineError(
        f"chunk {outcome.chunk} failed in a worker: {found['kind']} at {found['where']}. "
        "Next: run the same command with --engine local, which shows the whole error"
    )


def _kinds(kind: type[SmearkitError]) -> dict[str, type[SmearkitError]]:
    found = {kind.__name__: kind}
    for below in kind.__subclasses__():
        found.update(_kinds(below))
    return found
