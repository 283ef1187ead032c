"""Stages a folder of cells slowly, noting which chunks are begun; started by a test, and killed."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

from curation.curate import CurateConfig, resolve_labels
from curation.deidentify.treat import Treat
from curation.deidentify.vault import Vault
from curation.engine import run_chunks
from curation.pixels import Limits
from curation.released_cell import Handling
from curation.sources import Columns, open_source
from curation.stage import StageJob, chunk_count
from tests.curation.engine_work import noted

WORKERS = 2
CHUNK_ROWS = 4


def run(source: Path, folder: Path, notes: Path, engine: str) -> int:
    """Stage every chunk that is missing in `folder`; return how many chunks there are."""
    opened = [open_source(str(source), Columns())]
    keys = Vault(Path("nowhere"), bytes(32))
    handling = Handling(resolve_labels(opened, CurateConfig()), Limits(), keys)
    job = StageJob(opened, [Treat((), keys)], (), handling, folder, CHUNK_ROWS)
    count = chunk_count(job)
    missing = [chunk for chunk in range(count) if not (folder / f"{chunk:06d}.arrow").exists()]
    run_chunks(partial(noted, job, notes), missing, engine, workers=WORKERS)
    return count


if __name__ == "__main__":
    # Where tests run in the background of a shell, Ctrl-C is ignored, and so by their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
