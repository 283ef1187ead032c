"""Writing a directory so that it is either there whole or not there at all.

Work goes to a hidden sibling, then one rename. A killed run leaves the sibling; the same command
run again finds it and goes on where it stopped; another command with the same `--out` starts anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from blake3 import blake3

from .errors import OutputExistsError, SmearkitError
from .manifest import canonical_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JOB_FILE = "job"


def refuse_existing(out: Path) -> None:
    """Refuse to write over anything.

    Raises: OutputExistsError.
    """
    if out.exists() or out.is_symlink():
        raise OutputExistsError(
            f"{out} exists already and is never overwritten; "
            "choose another --out, or remove it first"
        )


def partial_path(out: Path) -> Path:
    """Return the hidden sibling in which `out` is made."""
    return out.parent / f".{out.name}.partial"


@contextmanager
def whole_directory(out: Path, job: object) -> Iterator[Path]:
    """Yield a directory to fill; it becomes `out` only if the block ends without an error.

    `job` is everything that decides the content, as JSON values: a sibling left by the same job is
    taken up, any other is thrown away.

    Raises: OutputExistsError; SmearkitError where the disk is full or cannot be written, or where
    another run is at it.
    """
    refuse_existing(out)
    partial = partial_path(out)
    token = blake3(canonical_json(job)).hexdigest()
    with disk_errors(out):
        partial.mkdir(parents=True, exist_ok=True)
        with (partial / _JOB_FILE).open("a+") as job_file:
            _lock(job_file, out)
            job_file.seek(0)
            if job_file.read() != token:
                _empty(partial)
                job_file.truncate(0)
                job_file.write(token)
                job_file.flush()
            yield partial
            (partial / _JOB_FILE).unlink()
            partial.rename(out)


def _lock(job_file: IO[str], out: Path) -> None:
    # Two runs in one folder would write over each other's shards; the lock dies with its process.
    try:
        fcntl.flock(job_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SmearkitError(
            f"another run is making {out} now. Next: wait for it, or choose another --out"
        ) from error


def _empty(partial: Path) -> None:
    for entry in partial.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _JOB_FILE:
            entry.unlink()


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turn a full or read-only disk into an error that says what to do next.

    Raises: SmearkitError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SmearkitError(
                f"the disk that holds {out} is full; nothing stands at {out}. "
                f"Next: free space and run the same command again (it goes on where it stopped), "
                f"or remove {partial_path(out)}"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise SmearkitError(
                f"{out} cannot be written: {error.strerror}. Next: choose another --out"
            ) from error
        raise


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays as .npz, whole or not at all."""
    import numpy as np

    temporary = path.with_name(f".{path.stem}.tmp.npz")
    np.savez(temporary, **cast(dict[str, Any], arrays))
    temporary.replace(path)


def write_whole(path: Path, data: bytes) -> None:
    """Write one file so that it is there whole or not at all, and on the disk when it is there."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
