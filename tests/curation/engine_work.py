"""Work for engines, where the processes of an engine can import it."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from curation.errors import SourceError
from curation.stage import StageJob, stage_chunk

SECRET = "Jane Roe MRN-4711"


def write_chunk(folder: Path, chunk: int) -> None:
    """Write a file; it is there once done."""
    (folder / f"{chunk}").write_text(f"{os.getpid()}")


def loud(folder: Path, chunk: int) -> None:
    """Print a secret, in Python and below it, and work."""
    print(SECRET)
    print(SECRET, file=sys.stderr)
    os.write(1, SECRET.encode())
    write_chunk(folder, chunk)


def refused(folder: Path, chunk: int) -> None:
    """Refuse chunk 2 by a named error."""
    if chunk == 2:
        raise SourceError("file 7 (id 00c0ffee) of the source cannot be read")
    write_chunk(folder, chunk)


def broken(folder: Path, chunk: int) -> None:
    """Fail on chunk 2 as a bug would, with a secret in the text."""
    if chunk == 2:
        raise KeyError(SECRET)
    write_chunk(folder, chunk)


def full_disk(folder: Path, chunk: int) -> None:
    """Fail on chunk 2 as a full disk does, with a secret in the file's name."""
    if chunk == 2:
        raise OSError(errno.ENOSPC, "No space left on device", SECRET)
    write_chunk(folder, chunk)


def killed(folder: Path, chunk: int) -> None:
    """End the worker without a word at chunk 2, each time."""
    if chunk == 2:
        os.kill(os.getpid(), 9)
    write_chunk(folder, chunk)


def slow(folder: Path, chunk: int) -> None:
    """Take a while."""
    time.sleep(0.2)
    write_chunk(folder, chunk)


def noted(job: StageJob, notes: Path, chunk: int) -> None:
    """Stage a chunk slowly, and note that it was begun."""
    with (notes / f"{chunk}").open("a") as file:
        file.write("begun\n")
    time.sleep(0.15)
    stage_chunk(job, chunk)
