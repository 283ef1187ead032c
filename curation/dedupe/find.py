"""Everything `curate` asks about duplicates: exact, turned, near; and which cells share a field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..memory import give_back
from ..staged_rows import StagedRows
from .exact import Conflict, Duplicates, find_duplicates
from .keypoints import KEYPOINTS
from .model import CODE_SIZE
from .near import NearPairs, joined_pairs, near_pairs
from .signature import Signatures, read_signatures
from .thumbs import ChosenThumbs, Thumbs

LARGEST_GROUP = 10
"""Different pictures of one cell; a larger group is reported and not merged."""
_DECIDING = ("image_id", "turned_id", "label", "subject", "pixels", "size")
COLUMNS = (*_DECIDING, "keypoints", "codes")
"""Of staged rows: what is looked at."""

Flat = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the first of some rows since an earlier search, the same cells in order.

    `pairs` are numbered by these rows; None: they were not searched for altered copies. `absent`
    (n,) tells whose image was dropped and is there no more.
    """

    absent: NDArray[np.bool_]
    pairs: NearPairs | None

    def __len__(self) -> int:
        return len(self.absent)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of copies; rows are numbered as those that were given.

    `duplicates` tells what becomes of each row; `same_place` are pairs of rows (m, 2) that show one
    place of one smear, copies or neighbours: they belong in one split. `giant` are the sizes of
    groups that were too large to be copies of one cell, and were left as they are.
    """

    duplicates: Duplicates
    same_place: Flat
    near: NearPairs | None
    giant: tuple[int, ...]


def find_copies(
    staged: StagedRows, usable: Flat, thumbs: Thumbs | None, known: Known | None = None
) -> Found:
    """Return what is known of copies among the usable rows, which are in ascending order.

    Rows that are not usable are in no group. Without `thumbs`, the small pictures of all rows,
    altered copies are not searched for. With `known`, only what came later is.
    """
    turned = _turned_groups(staged, usable)
    groups, same_place = turned, np.empty((0, 2), np.int64)
    giant: tuple[int, ...] = ()
    # One of each set of turned copies, earlier rows first: what is equal need not be searched for.
    first = np.unique(turned, return_index=True)[1]
    pairs = _all_pairs(staged, usable, turned, first, thumbs, known)
    give_back()
    if pairs is not None and len(usable):
        ends = np.stack([first[pairs.first], first[pairs.second]], axis=1)
        groups, giant = _merged(groups, ends[pairs.is_copy])
        same_place = usable[ends]
    absent = np.zeros(len(staged), np.bool_)
    if known is not None:
        absent[: len(known)] = known.absent
    return Found(_decided(staged, usable, groups, absent), same_place, pairs, giant)


def _turned_groups(staged: StagedRows, usable: Flat) -> Flat:
    """Return a number per usable row, int64 (n,), in the order met: turned copies share it."""
    ids = staged.columns(["turned_id"], usable)["turned_id"].combine_chunks()
    return np.asarray(pc.dictionary_encode(ids).indices).astype(np.int64)


def _all_pairs(
    staged: StagedRows,
    usable: Flat,
    turned: Flat,
    first: Flat,
    thumbs: Thumbs | None,
    known: Known | None,
) -> NearPairs | None:
    """Return pairs of turned groups, by number: those known, and those that a search finds."""
    before = None
    if known is not None and known.pairs is not None:
        before = _renumbered(known.pairs, usable, turned)
    if thumbs is None or not len(usable):
        return before
    rows = usable[first]
    compared = 0 if known is None or before is None else int((rows < len(known)).sum())
    found = _near(staged, rows, thumbs, compared)
    return found if before is None else joined_pairs(before, found)


def _renumbered(pairs: NearPairs, usable: Flat, turned: Flat) -> NearPairs:
    """Return known pairs by the turned groups of their rows, without those no longer usable."""
    groups = np.full(int(max(pairs.second.max(initial=0), usable.max(initial=0))) + 1, -1, np.int64)
    groups[usable] = turned
    ends = np.sort(np.stack([groups[pairs.first], groups[pairs.second]], axis=1), axis=1)
    return pairs.where(ends[:, 0] >= 0, ends)


def _near(staged: StagedRows, rows: Flat, thumbs: Thumbs, known: int) -> NearPairs:
    ids = staged.columns(["image_id"], rows)["image_id"].combine_chunks()
    # Handed on and not held here: what is not needed any more goes while pairs are looked at.
    return near_pairs(_signatures(staged, rows, thumbs), ids, known=known)


def _signatures(staged: StagedRows, rows: Flat, thumbs: Thumbs) -> Signatures:
    """Return the signatures of some rows, in ascending order; a file's worth is held twice."""
    keypoints = np.empty((len(rows), KEYPOINTS, 3), np.float32)
    codes = np.empty((len(rows), KEYPOINTS, CODE_SIZE), np.float16)
    start = done = 0
    for table in staged.tables(["keypoints", "codes"]):
        stop = start + len(table)
        here = rows[done : np.searchsorted(rows, stop)] - start
        part = read_signatures(table, thumbs)
        keypoints[done : done + len(here)] = part.keypoints[here]
        codes[done : done + len(here)] = part.codes[here]
        start, done = stop, done + len(here)
    return Signatures(keypoints, codes, ChosenThumbs(thumbs, rows))


def _decided(
    staged: StagedRows, usable: Flat, groups: Flat, absent: NDArray[np.bool_]
) -> Duplicates:
    """Decide about groups of two or more; only their rows become Python values."""
    sizes = np.bincount(groups) if len(groups) else np.empty(0, np.int64)
    several = np.flatnonzero(sizes[groups] > 1)
    places = usable[several]
    rows = staged.columns(_DECIDING, places).to_pydict()
    found = find_duplicates(
        rows["image_id"], rows["label"], rows["subject"], turned_ids=rows["turned_id"],
        groups=groups[several], quality=list(zip(rows["pixels"], rows["size"], strict=True)),
        absent=absent[places].tolist(),
    )  # fmt: skip
    reasons = np.full(len(staged), "", dtype=object)
    reasons[places] = found.reasons
    kept = np.full(len(staged), -1, np.int64)
    stays = found.kept_row >= 0
    kept[places[stays]] = places[found.kept_row[stays]]
    conflicts = tuple(
        Conflict(c.image_id, c.kind, c.labels, tuple(int(places[row]) for row in c.rows))
        for c in found.conflicts
    )
    return Duplicates(found.n_groups, reasons, conflicts, kept)


def _merged(turned: Flat, copies: Flat) -> tuple[Flat, tuple[int, ...]]:
    """Return groups joined by pairs of copies, and the sizes of those that were too large."""
    ends = turned[copies]
    count = int(turned.max()) + 1
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, joined = connected_components(graph, directed=False)
    sizes = np.bincount(joined)
    giant = sizes > LARGEST_GROUP
    # Left as they are: each keeps a number of its own.
    joined = np.where(giant[joined], len(sizes) + np.arange(count), joined)
    return joined[turned].astype(np.int64), tuple(sorted(sizes[giant].tolist(), reverse=True))
