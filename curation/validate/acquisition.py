"""Which cells were taken in one way: one microscope, one stain, one export.

Density clusters (HDBSCAN) of how a sample of the pictures was taken; two clusters stay apart only
where hardly any picture lies between them. The other cells go to the cluster of their nearest
neighbours in the sample.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import SmearkitError
from .appearance import APPEARANCE_COLUMNS, CODECS, FILE_COLUMNS, Floats

Ints = NDArray[np.int64]

_SAMPLE = 8_000
_FEWEST_CELLS, _FEWEST_SHARE = 10, 0.005
_WEIGHTS = {
    "background_red": 1.0, "background_green": 1.0, "background_blue": 1.0,
    "background_noise": 0.5, "stain_normal_red": 0.25, "stain_normal_blue": 0.25,
}  # fmt: skip
_IS_STAIN = np.array([name.startswith("stain") for name in _WEIGHTS])
# Smaller differences are of the sensor and of the compression, not of the acquisition.
_FLOORS = {"background_noise": 0.3, "stain_normal_red": 0.05, "stain_normal_blue": 0.05}
_FLOOR = 0.006
_KIND_GAP = 8.0
_FEW_KINDS, _KINDS_COVER = 12, 0.95
_VALLEY = 0.4
_APART = 4.0
_NEIGHBOURS = 5
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Acquisitions:
    """The cluster of each cell, int64 (n,): 0 is the largest; `n_clusters` of them."""

    cluster: Ints
    n_clusters: int

    def sizes(self) -> Ints:
        """Return how many cells each cluster has, int64 (n_clusters,)."""
        return np.bincount(self.cluster, minlength=self.n_clusters)


def find_acquisitions(appearance_NK: Floats, *, seed: int = 0) -> Acquisitions:
    """Cluster cells by how they were taken; rows are those of `appearance_columns`.

    The labels have no part in it. Equal rows, count and seed give equal clusters.

    Raises: SmearkitError where the columns are others, or a value is not finite.
    """
    _check(appearance_NK)
    n = len(appearance_NK)
    if n < 2 * _FEWEST_CELLS:
        return Acquisitions(np.zeros(n, np.int64), min(n, 1))
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:_SAMPLE])
    space = _Space.fit(appearance_NK[chosen])
    sample = space.place(appearance_NK[chosen])
    found = _assign(sample, _merged(sample, _dense(sample)), appearance_NK, space)
    return _largest_first(found)


def _check(appearance_NK: Floats) -> None:
    if appearance_NK.ndim != 2 or appearance_NK.shape[1] != len(APPEARANCE_COLUMNS):
        raise SmearkitError(
            f"appearance is {appearance_NK.shape}; expected (n, {len(APPEARANCE_COLUMNS)}), "
            "the columns that appearance_columns makes"
        )
    if not np.isfinite(appearance_NK).all():
        row = int((~np.isfinite(appearance_NK)).any(axis=1).argmax())
        raise SmearkitError(f"row {row} of the appearance is not finite")


@dataclass(frozen=True, slots=True)
class _Space:
    """Where a picture lies: colours in robust units, and far away for another kind of file."""

    middle: Floats
    scale: Floats
    kinds: dict[tuple[float, ...], int]

    @classmethod
    def fit(cls, sample_NK: Floats) -> _Space:
        values = sample_NK[:, _columns()]
        middle = np.median(values, axis=0)
        spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
        floors = np.array([_FLOORS.get(name, _FLOOR) for name in _WEIGHTS], np.float32)
        weights = np.array(list(_WEIGHTS.values()), np.float32)
        return cls(middle, np.maximum(spread, floors) / weights, _common_kinds(sample_NK))

    def place(self, rows_NK: Floats) -> Floats:
        """Return (n, d) float32 coordinates."""
        near = (rows_NK[:, _columns()] - self.middle) / self.scale
        certainty = rows_NK[:, [APPEARANCE_COLUMNS.index("stain_certainty")]]
        # A stain that cannot be told counts as the usual one: cells without a nucleus show one dye.
        near = np.where(_IS_STAIN, near * certainty, near)
        if not self.kinds:
            return cast(Floats, near.astype(np.float32))
        files, inverse = np.unique(_files(rows_NK), axis=0, return_inverse=True)
        rows = np.array([self.kinds.get(tuple(one), len(self.kinds)) for one in files.tolist()])
        corners = np.eye(len(self.kinds) + 1, dtype=np.float32) * np.float32(_KIND_GAP)
        return np.concatenate([near, corners[rows[inverse.ravel()]]], axis=1, dtype=np.float32)


def _columns() -> list[int]:
    return [APPEARANCE_COLUMNS.index(name) for name in _WEIGHTS]


def _files(rows_NK: Floats) -> Floats:
    return rows_NK[:, [APPEARANCE_COLUMNS.index(name) for name in FILE_COLUMNS]]


def _common_kinds(sample_NK: Floats) -> dict[tuple[float, ...], int]:
    """Return size and codec -> number, where most files share a few; none where cuts vary."""
    kinds, counts = np.unique(_files(sample_NK), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    frequent = [place for place in order if counts[place] >= _fewest(len(sample_NK))]
    covered = counts[frequent].sum() / len(sample_NK)
    if len(frequent) > _FEW_KINDS or covered < _KINDS_COVER:
        return {}
    return {tuple(kinds[place].tolist()): number for number, place in enumerate(frequent)}


def _fewest(n: int) -> int:
    return max(_FEWEST_CELLS, round(_FEWEST_SHARE * n))


def _dense(sample: Floats) -> Ints:
    """Return the density cluster of each row; -1 between them."""
    from sklearn.cluster import HDBSCAN

    fewest = _fewest(len(sample))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        # min_samples smooths the density, so that chance does not tear a cluster.
        model = HDBSCAN(min_cluster_size=fewest, min_samples=min(fewest, 15), copy=True)
        return cast(Ints, model.fit_predict(sample).astype(np.int64))


def _merged(sample: Floats, found: Ints) -> Ints:
    """Unite clusters between which there is no valley, the least separate first."""
    if (found < 0).all():
        return np.zeros(len(found), np.int64)
    found = _nearest_core(sample, found)
    while True:
        names = np.unique(found)
        if len(names) == 1:
            return found
        valleys = {
            (a, b): _valley(sample[found == a], sample[found == b])
            for a, b in combinations(names.tolist(), 2)
        }
        (keep, gone), depth = max(valleys.items(), key=lambda item: item[1])
        if depth < _VALLEY:
            return found
        found = np.where(found == gone, keep, found)


def _nearest_core(sample: Floats, found: Ints) -> Ints:
    from sklearn.neighbors import KNeighborsClassifier

    core = found >= 0
    if core.all():
        return found
    model = KNeighborsClassifier(min(_NEIGHBOURS, int(core.sum()))).fit(sample[core], found[core])
    filled = found.copy()
    filled[~core] = model.predict(sample[~core])
    return filled


def _valley(one: Floats, other: Floats) -> float:
    """Return the lowest density between two clusters over the lower of their peaks, in [0, 1].

    Along the line that separates them best, each counted alike however large it is; 1 where they
    lie closer than `_APART` spreads: a single cloud can be cut in two, but not that far.
    """
    direction = _discriminant(one, other)
    first, second = one @ direction, other @ direction
    low, high = np.median(first), np.median(second)
    spread = max(_spread(first), _spread(second))
    if high - low < _APART * spread:
        return 1.0
    bins = np.linspace(2 * low - high, 2 * high - low, 49)
    counts = np.histogram(first, bins)[0] / len(first) + np.histogram(second, bins)[0] / len(second)
    smooth = np.convolve(counts, np.array([1, 2, 3, 2, 1]) / 9, mode="same")
    peaks = smooth[10:23].max(), smooth[26:39].max()
    return float(smooth[16:33].min() / max(min(peaks), 1e-12))


def _spread(values: Floats) -> float:
    """Return the standard deviation that the middle half of values would have."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 1.349)


def _discriminant(one: Floats, other: Floats) -> Floats:
    """Return the direction from one cluster to the other that separates them best."""
    within = np.cov(one.T) / 2 + np.cov(other.T) / 2 + 0.05 * np.eye(one.shape[1])
    apart = other.mean(axis=0) - one.mean(axis=0)
    direction = np.linalg.solve(within, apart.astype(np.float64))
    return cast(Floats, (direction / (np.linalg.norm(direction) + 1e-12)).astype(np.float32))


def _assign(sample: Floats, found: Ints, rows_NK: Floats, space: _Space) -> Ints:
    from sklearn.neighbors import KNeighborsClassifier

    if len(np.unique(found)) == 1:
        return np.zeros(len(rows_NK), np.int64)
    model = KNeighborsClassifier(_NEIGHBOURS).fit(sample, found)
    parts = [
        model.predict(space.place(rows_NK[start : start + _ROWS_AT_ONCE]))
        for start in range(0, len(rows_NK), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.int64)


def _largest_first(found: Ints) -> Acquisitions:
    names, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    return Acquisitions(rank[inverse.ravel()], len(names))


def codec_name(code: float) -> str:
    """Return the name of a codec's number in the column `codec`."""
    return CODECS[int(code)] if 0 <= int(code) < len(CODECS) else "other"
