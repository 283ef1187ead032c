"""The stage `curate`: raw images in, a curated corpus out.

Two passes. The first reads every source image once, turns it into what may be released, and keeps
it in staging files of a fixed number of rows (an interrupted run resumes at the next one). The
second decides over all rows (duplicates, conflicts, splits, order) and writes the shards.
Memory is bounded by one staging file plus the plain columns.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from .codec import common_codec
from .corpus import Corpus, load_corpus
from .corpus_writer import write_manifest
from .curation_report import write_report
from .dedupe.exact import Duplicates, find_duplicates
from .deidentify.vault import Vault, default_vault, open_vault, record_identifiers
from .errors import SmearkitError, SourceError, UnknownLabelError
from .manifest import Frozen
from .output import partial_path, refuse_existing, whole_directory
from .pixels import Limits
from .progress import Progress, silent
from .quarantine import QUARANTINED, default_quarantine, write_quarantine
from .shards import write_shards
from .sources import Columns, Source, open_source
from .split import Fractions, assign_splits, related_groups
from .stage import CHUNK_ROWS, stage_cells
from .staged_rows import StagedRows
from .versions import library_versions
from .vocabulary import LABEL_IDS, canonical_label, check_label_map, unknown_label_message


class CurateConfig(Frozen):
    """Everything that decides what `curate` makes of a source."""

    image_column: str | None = None
    label_column: str | None = None
    subject_column: str | None = None
    slide_column: str | None = None
    site_column: str | None = None
    label_map: dict[str, str] = Field(default_factory=dict, description="own name -> label")
    drop_unknown_labels: bool = False
    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    min_side_px: int = 16
    max_pixels: int = 50_000_000
    source_name: str | None = Field(default=None, description="what a card calls the source")
    license: str | None = Field(default=None, description="a Hub licence id, e.g. cc-by-4.0")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        self.fractions()
        return self

    def columns(self) -> Columns:
        """Return the column choices."""
        return Columns(
            self.image_column,
            self.label_column,
            self.subject_column,
            self.slide_column,
            self.site_column,
        )

    def fractions(self) -> Fractions:
        """Return the split shares."""
        return Fractions(self.train, self.validation, self.test)


def curate(
    sources: Sequence[str | Path],
    out: Path,
    config: CurateConfig | None = None,
    *,
    vault: Path | None = None,
    quarantine: Path | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Curate raw images into a corpus at `out`; vault and quarantine go beside it.

    Raises: SourceError, UnknownLabelError, OutputExistsError, VaultError, SmearkitError.
    """
    config = config or CurateConfig()
    fractions = config.fractions()
    vault_path = vault or default_vault(out)
    quarantine_path = quarantine or default_quarantine(out)
    refuse_existing(out)
    refuse_existing(quarantine_path)
    _refuse_inside(quarantine_path, out)
    check_label_map(config.label_map)
    opened = [open_source(str(source), config.columns()) for source in sources]
    if not opened:
        raise SourceError("no source was given")
    labels = resolve_labels(opened, config)
    keys = open_vault(vault_path, outside=out)
    job = {
        "stage": "curate",
        "config": config.model_dump(mode="json"),
        "sources": [source.identity() for source in opened],
        # Another key makes other pseudonyms: rows staged under it must not be taken up.
        "key": keys.pseudonym("job", "key"),
        # Another decoder may make other pixels, and another chunk size other chunks.
        "versions": library_versions(),
        "chunk_rows": CHUNK_ROWS,
    }
    # In its place only once the corpus is: a run that is taken up again finds the place free.
    unfinished = partial_path(quarantine_path)
    with whole_directory(out, job) as partial:
        limits = Limits(config.min_side_px, config.max_pixels)
        staged = stage_cells(opened, labels, limits, keys, partial / "staging", progress)
        record_identifiers(keys, (pair for source in opened for pair in source.identifiers()))
        _write_corpus(partial, opened, staged, keys, fractions, config, unfinished, progress)
    if unfinished.is_dir():
        unfinished.rename(quarantine_path)
    return load_corpus(out)


def resolve_labels(sources: Sequence[Source], config: CurateConfig) -> dict[str, str | None]:
    """Return label as found -> the vocabulary's name (None: dropped as unknown).

    Raises: UnknownLabelError where a label is unknown and may not be dropped.
    """
    found: Counter[str] = Counter()
    for source in sources:
        found.update(source.labels())
    table = {name: config.label_map.get(name) or canonical_label(name) for name in found}
    unknown = sorted(name for name, label in table.items() if label is None)
    if unknown and not config.drop_unknown_labels:
        raise UnknownLabelError(unknown_label_message(unknown))
    return table


def _write_corpus(
    partial: Path,
    sources: Sequence[Source],
    staged: StagedRows,
    vault: Vault,
    fractions: Fractions,
    config: CurateConfig,
    quarantine: Path,
    progress: Progress,
) -> None:
    reasons, duplicates = drop_reasons(staged)
    kept = np.flatnonzero(reasons == "")
    dropped = Counter(reason for reason in reasons.tolist() if reason)
    if len(kept) == 0:
        raise SourceError(_nothing_left(len(staged), dropped))
    splits, order = _splits_and_order(staged, kept, vault, fractions)
    shards = write_shards(
        partial, staged, kept, splits, order,
        source=config.source_name, license_id=config.license, progress=progress,
    )  # fmt: skip
    quarantined = sum(dropped[reason] for reason in QUARANTINED)
    grouped_by = _grouped_by(staged, kept)
    report = write_report(partial / "reports", sources, staged, reasons, duplicates, splits, kept)
    write_quarantine(quarantine, sources, staged, reasons, duplicates, vault)
    staged.close()
    write_manifest(
        partial,
        kind="real",
        shards=shards,
        n_in=len(staged),
        dropped=dropped,
        grouped_by=grouped_by,
        duplicate_groups=duplicates.n_groups,
        conflicts=len(duplicates.conflicts),
        quarantined=quarantined,
        codec=common_codec(partial, shards),
        parents={},
        config={**config.model_dump(mode="json"), "label_map": report.labels},
    )
    # Last: what is interrupted before this need not read the source again.
    shutil.rmtree(partial / "staging")


def drop_reasons(staged: StagedRows) -> tuple[np.ndarray[Any, np.dtype[np.object_]], Duplicates]:
    """Return why each staged row is dropped ("" = kept), and the duplicates found."""
    columns = staged.columns(["reason", "image_id", "label", "subject"])
    reasons = np.array(columns["reason"].to_pylist(), dtype=object)
    usable = np.flatnonzero(reasons == "")
    rows = columns.take(pa.array(usable))
    found = find_duplicates(
        rows["image_id"].to_pylist(), rows["label"].to_pylist(), rows["subject"].to_pylist()
    )
    reasons[usable] = found.reasons
    conflicts = tuple(
        type(c)(c.image_id, c.kind, c.labels, tuple(int(usable[row]) for row in c.rows))
        for c in found.conflicts
    )
    return reasons, Duplicates(found.n_groups, reasons, conflicts)


def _splits_and_order(
    staged: StagedRows, kept: np.ndarray[Any, Any], vault: Vault, fractions: Fractions
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
    rows = staged.columns(["image_id", "label", "subject", "slide"]).take(pa.array(kept))
    keys = [vault.order_key(image_id) for image_id in rows["image_id"].to_pylist()]
    rank = np.empty(len(kept), np.int64)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(kept))
    labels = np.array([LABEL_IDS[name] for name in rows["label"].to_pylist()], dtype=np.int64)
    groups = related_groups(rows["subject"].to_pylist(), rows["slide"].to_pylist())
    return assign_splits(labels, groups, rank, fractions), rank


def _grouped_by(
    staged: StagedRows, kept: np.ndarray[Any, Any]
) -> Literal["subject", "slide", "duplicate_group"]:
    rows = staged.columns(["subject", "slide"]).take(pa.array(kept))
    if pc.any(pc.is_valid(rows["subject"])).as_py():
        return "subject"
    if pc.any(pc.is_valid(rows["slide"])).as_py():
        return "slide"
    return "duplicate_group"


def _nothing_left(n_in: int, dropped: Counter[str]) -> str:
    why = ", ".join(f"{reason}: {count}" for reason, count in dropped.most_common())
    return f"none of the {n_in} images can be used ({why}); no corpus was written"


def _refuse_inside(quarantine: Path, out: Path) -> None:
    if quarantine.resolve().is_relative_to(out.resolve()):
        raise SmearkitError(
            f"the quarantine {quarantine} lies inside {out}, which is meant to be shared; "
            "choose a directory outside it with --quarantine"
        )
