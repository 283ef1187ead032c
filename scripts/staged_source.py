"""The first pass of `curate` over a Parquet source on any engine: for benchmarks."""

from __future__ import annotations

from pathlib import Path

from curation.curate import CurateConfig, resolve_labels
from curation.deidentify.policy import load_policy
from curation.deidentify.source_policy import released_attributes, source_policies
from curation.deidentify.text import TextFinder
from curation.deidentify.treat import Treat
from curation.deidentify.vault import open_vault
from curation.pixels import Limits
from curation.released_cell import Handling
from curation.sources import Columns, open_source
from curation.stage import CHUNK_ROWS, StageJob


def stage_job(source: Path, folder: Path, rows: int | None = None) -> StageJob:
    """Return the job of staging a source into a folder; the vault lies beside the folder."""
    opened = [open_source(str(source), Columns())]
    treated = source_policies(load_policy(), opened, {})
    vault = open_vault(folder.parent / "vault")
    handling = Handling(
        resolve_labels(opened, CurateConfig()), Limits(), vault, finder=TextFinder()
    )
    folder.mkdir(parents=True, exist_ok=True)
    treats = [Treat(entry.treatments, vault) for entry in treated]
    return StageJob(
        opened, treats, released_attributes(treated), handling, folder, rows or CHUNK_ROWS
    )
