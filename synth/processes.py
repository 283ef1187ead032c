"""Several processes of one run, as `accelerate launch` or `torchrun` start them.

They share a directory and draw different pieces, so they have nothing to send each other: no
process group is made, and none can time out while one process selects cells for an hour. Each
process holds a lock on a file of its own; locks end with their process, so whoever waits for a
process sees at once that it has died.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from blake3 import blake3

from curation.errors import GeneratorError
from curation.manifest import canonical_json
from curation.output import disk_errors, partial_path, whole_directory

from .denoiser import best_device

ROUNDS_NAME = "rounds"
START_SECONDS = 900.0
"""How long processes may take to start; loading a generator from a slow disk takes minutes."""
_POLL_SECONDS = 0.1
_AGAIN = (
    "What was drawn is kept. Next: see the message of that process above, then run the same "
    "command again (it goes on where it stopped)"
)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many processes this is; `local` counts those of one machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes the result."""
        return self.rank == 0

    def owns(self, number: int) -> bool:
        """Whether a piece of work is this process'."""
        return number % self.count == self.rank


def ranks_of_run() -> Ranks:
    """Return what the launcher said in the environment; one process where there is none."""
    try:
        found = Ranks(
            int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
        )
    except (KeyError, ValueError):
        return Ranks()
    return found if 0 <= found.rank < found.count else Ranks()


def device_of(ranks: Ranks) -> torch.device:
    """Return the device that this process draws on: one accelerator each, in turn."""
    best = best_device()
    if best.type != "cuda" or ranks.count == 1:
        return best
    return torch.device("cuda", ranks.local % torch.cuda.device_count())


@contextmanager
def shared_directory(out: Path, job: object, ranks: Ranks) -> Iterator[Path]:
    """Yield the directory that becomes `out`, to every process of a run.

    As `whole_directory` for the first process, which waits until the others are there; the others
    wait until it has made the directory ready, and at the end until `out` stands.

    Raises: GeneratorError where another process of the run ends early; what `whole_directory`
    raises.
    """
    locks = _Locks(out)
    if ranks.first:
        # The lock is let go after the renaming: who sees it free and no `out` sees a dead process.
        with _told_to_stop(ranks), ExitStack() as stack:
            with whole_directory(out, job) as partial:
                # What an earlier run announced to its processes is not for these.
                shutil.rmtree(partial / ROUNDS_NAME, ignore_errors=True)
                if ranks.count > 1:
                    stack.enter_context(locks.held(0, _token(job)))
                    _await_the_others(locks, ranks)
                yield partial
                shutil.rmtree(partial / ROUNDS_NAME, ignore_errors=True)
            locks.remove()
        return
    with _told_to_stop(ranks):
        _await_the_first(locks, _token(job))
        with disk_errors(out), locks.held(ranks.rank, ""):
            yield partial_path(out)
            wait_for(out.exists, out, rank=0)


def wait_for(there: Callable[[], bool], out: Path, *, rank: int) -> None:
    """Wait for something that another process of the run makes.

    Raises: GeneratorError where that process has died.
    """
    locks = _Locks(out)
    while not there():
        # Looked for once more after its end was seen: it may have made it last of all.
        if not locks.is_held(rank) and not there():
            raise GeneratorError(f"process {rank} of this run ended before its work. {_AGAIN}")
        time.sleep(_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class _Locks:
    """The locked files of the processes that make `out`, beside it."""

    out: Path

    @property
    def folder(self) -> Path:
        return self.out.parent / f".{self.out.name}.processes"

    def path(self, rank: int) -> Path:
        return self.folder / f"{rank:05d}"

    @contextmanager
    def held(self, rank: int, content: str) -> Iterator[None]:
        self.folder.mkdir(exist_ok=True)
        with self.path(rank).open("w") as file:
            # Waiting: another process may just be looking whether it is held.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content)
            file.flush()
            yield

    def is_held(self, rank: int) -> bool:
        try:
            with self.path(rank).open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _token(job: object) -> str:
    return blake3(canonical_json(job)).hexdigest()


def _await_the_others(locks: _Locks, ranks: Ranks) -> None:
    _await_start(
        lambda: all(locks.is_held(rank) for rank in range(1, ranks.count)),
        f"not all {ranks.count} processes of this run started",
    )


def _await_the_first(locks: _Locks, token: str) -> None:
    def ready() -> bool:
        path = locks.path(0)
        return locks.is_held(0) and path.is_file() and path.read_text() == token

    _await_start(ready, "the first process of this run did not start the same work")


def _await_start(there: Callable[[], bool], problem: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not there():
        if time.monotonic() > end:
            raise GeneratorError(f"{problem} within {START_SECONDS:.0f} s. {_AGAIN}")
        time.sleep(_POLL_SECONDS)


@contextmanager
def _told_to_stop(ranks: Ranks) -> Iterator[None]:
    """Turn the signal by which a launcher ends the other processes into an error with a name."""
    if ranks.count == 1 or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise GeneratorError(f"another process of this run failed, so it was ended. {_AGAIN}")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
