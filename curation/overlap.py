"""Cells of another corpus that a corpus also shows: exact, turned, or altered copies.

A test cell of another set that lies in this corpus' training split is contamination: whoever trains
on one and tests on the other measures memory.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .corpus import Corpus
from .dedupe.near import near_pairs
from .dedupe.signature import Signatures, read_signatures
from .dedupe.thumbs import THUMB_PX, Pictures, Thumbs, write_thumbs
from .progress import Progress
from .signed_corpus import sign_corpus
from .staged_rows import StagedRows

ALIKE = ("exact", "turned", "near")
SIDE_COLUMNS = ("image_id", "turned_id", "keypoints", "codes")

Flat = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Side:
    """Some cells of one side: their rows in `table`, which has the columns `SIDE_COLUMNS`."""

    table: pa.Table
    thumbs: Thumbs
    rows: Flat

    def column(self, name: str) -> pa.Array:
        """Return a column of the chosen rows."""
        taken = self.table[name].take(pa.array(self.rows))
        return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of rows of both sides that show one cell, (m,) each.

    `alike` is an index into `ALIKE`; `correlation` is 1 where pixels are equal. `same_field` counts
    pairs that show two cells of one field, which are no pairs here.
    """

    ours: Flat
    theirs: Flat
    alike: Flat
    correlation: NDArray[np.float32]
    same_field: int

    def __len__(self) -> int:
        return len(self.ours)

    def where(self, chosen: NDArray[np.bool_] | Flat) -> Shared:
        """Return some of the pairs."""
        return Shared(
            self.ours[chosen], self.theirs[chosen], self.alike[chosen], self.correlation[chosen],
            self.same_field,
        )  # fmt: skip

    def stood_for(self, kept: Flat) -> Shared:
        """Return the pairs by the row that stays for each of ours (-1: none), the closest once."""
        ours = kept[self.ours]
        order = np.lexsort((-self.correlation, self.alike, self.theirs, ours))
        whole = Shared(ours, self.theirs, self.alike, self.correlation, self.same_field)
        moved = whole.where(order[ours[order] >= 0])
        pairs = np.stack([moved.ours, moved.theirs], axis=1)
        again = np.r_[False, (np.diff(pairs, axis=0) == 0).all(axis=1)][: len(moved)]
        return moved.where(~again)


def find_shared(ours: Side, theirs: Side) -> Shared:
    """Return the pairs of cells that both sides show."""
    turned = pa.concat_arrays([theirs.column("turned_id"), ours.column("turned_id")])
    groups = np.asarray(pc.dictionary_encode(turned).indices).astype(np.int64)
    split = len(theirs.rows)
    # One of each set of turned copies a side: what is equal need not be searched for.
    first = [np.unique(part, return_index=True)[1] for part in (groups[:split], groups[split:])]
    near = near_pairs(
        _joined(theirs, theirs.rows[first[0]], ours, ours.rows[first[1]]),
        [*theirs.column("image_id").take(pa.array(first[0])).to_pylist(),
         *ours.column("image_id").take(pa.array(first[1])).to_pylist()],
        known=len(first[0]), across=True,
    )  # fmt: skip
    ends = np.concatenate([groups[:split][first[0]], groups[split:][first[1]]])
    there, here = ends[near.first], ends[near.second]
    copies = near.is_copy & (there != here)
    equal = np.intersect1d(groups[:split], groups[split:])
    pairs = _rows_of(
        np.concatenate([equal, there[copies]]), np.concatenate([equal, here[copies]]),
        np.concatenate([np.ones(len(equal)), near.correlation[copies]]), groups, split,
    )  # fmt: skip
    their_ids = np.array(theirs.column("image_id").to_pylist(), dtype=object)
    our_ids = np.array(ours.column("image_id").to_pylist(), dtype=object)
    alike = np.full(len(pairs.ours), ALIKE.index("near"), np.int64)
    same = groups[pairs.theirs] == groups[split + pairs.ours]
    alike[same] = ALIKE.index("turned")
    alike[their_ids[pairs.theirs] == our_ids[pairs.ours]] = ALIKE.index("exact")
    return Shared(
        ours.rows[pairs.ours], theirs.rows[pairs.theirs], alike, pairs.correlation,
        int((~near.is_copy).sum()),
    )  # fmt: skip


def _joined(theirs: Side, their_rows: Flat, ours: Side, our_rows: Flat) -> Signatures:
    there = read_signatures(theirs.table, theirs.thumbs)
    here = read_signatures(ours.table, ours.thumbs)
    return Signatures(
        np.concatenate([there.keypoints[their_rows], here.keypoints[our_rows]]),
        np.concatenate([there.codes[their_rows], here.codes[our_rows]]),
        _ThumbsInTurn(there.thumbs, their_rows, here.thumbs, our_rows),
    )


@dataclass(frozen=True, slots=True)
class _ThumbsInTurn:
    """Some small pictures of one side, then some of another, renumbered."""

    first: Thumbs
    first_rows: Flat
    second: Thumbs
    second_rows: Flat

    def take(self, rows: Flat) -> Pictures:
        """Return the pictures of some rows."""
        taken = np.empty((len(rows), THUMB_PX, THUMB_PX), np.uint8)
        later = rows >= len(self.first_rows)
        taken[~later] = self.first.take(self.first_rows[rows[~later]])
        taken[later] = self.second.take(self.second_rows[rows[later] - len(self.first_rows)])
        return taken


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of positions on both sides."""

    theirs: Flat
    ours: Flat
    correlation: NDArray[np.float32]


def _rows_of(
    there: Flat, here: Flat, correlation: NDArray[np.float64], groups: Flat, split: int
) -> _Pairs:
    """Return all pairs of rows of pairs of turned groups."""
    pairs = pa.table({"there": there, "here": here, "correlation": correlation})
    their = pa.table({"there": groups[:split], "theirs": np.arange(split)})
    our = pa.table({"here": groups[split:], "ours": np.arange(len(groups) - split)})
    whole = pairs.join(their, "there", join_type="inner").join(our, "here", join_type="inner")
    whole = whole.sort_by([("ours", "ascending"), ("theirs", "ascending")])
    return _Pairs(
        whole["theirs"].to_numpy(), whole["ours"].to_numpy(),
        whole["correlation"].to_numpy().astype(np.float32),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Against:
    """Another corpus and what it shares; `signed` has the columns of `sign_corpus`."""

    corpus: Corpus
    signed: StagedRows
    shared: Shared


def look_against(
    other: Corpus, ours: Side, folder: Path, progress: Progress, engine: str
) -> Against:
    """Return what another corpus shares with our side; `folder` is one for its signatures."""
    signed = sign_corpus(other, folder, progress, engine=engine)
    with closing(write_thumbs(folder / "thumbs.u8", signed.parts("thumbs"))) as thumbs:
        side = Side(signed.columns(SIDE_COLUMNS), thumbs, np.arange(len(signed)))
        return Against(other, signed, find_shared(ours, side))
