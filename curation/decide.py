"""The second pass of `curate` decides over all rows: copies, checks, splits and their order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .dedupe.find import Found, Known, find_copies
from .dedupe.thumbs import write_thumbs
from .deidentify.vault import Vault
from .measures import as_rows
from .memory import give_back
from .split import LINKS_SPLITS, Assignment, Fractions, split_cells
from .split_groups import key_codes, related_groups
from .split_links import check_one_split, cut_links
from .split_report import SplitReport, split_report
from .staged_rows import StagedRows
from .validate.acquisition import Acquisitions, find_acquisitions
from .validate.checks import Checked, Measures, calibrate, flag_reasons
from .vocabulary import LABEL_IDS, LABELS

Flat = NDArray[np.int64]
Reasons = NDArray[np.object_]
_TYING = ("subject", "slide", "field")
"""Columns whose value keeps cells in one split."""
_SORT_KEY = np.dtype(("S", 16))
"""Of 16 bytes each: shorter ones would be padded, and none is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the pictures themselves say; all arrays are over `usable`, rows of the staged.

    `checked` has no scores: nothing rests on them here.
    """

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


@dataclass(frozen=True, slots=True)
class Bound:
    """What an earlier version binds of its rows, the first of the staged ones; all (n,).

    `reasons` are why it dropped them, "" where they are in it; `split` is where they lie, -1: in
    none.
    """

    known: Known
    reasons: Reasons
    split: Flat


def decide(
    staged: StagedRows,
    folder: Path,
    *,
    near: bool,
    drop_flagged: Sequence[str],
    bound: Bound | None = None,
) -> Decided:
    """Return what becomes of each staged row, as far as pictures, labels and subjects decide.

    `folder` is one for files that nobody needs afterwards.

    Raises: SplitConflictError where the earlier version itself divides what belongs together.
    """
    reasons = np.array(staged.columns(["reason"])["reason"].to_pylist(), dtype=object)
    usable = np.flatnonzero(reasons == "")
    judged = _judged(staged, usable)
    give_back()
    copies = _copies(staged, usable, folder if near else None, bound.known if bound else None)
    reasons[usable] = copies.duplicates.reasons[usable]
    if drop_flagged:
        flagged = flag_reasons(judged.checked.flags, drop_flagged, len(usable))
        # What was released is not judged again: the measure moves with what is added.
        still = (reasons[usable] == "") & (usable >= (len(bound.reasons) if bound else 0))
        reasons[usable[still]] = flagged[still]
    decided = Decided(reasons, copies, judged)
    if bound is not None:
        # Its image is not there any more: what dropped it holds.
        before = reasons[: len(bound.reasons)]
        before[:] = np.where(before == "", bound.reasons, before)
        ties = _ties(staged, decided, bound)
        reasons[ties[reasons[ties] == ""]] = LINKS_SPLITS
    return decided


def _copies(staged: StagedRows, usable: Flat, folder: Path | None, known: Known | None) -> Found:
    if folder is None:
        return find_copies(staged, usable, None, known)
    thumbs = write_thumbs(folder / "thumbs.u8", staged.parts("thumbs"))
    with closing(thumbs):
        return find_copies(staged, usable, thumbs, known)


def _ties(staged: StagedRows, decided: Decided, bound: Bound) -> Flat:
    """Return the rows that tie two splits of the earlier version together."""
    usable = decided.judged.usable
    fixed = _fixed(bound, usable)
    columns = staged.columns(_TYING, usable)
    keys = {name: columns[name] for name in _TYING}
    edges = _edges(decided, usable, len(staged), fixed)
    codes = {name: key_codes(key) for name, key in keys.items()}
    check_one_split(codes, fixed, edges=edges)
    groups = related_groups(*codes.values(), edges=edges)
    ties: Flat = usable[cut_links(groups, codes, fixed, edges=edges).links]
    return ties


def _fixed(bound: Bound | None, usable: Flat) -> Flat:
    """Return the split of usable rows that is fixed, -1: none is."""
    fixed = np.full(len(usable), -1, np.int64)
    if bound is not None:
        old = usable < len(bound.split)
        fixed[old] = bound.split[usable[old]]
    return fixed


def _judged(staged: StagedRows, usable: Flat) -> Judged:
    acquisitions = find_acquisitions(as_rows(staged.columns(["appearance"], usable)["appearance"]))
    names = [f"raw_{name}" for name in Measures._fields]
    rows = staged.columns([*names, "label"], usable)
    raw = {name: as_rows(rows[f"raw_{name}"]) for name in Measures._fields}
    labels = label_ids(rows)
    del rows
    checked = calibrate(raw, acquisitions.cluster, labels)
    # Flags and report say what becomes of a cell; the scores of a million are 48 MB.
    return Judged(usable, acquisitions, replace(checked, scores={}))


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


def split_kept(
    staged: StagedRows,
    decided: Decided,
    vault: Vault,
    fractions: Fractions,
    bound: Bound | None = None,
) -> Splits:
    """Divide the kept rows; what shares a subject, a slide, a field or a place stays together.

    Copies that were dropped still tie what they were: a cell may have been on two slides.
    """
    usable, kept = decided.judged.usable, decided.kept
    order = _keyed_order(staged.columns(["image_id"], usable)["image_id"], vault)
    rows = staged.columns(["label", *_TYING], usable)
    stays = decided.reasons[usable] == ""
    labels = np.where(stays, label_ids(rows), -1)
    keys = {name: rows[name] for name in _TYING}
    fixed = _fixed(bound, usable)
    edges = _edges(decided, usable, len(staged), fixed)
    found: Assignment = split_cells(
        labels, keys, order, fractions, edges=edges, fixed=fixed if bound else None
    )
    report = split_report(
        found, labels, LABELS, keys, fractions, edges=edges,
        fixed=np.where(stays, fixed, -1) if bound else None,
    ).model_copy(update={"links_splits": int((decided.reasons == LINKS_SPLITS).sum())})  # fmt: skip
    place = np.searchsorted(usable, kept)
    return Splits(found.split[place], _rank(order[place]), report)


def _edges(decided: Decided, usable: Flat, count: int, fixed: Flat) -> Flat:
    kept_for = decided.copies.duplicates.kept_row
    gone = np.flatnonzero(kept_for >= 0)
    pairs = np.concatenate([
        decided.copies.same_place, np.stack([gone, kept_for[gone]], axis=1)
    ])  # fmt: skip
    position = np.full(count, -1, np.int64)
    position[usable] = np.arange(len(usable))
    edges: Flat = position[pairs]
    # A new row may show that two splits held one cell. One of its pictures is gone now; the rest
    # of both splits stays where it is.
    ends = fixed[edges]
    gone_end = (decided.reasons[pairs] != "").any(axis=1)
    settled = (ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1]) & gone_end
    left: Flat = edges[~settled]
    return left


def _keyed_order(image_ids: pa.ChunkedArray, vault: Vault) -> Flat:
    """Return the rank of each id by its keyed sort key; a chunk at a time is made of objects."""
    keys = (
        np.frombuffer(b"".join(vault.order_key(one) for one in chunk.to_pylist()), _SORT_KEY)
        for chunk in image_ids.chunks
    )
    return _rank(np.concatenate([np.empty(0, _SORT_KEY), *keys]))


def _rank(values: NDArray[Any]) -> Flat:
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return rank
