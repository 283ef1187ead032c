"""Membership inference: can the cells that a generator learned from be told by what it drew?

Whoever holds a cell and the drawn ones may guess that it was learned from where a drawn one comes
near to it. The area under the ROC curve of that guess is 0.5 where nothing is given away.
Source: Chen et al., GAN-Leaks, CCS 2020, the full black-box attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.errors import MeasurementError

from .auc import stratified_auc
from .floors import Floor, floor_of
from .kernel import Estimate
from .memorisation import orientations

Rows = NDArray[np.float32]
Ints = NDArray[np.int64]
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Suspects:
    """Rows of training cells and of held-out ones, as many of each class; and of spare cells.

    `spare` are training cells beside the members, at most twice as many of each class as were
    drawn: what would be given away by real cells in the place of drawn ones.
    """

    members: Ints
    others: Ints
    spare: Ints


def suspects(
    train_labels: Sequence[str],
    held_labels: Sequence[str],
    drawn_labels: Sequence[str],
    *,
    most: int,
    seed: int,
) -> Suspects:
    """Choose who is told apart: of each class that was drawn, at most `most` cells a side.

    At most half of a class of training cells are members, so that others can stand in for drawn
    cells. The same seed gives the same rows.

    Raises: MeasurementError where no class has two cells on each side.
    """
    rng = np.random.default_rng(seed)
    train, held = np.array(train_labels, object), np.array(held_labels, object)
    drawn = np.array(drawn_labels, object)
    chosen: list[tuple[Ints, Ints, Ints]] = []
    for label in dict.fromkeys(drawn_labels):
        ours = rng.permutation(np.flatnonzero(train == label))
        theirs = rng.permutation(np.flatnonzero(held == label))
        count = min(len(ours) // 2, len(theirs), most)
        if count >= 2:
            spare = ours[count:][: 2 * int((drawn == label).sum())]
            chosen.append((ours[:count], theirs[:count], spare))
    if not chosen:
        raise MeasurementError(
            "no class has two held-out cells and four training cells: members cannot be told"
        )
    columns = zip(*chosen, strict=True)
    return Suspects(*(np.concatenate(rows).astype(np.int64) for rows in columns))


def membership_auc(
    members: NDArray[np.floating], others: NDArray[np.floating], labels: Sequence[str]
) -> Estimate:
    """Return how well nearness tells members from others, (n,) each, of the same classes in order.

    Raises: MeasurementError for different numbers, too few cells, or a value that is not finite.
    """
    if not len(members) == len(others) == len(labels):
        raise MeasurementError(
            f"{len(members)} members, {len(others)} others and {len(labels)} labels: membership is "
            "measured between equally many cells of the same classes"
        )
    return stratified_auc(members, others, labels, labels)


def turned_correlations(query: Rows, against: Rows) -> NDArray[np.float32]:
    """Return the highest correlation over 8 orientations of prepared rows, (n, k) and (m, k).

    (n, m) float32; see `memorisation.prepare`.
    """
    found = np.empty((len(query), len(against)), np.float32)
    for start in range(0, len(query), _BLOCK):
        turned = orientations(query[start : start + _BLOCK])
        best = turned[0] @ against.T
        for rows in turned[1:]:
            np.maximum(best, rows @ against.T, out=best)
        found[start : start + _BLOCK] = best
    return found


def cosines(query: Rows, against: Rows) -> NDArray[np.float32]:
    """Return the cosine of features, (n, d) and (m, d): (n, m) float32."""
    one, other = (
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        for rows in (query, against)
    )
    return np.asarray(one @ other.T, np.float32)


def membership_floor(
    member_likeness: NDArray[np.float32],
    other_likeness: NDArray[np.float32],
    labels: Sequence[str],
    *,
    stand_ins: int,
    splits: int,
    seed: int,
) -> Floor:
    """Return the area that real cells reach, of which none is a member, over random choices.

    `member_likeness` and `other_likeness` are (n, m), to m spare training cells; of these,
    `stand_ins` are taken at a time, all of them first.
    """
    rng = np.random.default_rng(seed)
    spare = member_likeness.shape[1]
    if not spare:
        raise MeasurementError("no spare training cell can stand in for the drawn ones")
    count = max(1, min(stand_ins, spare // 2))
    values = []
    for split in range(1 + splits):
        taken = np.arange(spare) if not split else rng.permutation(spare)[:count]
        values.append(
            membership_auc(
                member_likeness[:, taken].max(axis=1), other_likeness[:, taken].max(axis=1), labels
            ).value
        )
    return floor_of(values)
