"""The whole made export, and what becomes of it on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from curation.deidentify.dicom.files import deidentify_files
from curation.deidentify.vault import KEY_BYTES

from .burned_in import write_burned_in_part
from .command import Command
from .dicom import write_dicom_part
from .expected import count_of_cells, facts_of_groups
from .fact import Fact, go
from .fields import write_fields_part
from .images import write_image_part
from .invented import Invented
from .mistakes import Mistake, write_mistakes
from .moved_days import write_moved_days_part
from .outcome import Outcome, read_outcome
from .slides import write_ome_part, write_svs_part
from .tables import (
    Part,
    write_csv_part,
    write_image_parquet_part,
    write_json_lines_part,
    write_parquet_part,
    write_remarks_part,
)

_SEEDS_EACH = 2_000


@dataclass(frozen=True, slots=True)
class PlantedExport:
    """A made export: its parts, the mistakes beside them, and everything planted in them."""

    root: Path
    user: str
    parts: tuple[Part, ...]
    mistakes: tuple[Mistake, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Curated:
    """What came out of an export: everything that may leave is below `published`."""

    published: Path
    vault: Path
    outcome: Outcome


def write_planted_export(folder: Path, start: int = 0) -> PlantedExport:
    """Write the made export below a folder; another start makes other values of the same kinds."""
    invented = Invented(start)
    hospital, user = f"Klinikum {invented.name()}", invented.email().split("@")[0]
    root = folder / hospital / "home" / user / "export"
    facts = [go("path of the source", "a hospital's folder", hospital),
             go("user", "name of who runs it", user)]  # fmt: skip
    parts = tuple(_parts(root, invented))
    mistakes = tuple(write_mistakes(folder / hospital / "mistakes", invented))
    facts += [fact for part in parts for fact in part.facts]
    facts += [fact for mistake in mistakes for fact in mistake.facts]
    facts += _across(parts)
    return PlantedExport(folder / hospital, user, parts, mistakes, tuple(facts))


def _parts(root: Path, invented: Invented) -> Iterator[Part]:
    seeds = count(0, _SEEDS_EACH)
    yield write_image_part(root / "images", invented, next(seeds))
    table = write_csv_part(root / "csv", invented, next(seeds))
    yield table
    known = table.cells[0].subject
    yield write_json_lines_part(root / "jsonl", invented, next(seeds), known)
    yield write_parquet_part(root / "parquet", invented, next(seeds))
    yield write_image_parquet_part(root / "image parquet", invented, next(seeds))
    yield write_dicom_part(root / "dicom", invented, next(seeds))
    yield write_burned_in_part(root / "burned in", invented, next(seeds))
    yield write_fields_part(root / "fields", invented, next(seeds))
    yield write_svs_part(root / "svs" / "slides", invented, next(seeds))
    yield write_ome_part(root / "ome" / "slides", invented, next(seeds))
    yield write_moved_days_part(root / "moved", invented, next(seeds))
    yield write_remarks_part(root / "remarks", invented, next(seeds))


def _across(parts: tuple[Part, ...]) -> Iterator[Fact]:
    """Yield what must stay across parts: how many cells, and who is one person in two tables."""
    cells = [cell for part in parts for cell in part.cells]
    yield count_of_cells("whole export", len(cells))
    shared = [cell for part in parts[1:3] for cell in part.cells]
    yield from facts_of_groups("two tables", shared)


def curate_planted(export: PlantedExport, folder: Path) -> Curated:
    """Curate an export with the command line as its user would, and try the mistakes."""
    published, vault = folder / "published", folder / "vault"
    write_vault(vault)
    run = Command(published / "spoken", export.user)
    common = ("--vault", vault, "--small-groups", "report")
    jobs = list(_jobs(export.parts))
    corpora = [published / f"corpus{number}" for number in range(len(jobs))]
    for number, (job, corpus) in enumerate(zip(jobs, corpora, strict=True)):
        quarantine = folder / f"quarantine{number}"
        must_run(run, "curate", *job, "--out", corpus, "--quarantine", quarantine, *common)
    must_run(run, "audit", corpora[-1], "--against", vault)
    run("policy", "check", "default", export.parts[1].source)
    for number, mistake in enumerate(export.mistakes):
        out = folder / f"refused{number}"
        status = run("curate", mistake.source, "--out", out, *common, *mistake.more)
        if status != 1 or re.search(mistake.says, run.last()) is None:
            raise AssertionError(f"{mistake.where}: expected {mistake.says!r}; {run.last()}")
    dicom = next(p.source for p in export.parts if p.source.name == "dicom")
    cleaned = published / "cleaned"
    deidentify_files(dicom, cleaned, vault, screen=None)
    return Curated(published, vault, read_outcome(corpora, cleaned))


def _jobs(parts: Sequence[Part]) -> Iterator[tuple[object, ...]]:
    """Yield the arguments of each run: all sources that can go together, then each other one."""
    yield tuple(part.source for part in parts if not part.arguments)
    yield from ((part.source, *part.arguments) for part in parts if part.arguments)


def write_vault(folder: Path) -> None:
    """Write a vault with a key that is always the same.

    Pseudonyms are letters and digits: with one key, what they spell by chance is always the same.
    """
    folder.mkdir(parents=True, mode=0o700)
    (folder / "key").write_text("5e" * KEY_BYTES)


def must_run(run: Command, *arguments: object) -> None:
    """Run a verb.

    Raises: AssertionError where it ends with another exit status than 0.
    """
    if run(*arguments):
        raise AssertionError(f"{arguments[0]} failed: {run.last()}")
