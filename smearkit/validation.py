"""The stage `validate`: doubtful labels of a corpus, and classes that an acquisition gives away.

Writes a private folder that `smearkit review` reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from curation.chunks import chunks
from curation.corpus import Corpus, load_corpus
from curation.deidentify.label_decisions import read_label_decisions
from curation.deidentify.vault import default_vault
from curation.errors import CorpusError, SmearkitError
from curation.frozen import Frozen
from curation.glance import Glances
from curation.manifest import parse_model
from curation.output import refuse_existing, whole_directory, write_whole
from curation.pixels import decode_rgb, encode_png
from curation.progress import Progress, silent
from curation.tiles import Tile, shrink
from curation.validate.acquisition import Acquisitions, find_acquisitions
from curation.validate.acquisition_report import AcquisitionReport, confounding
from curation.validate.appearance import APPEARANCE_COLUMNS, appearance_columns
from curation.validate.features import cell_features
from curation.validate.label_audit import LabelAudit, LabelAuditReport, audit_labels, audit_report
from curation.validate.label_queue import (
    EXAMPLES,
    LABEL_QUEUE_NAME,
    N_EXAMPLES,
    PICTURES,
    DoubtfulLabel,
    Guess,
)

REPORT_NAME, PAGE_NAME = "report.json", "report.html"
_CHUNK_ROWS = 1024
_SHEET_CELLS = 24
_GUESSES = 3
_TYPICAL = 0.5
_MARGIN_PX = 14

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Embed = Callable[[NDArray[np.uint8]], Floats]
"""Tiles (n, 96, 96, 3) RGB uint8 -> (n, k) float32, to audit by instead of the cheap features."""


class ValidateConfig(Frozen):
    """How a corpus is validated."""

    most_pictures: int = Field(default=1000, ge=1, description="longest queue for a person")
    seed: int = 0


class ValidationReport(Frozen):
    """`report.json` of a validation: private, for it says where corpus and vault lie."""

    corpus: str
    vault: str
    fingerprint: str
    n: int
    labels: LabelAuditReport | None
    not_audited: str | None = Field(default=None, description="why labels were not audited")
    queued: int
    settled: int = Field(description="doubtful, but a person has kept the label before")
    acquisitions: AcquisitionReport


def read_validation(folder: Path) -> ValidationReport:
    """Read the report of a validation.

    Raises: SmearkitError where there is none, or it does not fit.
    """
    path = folder / REPORT_NAME
    if not path.is_file():
        raise SmearkitError(
            f"{folder} has no {REPORT_NAME}, so it is no complete validation. "
            "Next: run `smearkit validate` again"
        )
    return parse_model(ValidationReport, path)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the page shows: tiles by row of the corpus, and which rows stand where."""

    tiles: dict[int, Tile]
    doubtful: tuple[tuple[int, DoubtfulLabel], ...]
    sheets: tuple[tuple[int, ...], ...]
    examples: dict[str, tuple[int, ...]]


def validate(
    corpus: Path,
    out: Path,
    config: ValidateConfig | None = None,
    *,
    vault: Path | None = None,
    embedding: Embed | None = None,
    progress: Progress = silent,
) -> ValidationReport:
    """Audit labels and acquisitions of a corpus into the private folder `out`.

    Raises: CorpusError, OutputExistsError, VaultError; SmearkitError where `out` lies inside the
    corpus.
    """
    config = config or ValidateConfig()
    found = load_corpus(corpus)
    refuse_existing(out)
    if out.resolve().is_relative_to(corpus.resolve()):
        raise SmearkitError(
            f"{out} lies inside {corpus}, which is meant to be shared; choose another --out"
        )
    place = vault or default_vault(corpus)
    if not found.manifest.n_out:
        raise CorpusError(f"{corpus} holds no cells, so there is nothing to validate")
    job = {"stage": "validate", "corpus": found.fingerprint, "config": config.model_dump()}
    with whole_directory(out, job) as partial:
        partial.chmod(0o700)
        measured = _measure(found, partial / "features.npy", embedding, progress)
        report = _write(found, partial, measured, config, place, embedding is not None, progress)
        (partial / "features.npy").unlink()
    return report


@dataclass(frozen=True, slots=True)
class _Measured:
    """A corpus in its order, row by row: features (n, k) float16, appearance (n, 14) float32."""

    labels: list[str]
    groups: list[str | None] | None
    image_ids: list[str]
    splits: list[str]
    features: Floats
    appearance: Floats


def _measure(corpus: Corpus, file: Path, embedding: Embed | None, progress: Progress) -> _Measured:
    n = corpus.manifest.n_out
    features: NDArray[np.float16] | None = None
    appearance = np.empty((n, len(APPEARANCE_COLUMNS)), np.float32)
    done = 0
    for chunk in chunks(corpus.images(), _CHUNK_ROWS):
        progress("measure", done, n)
        glances = _side_by_side(chunk)
        rows = (embedding or cell_features)(glances.tiles_NHWC)
        if features is None:
            # On the disk, and half as long: of a million cells they are too many for memory.
            shape = (n, rows.shape[1])
            features = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
        limit = np.finfo(np.float16).max
        features[done : done + len(chunk)] = np.clip(rows, -limit, limit)
        appearance[done : done + len(chunk)] = appearance_columns(glances)
        done += len(chunk)
    progress("measure", done, n)
    if features is None or done != n:
        raise CorpusError(f"{corpus.path} holds {done} images, the manifest says {n}")
    rows_table = corpus.rows(["subject", "slide", "image_id"])
    pairs = zip(rows_table["subject"].to_pylist(), rows_table["slide"].to_pylist(), strict=True)
    groups = [subject or slide for subject, slide in pairs]
    splits = [s for s, count in corpus.manifest.splits.items() for _ in range(count)]
    return _Measured(
        corpus.labels(), groups if any(groups) else None, rows_table["image_id"].to_pylist(),
        splits, features, appearance,
    )  # fmt: skip


def _side_by_side(chunk: Sequence[bytes]) -> Glances:
    tiles, sizes, codecs = [], [], []
    for data in chunk:
        pixels = decode_rgb(data)
        tiles.append(shrink(pixels))
        sizes.append((pixels.shape[1], pixels.shape[0]))
        codecs.append("jpeg" if data[:2] == b"\xff\xd8" else "png")
    return Glances(np.stack(tiles), np.array(sizes, np.int32), tuple(codecs))


def _write(
    corpus: Corpus,
    folder: Path,
    measured: _Measured,
    config: ValidateConfig,
    vault: Path,
    embedded: bool,
    progress: Progress,
) -> ValidationReport:
    from .validation_page import validation_page

    progress("audit", 0, 2)
    ways = find_acquisitions(measured.appearance, seed=config.seed)
    bound = confounding(
        measured.appearance, measured.labels, ways, measured.groups, seed=config.seed
    )
    progress("audit", 1, 2)
    audit, problem = _audit(measured, config.seed)
    progress("audit", 2, 2)
    rows, settled = _queue_rows(audit, measured, vault, config.most_pictures)
    pictures = _pictures(corpus, folder, measured, audit, ways, rows, config.seed)
    report = ValidationReport(
        corpus=str(corpus.path.resolve()), vault=str(vault.resolve()),
        fingerprint=corpus.fingerprint, n=len(measured.labels),
        labels=audit_report(audit, "an embedding" if embedded else "cheap image features")
        if audit else None,
        not_audited=problem, queued=len(rows), settled=settled, acquisitions=bound,
    )  # fmt: skip
    lines = "".join(entry.model_dump_json() + "\n" for _, entry in pictures.doubtful)
    write_whole(folder / LABEL_QUEUE_NAME, lines.encode())
    text = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_whole(folder / REPORT_NAME, text.encode() + b"\n")
    write_whole(folder / PAGE_NAME, validation_page(report, pictures).encode())
    return report


def _audit(measured: _Measured, seed: int) -> tuple[LabelAudit | None, str | None]:
    if len(set(measured.labels)) < 2:
        return None, "all cells have one label, and labels are audited by comparing classes"
    try:
        return (
            audit_labels(measured.features, measured.labels, measured.groups, seed=seed),
            None,
        )
    except SmearkitError as error:
        return None, str(error)


def _queue_rows(
    audit: LabelAudit | None, measured: _Measured, vault: Path, most: int
) -> tuple[list[int], int]:
    """Return the rows that wait for a person, the worst first, and how many were settled before."""
    if audit is None:
        return [], 0
    decided = read_label_decisions(vault) if vault.is_dir() else {}

    def is_settled(row: int) -> bool:
        decision = decided.get(measured.image_ids[row])
        return decision is not None and decision.label == measured.labels[row]

    waiting = [row for row in audit.order.tolist() if not is_settled(row)]
    return waiting[:most], len(audit.order) - len(waiting)


def _pictures(
    corpus: Corpus,
    folder: Path,
    measured: _Measured,
    audit: LabelAudit | None,
    ways: Acquisitions,
    rows: Sequence[int],
    seed: int,
) -> Pictures:
    """Read the images that are shown once more; write those of the queue and the examples."""
    sheets = tuple(
        tuple(_some(np.flatnonzero(ways.cluster == way), _SHEET_CELLS, seed))
        for way in range(ways.n_clusters)
    )
    examples = _examples(audit, seed) if audit else {}
    shown = {*rows, *(row for sheet in (*sheets, *examples.values()) for row in sheet)}
    (folder / PICTURES).mkdir(mode=0o700, exist_ok=True)
    (folder / EXAMPLES).mkdir(mode=0o700, exist_ok=True)
    queued, tiles, doubtful = set(rows), {}, {}
    for row, data in enumerate(corpus.images()):
        if row not in shown:
            continue
        tiles[row] = shrink(decode_rgb(data))
        if row in queued and audit is not None:
            suffix = "jpg" if data[:2] == b"\xff\xd8" else "png"
            doubtful[row] = _entry(row, audit, measured, ways, suffix)
            write_private(folder / PICTURES / doubtful[row].picture, data)
    for label, chosen in examples.items():
        for number, row in enumerate(chosen):
            write_private(
                folder / EXAMPLES / f"{label}-{number}.png", encode_png(_middle(tiles[row]))
            )
    return Pictures(tiles, tuple((row, doubtful[row]) for row in rows), sheets, examples)


def _middle(tile: Tile) -> Tile:
    # Shown small, beside each other: without most of what surrounds the cell.
    return np.ascontiguousarray(tile[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX])


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _entry(
    row: int, audit: LabelAudit, measured: _Measured, ways: Acquisitions, suffix: str
) -> DoubtfulLabel:
    shares = np.nan_to_num(audit.probabilities[row])
    given = int(audit.given[row])
    others = [place for place in np.argsort(-shares, kind="stable").tolist() if place != given]
    return DoubtfulLabel(
        image_id=measured.image_ids[row],
        given=_guess(audit, given, shares),
        guesses=tuple(_guess(audit, place, shares) for place in others[:_GUESSES]),
        quality=round(float(audit.quality[row]), 6),
        split=measured.splits[row],
        acquisition=int(ways.cluster[row]),
        picture=f"{measured.image_ids[row]}.{suffix}",
    )


def _guess(audit: LabelAudit, place: int, shares: Floats) -> Guess:
    return Guess(label=audit.classes[place], share=round(float(np.clip(shares[place], 0, 1)), 4))


def _examples(audit: LabelAudit, seed: int) -> dict[str, tuple[int, ...]]:
    """Return label -> rows of typical cells: of those the model agrees with, the surer half."""
    found = {}
    agrees = np.nan_to_num(audit.probabilities).argmax(1) == audit.given
    for which, label in enumerate(audit.classes):
        own = np.flatnonzero((audit.given == which) & audit.judged & agrees & ~audit.suspicious)
        surest = own[np.argsort(-audit.quality[own], kind="stable")]
        typical = surest[: max(N_EXAMPLES, round(_TYPICAL * len(surest)))]
        found[label] = tuple(_some(typical, N_EXAMPLES, seed))
    return found


def _some(rows: Ints, count: int, seed: int) -> list[int]:
    order = np.random.default_rng(seed).permutation(rows)
    return [int(row) for row in order[:count]]
