"""The stage `curate`: raw images in, a curated corpus out.

Two passes. The first reads every source image once, turns it into what may be released, and keeps
it in staging files of a fixed number of rows (an interrupted run resumes at the next one). The
second decides over all rows (duplicates, conflicts, groups of quasi-identifiers, splits, order) and
writes the shards. Memory is bounded by one staging file plus the plain columns.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from .against import drop_shared, find_against, write_against
from .cells import Attribute
from .codec import common_codec
from .corpus import Corpus, load_corpus
from .corpus_writer import write_manifest
from .curation_report import write_report
from .decide import Decided, decide, split_kept
from .dedupe.index import INDEX_FORMAT, IndexHead, write_index
from .dedupe.model import MODEL_VERSION
from .deidentify.decisions import read_decisions
from .deidentify.k_anonymity import Choice
from .deidentify.label_decisions import label_decisions
from .deidentify.own_labels import own_names, write_own_labels
from .deidentify.policy import Policy, load_policy, with_columns
from .deidentify.record import deidentification
from .deidentify.small_groups import suppress, write_small_groups
from .deidentify.source_policy import (
    SourcePolicy,
    check_source_values,
    released_attributes,
    source_policies,
    vault_identifiers,
)
from .deidentify.text import TextFinder
from .deidentify.treat import Treat
from .deidentify.vault import Vault, default_vault, open_vault, read_vault, record_identifiers
from .earlier import (
    Earlier,
    Origins,
    grown_fate,
    grown_record,
    new_conflicts,
    open_earlier,
    origins,
    policy_id,
)
from .errors import SmearkitError, SourceError, UnknownLabelError
from .manifest import Frozen, Manifest
from .output import partial_path, refuse_existing, whole_directory
from .pixels import Limits
from .private_names import names_are_shown, naming
from .progress import Progress, silent
from .quarantine import QUARANTINED, burned_in_texts, default_quarantine, write_quarantine
from .released_cell import Handling
from .shards import write_shards
from .sources import Columns, Source, open_source
from .split import Fractions
from .stage import CHUNK_ROWS, stage_cells
from .staged_rows import StagedRows
from .validate.checks import chosen_checks
from .versions import library_versions
from .vocabulary import canonical_label, check_label_map, unknown_label_message

SMALL_GROUP = "small_group"
GroupedBy = Literal["subject", "slide", "field", "duplicate_group"]


class CurateConfig(Frozen):
    """Everything that decides what `curate` makes of a source, but the policy."""

    image_column: str | None = None
    label_column: str | None = None
    subject_column: str | None = None
    slide_column: str | None = None
    site_column: str | None = None
    drop_columns: tuple[str, ...] = Field(default=(), description="beside those of the policy")
    label_map: dict[str, str] = Field(default_factory=dict, description="own name -> label")
    drop_unknown_labels: bool = False
    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    min_side_px: int = 16
    max_pixels: int = 50_000_000
    reencode: bool = Field(default=False, description="encode JPEG anew too")
    text: Literal["quarantine", "redact", "off"] = Field(
        default="quarantine", description="what becomes of images with burned-in text"
    )
    near_duplicates: bool = Field(default=True, description="search for altered copies, too")
    drop_flagged: tuple[str, ...] = Field(
        default=(), description="checks whose flagged cells are dropped"
    )
    small_groups: Choice = Field(
        default="report", description="what becomes of cells that too few subjects are like"
    )
    drop_overlap: bool = Field(
        default=False, description="drop what the corpora given as `against` show, too"
    )
    source_name: str | None = Field(default=None, description="what a card calls the source")
    license: str | None = Field(default=None, description="a Hub licence id, e.g. cc-by-4.0")

    @field_validator("drop_flagged")
    @classmethod
    def _checks_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return chosen_checks(",".join(names)) if names else ()
        except SmearkitError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        self.fractions()
        return self

    def columns(self) -> Columns:
        """Return the choices of the columns that make a cell."""
        return Columns(self.image_column, self.label_column)

    def roles(self) -> dict[str, str]:
        """Return "subject", "slide", "site" -> the column that was named for it."""
        named = {
            "subject": self.subject_column, "slide": self.slide_column, "site": self.site_column
        }  # fmt: skip
        return {role: column for role, column in named.items() if column is not None}

    def fractions(self) -> Fractions:
        """Return the split shares."""
        return Fractions(self.train, self.validation, self.test)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a run writes."""

    out: Path
    vault: Path
    quarantine: Path
    add_to: Path | None
    against: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Crew:
    """Who makes the staging files: the engine, and how many workers of it (None: one a core)."""

    engine: str
    workers: int | None


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of `curate` works with."""

    config: CurateConfig
    policy: Policy
    sources: Sequence[SourcePolicy]
    attributes: tuple[Attribute, ...]
    vault: Vault
    quarantine: Path
    progress: Progress
    policy_id: str
    """Of the policy as it was given, before columns were named."""
    label_decisions: Mapping[str, str | None]
    earlier: Earlier | None
    against: tuple[Corpus, ...]
    engine: str

    @property
    def opened(self) -> list[Source]:
        return [entry.source for entry in self.sources]


def curate(
    sources: Sequence[str | Path | Source],
    out: Path,
    config: CurateConfig | None = None,
    *,
    policy: Policy | None = None,
    vault: Path | None = None,
    quarantine: Path | None = None,
    add_to: Path | None = None,
    against: Sequence[Path] = (),
    verbose_private: bool = False,
    engine: str = "local",
    workers: int | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Curate raw images into a corpus at `out`; vault and quarantine go beside it.

    A source is a location, or one that was opened already (`open_boxes`). `verbose_private` shows
    the names of source files in errors, which else are named by position and a salted short id.
    `engine` is one of `curation.engine.ENGINES` or `ray://HOST:PORT`; it decides who works, and
    makes no difference to what comes out. `add_to` is a corpus whose cells come first, as they are
    and in their splits; its vault is taken, which holds its hash index. `against` are corpora whose
    cells are looked for in what is made.

    Raises: SourceError, UnknownLabelError, PolicyError, OutputExistsError, VaultError, EngineError,
    CorpusError, HashIndexError, SmearkitError.
    """
    config = config or CurateConfig()
    vault_path = vault or default_vault(add_to or out)
    quarantine_path = quarantine or default_quarantine(out)
    refuse_existing(out)
    refuse_existing(quarantine_path)
    _refuse_inside(quarantine_path, out)
    check_label_map(config.label_map)
    if not sources:
        raise SourceError("no source was given")
    if config.drop_overlap and not against:
        raise SmearkitError(
            "drop_overlap needs corpora to compare with. Next: name one (--against)"
        )
    places = _Places(out, vault_path, quarantine_path, add_to, tuple(against))
    with naming(show=verbose_private):
        opened = [
            open_source(str(source), config.columns()) if isinstance(source, str | Path) else source
            for source in sources
        ]
        crew = _Crew(engine, workers)
        return _curate(opened, places, config, policy or load_policy(), crew, progress)


def _curate(
    opened: Sequence[Source],
    places: _Places,
    config: CurateConfig,
    policy: Policy,
    crew: _Crew,
    progress: Progress,
) -> Corpus:
    given, policy = policy, with_columns(policy, config.roles(), config.drop_columns)
    treated = source_policies(policy, opened, config.roles())
    labels = resolve_labels(opened, config)
    check_source_values(treated)
    if places.add_to is not None:
        read_vault(places.vault)  # a new one would know nothing of the corpus
    keys = open_vault(places.vault, outside=places.out)
    decisions = read_decisions(keys.path)
    relabelled = label_decisions(keys.path)
    # In its place only once the corpus is: a run that is taken up again finds the place free.
    unfinished = partial_path(places.quarantine)
    made = released_attributes(treated)
    earlier = None
    if places.add_to is not None:
        earlier = open_earlier(places.add_to, keys, given, made, config.text)
    run = _Run(
        config, policy, treated, made, keys, unfinished, progress, policy_id(keys, given),
        relabelled, earlier, tuple(load_corpus(path) for path in places.against), crew.engine,
    )  # fmt: skip
    job = {
        "stage": "curate",
        "config": config.model_dump(mode="json"),
        "policy": policy.model_dump(mode="json"),
        "sources": [source.identity() for source in opened],
        "decisions": [decision.model_dump(mode="json") for decision in decisions.values()],
        "label_decisions": relabelled,
        "added_to": None if earlier is None else earlier.index.head.model_dump(mode="json"),
        "against": [other.fingerprint for other in run.against],
        # Another key makes other pseudonyms: rows staged under it must not be taken up.
        "key": keys.pseudonym("job", "key"),
        # Another decoder may make other pixels, and another chunk size other chunks.
        "versions": library_versions(),
        "chunk_rows": CHUNK_ROWS,
    }
    handling = Handling(
        labels, Limits(config.min_side_px, config.max_pixels), keys, config.reencode,
        redact=config.text == "redact", finder=None if config.text == "off" else TextFinder(),
        decisions=decisions, label_decisions=relabelled,
    )  # fmt: skip
    with whole_directory(places.out, job) as partial:
        treats = [Treat(entry.treatments, keys) for entry in treated]
        staged = stage_cells(
            opened, treats, run.attributes, handling, partial / "staging", progress,
            engine=crew.engine, workers=crew.workers,
        )  # fmt: skip
        found = (*vault_identifiers(treated, keys), *own_names(labels), *burned_in_texts(staged))
        record_identifiers(keys, found)
        write_own_labels(keys, labels)
        _write_corpus(partial, run, staged)
    if unfinished.is_dir():
        unfinished.rename(places.quarantine)
    return load_corpus(places.out)


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
        raise UnknownLabelError(unknown_label_message(unknown, show_all=names_are_shown()))
    return table


def _write_corpus(partial: Path, run: _Run, new: StagedRows) -> None:
    config, staged, bound = run.config, new, None
    if run.earlier is not None:
        staged = run.earlier.with_new(new, partial / "earlier", run.label_decisions)
        bound = run.earlier.bound
    decided = decide(
        staged, partial / "staging", near=config.near_duplicates,
        drop_flagged=config.drop_flagged, bound=bound,
    )  # fmt: skip
    against = find_against(
        run.against, staged, decided, partial / "against", run.engine, run.progress
    )
    if config.drop_overlap:
        drop_shared(decided, against)
    reasons, duplicates, kept = decided.reasons, decided.copies.duplicates, decided.kept
    suppression = suppress(staged, kept, run.attributes, run.policy, config.small_groups)
    reasons[kept[suppression.dropped]] = SMALL_GROUP
    kept = np.flatnonzero(reasons == "")
    dropped = Counter(reason for reason in reasons.tolist() if reason)
    if len(kept) == 0:
        raise SourceError(_nothing_left(len(staged), dropped))
    divided = split_kept(staged, decided, run.vault, config.fractions(), bound)
    origin = origins(run.earlier, len(new), config.source_name, config.license)
    shards = write_shards(
        partial, staged, kept, divided.split, divided.order, attributes=run.attributes,
        emptied={**suppression.values, **(origin if run.earlier else {})},
        source=config.source_name, license_id=config.license, progress=run.progress,
    )  # fmt: skip
    report = write_report(partial / "reports", run.sources, staged, decided, divided.report)
    write_against(
        partial / "reports", against, staged, decided, divided.split, dropped=config.drop_overlap
    )
    before = len(staged) - len(new)
    write_quarantine(
        run.quarantine, run.opened, new, reasons[before:], new_conflicts(duplicates, before),
        run.vault,
    )  # fmt: skip
    write_small_groups(run.vault, suppression.groups)
    manifest = write_manifest(
        partial,
        kind="real",
        shards=shards,
        n_in=len(staged),
        dropped=dropped,
        grouped_by=_grouped_by(staged, kept),
        attributes=run.attributes,
        deidentification=grown_record(
            deidentification(
                run.policy, run.sources, run.vault, staged, kept, suppression, config.text,
                config.small_groups,
            ),
            run.earlier,
        ),
        duplicate_groups=duplicates.n_groups,
        conflicts=len(duplicates.conflicts),
        quarantined=sum(dropped[reason] for reason in QUARANTINED),
        codec=common_codec(partial, shards),
        parents={"added_to": run.earlier.corpus.fingerprint} if run.earlier else {},
        config={**config.model_dump(mode="json"), "label_map": report.labels},
    )  # fmt: skip
    _write_index(run, manifest, staged, decided, kept, divided.split, origin)
    new.close()
    for name in ("earlier", "against"):
        shutil.rmtree(partial / name, ignore_errors=True)
    # Last: what is interrupted before this need not read the source again.
    shutil.rmtree(partial / "staging")


def _write_index(
    run: _Run,
    manifest: Manifest,
    staged: StagedRows,
    decided: Decided,
    kept: NDArray[np.int64],
    split: NDArray[np.int64],
    origin: Origins,
) -> None:
    """Keep in the vault what the run knew of every row, for the next that adds to the corpus."""
    near = decided.copies.near
    head = IndexHead(
        format_version=INDEX_FORMAT, model_version=MODEL_VERSION,
        fingerprint=manifest.fingerprint, key_id=run.vault.key_id, policy_id=run.policy_id,
        rows=len(staged), searched_for_altered=run.config.near_duplicates,
    )  # fmt: skip
    fate = grown_fate(run.earlier, decided.reasons, kept, split, origin)
    pairs = None
    if near is not None:
        pairs = near.where(np.ones(len(near), np.bool_), decided.copies.same_place)
    write_index(run.vault.path, head, staged, fate, pairs)


def _grouped_by(staged: StagedRows, kept: np.ndarray[Any, Any]) -> GroupedBy:
    rows = staged.columns(["subject", "slide", "field"], kept)
    kinds: tuple[GroupedBy, ...] = ("subject", "slide", "field")
    known = (kind for kind in kinds if pc.any(pc.is_valid(rows[kind])).as_py())
    return next(known, "duplicate_group")


def _nothing_left(n_in: int, dropped: Counter[str]) -> str:
    why = ", ".join(f"{reason}: {count}" for reason, count in dropped.most_common())
    return f"none of the {n_in} images can be used ({why}); no corpus was written"


def _refuse_inside(quarantine: Path, out: Path) -> None:
    if quarantine.resolve().is_relative_to(out.resolve()):
        raise SmearkitError(
            f"the quarantine {quarantine} lies inside {out}, which is meant to be shared; "
            "choose a directory outside it with --quarantine"
        )
