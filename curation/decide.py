"""The second pass of `curate` decides over all rows: copies, checks, splits and their order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .dedupe.find import COLUMNS, Found, find_copies
from .dedupe.thumbs import write_thumbs
from .deidentify.vault import Vault
from .measures import as_rows
from .split import Assignment, Fractions, split_cells
from .split_report import SplitReport, split_report
from .staged_rows import StagedRows
from .validate.acquisition import Acquisitions, find_acquisitions
from .validate.checks import Checked, Measures, calibrate, flag_reasons
from .vocabulary import LABEL_IDS, LABELS

Flat = NDArray[np.int64]
Reasons = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the pictures themselves say; all arrays are over `usable`, rows of the staged."""

    usable: Flat
    acquisitions: Acquisitions
    checked: Checked


@dataclass(frozen=True, slots=True)
class Decided:
    """Why each staged row is dropped ("" = kept), and what that rests on."""

    reasons: Reasons
    copies: Found
    judged: Judged

    @property
    def kept(self) -> Flat:
        """The rows that stay, in the order of the source."""
        return np.flatnonzero(self.reasons == "")


def decide(staged: StagedRows, folder: Path, *, near: bool, drop_flagged: Sequence[str]) -> Decided:
    """Return what becomes of each staged row, as far as pictures, labels and subjects decide.

    `folder` is one for files that nobody needs afterwards.
    """
    reasons = np.array(staged.columns(["reason"])["reason"].to_pylist(), dtype=object)
    usable = np.flatnonzero(reasons == "")
    judged = _judged(staged, usable)
    copies = _copies(staged, usable, folder if near else None)
    reasons[usable] = copies.duplicates.reasons[usable]
    if drop_flagged:
        flagged = flag_reasons(judged.checked.flags, drop_flagged, len(usable))
        still = reasons[usable] == ""
        reasons[usable[still]] = flagged[still]
    return Decided(reasons, copies, judged)


def _copies(staged: StagedRows, usable: Flat, folder: Path | None) -> Found:
    columns = staged.columns(COLUMNS)
    if folder is None:
        return find_copies(columns, usable, None)
    thumbs = write_thumbs(folder / "thumbs.u8", staged.parts("thumbs"))
    with closing(thumbs):
        return find_copies(columns, usable, thumbs)


def _judged(staged: StagedRows, usable: Flat) -> Judged:
    names = [f"raw_{name}" for name in Measures._fields]
    rows = staged.columns([*names, "appearance", "label"]).take(pa.array(usable))
    acquisitions = find_acquisitions(as_rows(rows["appearance"]).astype(np.float32))
    raw = {name: as_rows(rows[f"raw_{name}"]) for name in Measures._fields}
    return Judged(usable, acquisitions, calibrate(raw, acquisitions.cluster, label_ids(rows)))


def label_ids(rows: pa.Table) -> Flat:
    """Return the labels of rows by their number in the vocabulary, int64 (n,)."""
    coded = pc.dictionary_encode(rows["label"].combine_chunks())
    ids = np.array([LABEL_IDS[name] for name in coded.dictionary.to_pylist()], dtype=np.int64)
    found: Flat = ids[np.asarray(coded.indices)] if len(ids) else np.empty(0, np.int64)
    return found


@dataclass(frozen=True, slots=True)
class Splits:
    """Split and keyed rank of each kept row, and what the report says of it."""

    split: Flat
    order: Flat
    report: SplitReport


def split_kept(staged: StagedRows, decided: Decided, vault: Vault, fractions: Fractions) -> Splits:
    """Divide the kept rows; what shares a subject, a slide, a field or a place stays together.

    Copies that were dropped still tie what they were: a cell may have been on two slides.
    """
    usable, kept = decided.judged.usable, decided.kept
    rows = staged.columns(["image_id", "label", "subject", "slide", "field"]).take(pa.array(usable))
    order = _keyed_order(rows["image_id"].to_pylist(), vault)
    stays = decided.reasons[usable] == ""
    labels = np.where(stays, label_ids(rows), -1)
    keys = {name: rows[name] for name in ("subject", "slide", "field")}
    edges = _edges(decided, usable, len(staged))
    found: Assignment = split_cells(labels, keys, order, fractions, edges=edges)
    report = split_report(found, labels, LABELS, keys, fractions, edges=edges)
    place = np.searchsorted(usable, kept)
    return Splits(found.split[place], _rank(order[place]), report)


def _edges(decided: Decided, usable: Flat, count: int) -> Flat:
    kept_for = decided.copies.duplicates.kept_row
    gone = np.flatnonzero(kept_for >= 0)
    pairs = np.concatenate([
        decided.copies.same_place, np.stack([gone, kept_for[gone]], axis=1)
    ])  # fmt: skip
    position = np.full(count, -1, np.int64)
    position[usable] = np.arange(len(usable))
    edges: Flat = position[pairs]
    return edges


def _keyed_order(image_ids: Sequence[str], vault: Vault) -> Flat:
    return _rank(np.array([vault.order_key(image_id) for image_id in image_ids], dtype=object))


def _rank(values: NDArray[Any]) -> Flat:
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return rank
