"""Which labels are probably wrong: out-of-fold predictions of a small model, ranked by cleanlab.

The model is two cheap ones together, linear discriminants and a small network of one hidden layer,
on features of the picture or on an embedding. A cell is judged only by models that saw neither it
nor another of its group (subject, slide or cluster of copies).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import SmearkitError
from ..frozen import Frozen

FOLDS = 5
_FEWEST_OF_A_CLASS = 2 * FOLDS
_TRAINED_ON = 30_000
_HIDDEN, _STEPS, _BATCH = 256, 1400, 128
_SHRINKAGE = 0.03
_LEAST = 1e-5
_ROWS_AT_ONCE = 16_384

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelAudit:
    """What the out-of-fold model makes of each of n cells' labels.

    `given` and `suggested` int64 (n,) index `classes`; `quality` float32 (n,) in [0, 1], low where
    the label is doubtful, NaN where it was not judged; `probabilities` float32 (n, c) out of fold;
    `suspicious` bool (n,): cleanlab holds the label for wrong; `order` int64: the suspicious rows,
    the worst first.
    """

    classes: tuple[str, ...]
    given: Ints
    suggested: Ints
    quality: Floats
    probabilities: Floats
    suspicious: NDArray[np.bool_]
    order: Ints
    grouped: bool

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether each cell was judged."""
        return ~np.isnan(self.quality)


class AuditedClass(Frozen):
    """One label: cells, how many were judged, the share the model agrees with, and doubts."""

    label: str
    cells: int
    judged: int
    agreed: float | None
    suspicious: int


class Confusion(Frozen):
    """How many cells of one label look like another."""

    given: str
    suggested: str
    suspicious: int


class LabelAuditReport(Frozen):
    """The audit in numbers; `accuracy` and `balanced_accuracy` are the model's, out of fold."""

    n: int
    judged: int
    folds: int
    grouped: bool
    features: str
    accuracy: float | None
    balanced_accuracy: float | None
    suspicious: int
    classes: tuple[AuditedClass, ...]
    confusions: tuple[Confusion, ...]


def audit_labels(
    features_NK: Floats,
    labels: Sequence[str],
    groups: Sequence[object] | None = None,
    *,
    embedding_NK: Floats | None = None,
    seed: int = 0,
) -> LabelAudit:
    """Judge the label of each of n cells; `features_NK` (n, k) float32, or instead an embedding.

    `groups` keeps cells together that must not judge each other; None among them is a group of its
    own. Classes of fewer than ten cells, and those that one group holds alone, are not judged.

    Raises: SmearkitError where shapes disagree, values are not finite, or fewer than two classes
    can be judged.
    """
    rows_NK = np.asarray(features_NK if embedding_NK is None else embedding_NK)
    _check(rows_NK, labels, groups)
    classes, given = np.unique(np.array(labels, dtype=str), return_inverse=True)
    usable = np.bincount(given)[given] >= _FEWEST_OF_A_CLASS
    if len(set(given[usable].tolist())) < 2:
        raise SmearkitError(
            f"labels are audited by comparing classes; found {len(classes)} classes, of which "
            f"fewer than two have {_FEWEST_OF_A_CLASS} cells. Next: audit a larger corpus"
        )
    where = np.flatnonzero(usable)
    codes = None if groups is None else group_codes([groups[row] for row in where.tolist()])
    probabilities = np.full((len(given), len(classes)), np.nan, np.float32)
    probabilities[where] = _out_of_fold(rows_NK, where, given, len(classes), codes, seed)
    return _ranked(tuple(classes.tolist()), given, probabilities, groups is not None)


def audit_report(audit: LabelAudit, features: str = "cheap image features") -> LabelAuditReport:
    """Return the audit in numbers."""
    judged = np.flatnonzero(audit.judged)
    agrees = audit.probabilities[judged].argmax(1) == audit.given[judged]
    classes = [_audited_class(audit, which) for which in range(len(audit.classes))]
    shares = [entry.agreed for entry in classes if entry.agreed is not None]
    pairs = Counter((int(audit.given[row]), int(audit.suggested[row])) for row in audit.order)
    return LabelAuditReport(
        n=len(audit.given),
        judged=len(judged),
        folds=FOLDS,
        grouped=audit.grouped,
        features=features,
        accuracy=round(float(agrees.mean()), 4) if len(judged) else None,
        balanced_accuracy=round(float(np.mean(shares)), 4) if shares else None,
        suspicious=len(audit.order),
        classes=tuple(classes),
        confusions=tuple(
            Confusion(given=audit.classes[a], suggested=audit.classes[b], suspicious=count)
            for (a, b), count in pairs.most_common()
        ),
    )


def _audited_class(audit: LabelAudit, which: int) -> AuditedClass:
    own = audit.given == which
    judged = own & audit.judged
    agrees = audit.probabilities[judged].argmax(1) == which
    return AuditedClass(
        label=audit.classes[which],
        cells=int(own.sum()),
        judged=int(judged.sum()),
        agreed=round(float(agrees.mean()), 4) if judged.any() else None,
        suspicious=int((own & audit.suspicious).sum()),
    )


def _check(rows_NK: NDArray[Any], labels: Sequence[str], groups: Sequence[object] | None) -> None:
    if rows_NK.ndim != 2 or len(rows_NK) != len(labels):
        raise SmearkitError(
            f"features are {rows_NK.shape}; expected ({len(labels)}, k), one row for each label"
        )
    if groups is not None and len(groups) != len(labels):
        raise SmearkitError(f"{len(groups)} groups were given for {len(labels)} labels")
    for start in range(0, len(rows_NK), _ROWS_AT_ONCE):
        bad = ~np.isfinite(rows_NK[start : start + _ROWS_AT_ONCE]).all(1)
        if bad.any():
            raise SmearkitError(
                f"row {start + int(bad.argmax())} of the features is not finite. "
                "Next: leave that cell out, or mend the embedding"
            )


def group_codes(groups: Sequence[object]) -> Ints:
    """Return the number of each group, int64; None is a group of its own each time."""
    codes: dict[object, int] = {}
    # One that is not known is nobody else's.
    keys = (("alone", row) if group is None else group for row, group in enumerate(groups))
    return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int64)


def _out_of_fold(
    rows_NK: NDArray[Any],
    where: Ints,
    given: Ints,
    n_classes: int,
    codes: Ints | None,
    seed: int,
) -> Floats:
    """Return (len(where), n_classes) probabilities; NaN rows where a class was not learned."""
    found = np.full((len(where), n_classes), np.nan, np.float32)
    for number, (learn, judge) in enumerate(folds_of(given[where], codes, seed)):
        chosen = at_most(learn, given[where], _TRAINED_ON, seed + number)
        known = np.unique(given[where][chosen])
        if len(known) < 2:
            continue
        model = LabelModel.fit(rows_NK[where[chosen]], given[where][chosen], seed + number)
        # A class that only the judged fold holds would be called something else throughout.
        judge = judge[np.isin(given[where][judge], known)]
        for start in range(0, len(judge), _ROWS_AT_ONCE):
            part = judge[start : start + _ROWS_AT_ONCE]
            found[part] = 0
            found[np.ix_(part, known)] = model.probabilities(rows_NK[where[part]])
    return found


def folds_of(given: Ints, codes: Ints | None, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield the rows to learn from and those to judge; no group is in both."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if codes is None:
        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(given, given)
        return
    folds = min(FOLDS, len(np.unique(codes)))
    if folds < 2:
        return  # one group: nobody else is there to judge it
    with warnings.catch_warnings():
        # A class with fewer groups than folds: some folds lack it, which is counted, not guessed.
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        yield from splitter.split(given, given, codes)


def at_most(rows: Ints, given: Ints, count: int, seed: int) -> Ints:
    """Return at most `count` of the rows, small classes whole, large ones in equal shares."""
    if len(rows) <= count:
        return rows
    order = np.random.default_rng(seed).permutation(rows)
    classes, sizes = np.unique(given[order], return_counts=True)
    share, left = 0, count
    for place, size in enumerate(sorted(sizes.tolist())):
        share = left // (len(sizes) - place)
        left -= min(size, share)
    kept = [order[given[order] == which][:share] for which in classes]
    return np.sort(np.concatenate(kept))


@dataclass(frozen=True, slots=True)
class LabelModel:
    """Two classifiers on scaled features; what they give is averaged as logarithms."""

    mean: Floats
    scale: Floats
    axes: Floats
    discriminants: Any
    network: Any

    @classmethod
    def fit(cls, rows_NK: NDArray[Any], given: Ints, seed: int) -> LabelModel:
        """Learn from rows (n, k) with their classes, (n,) int64; at least two classes."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        rows = np.asarray(rows_NK, np.float32)
        mean, scale = rows.mean(0), rows.std(0) + np.float32(1e-3)
        scaled = _scale(rows, mean, scale)
        axes = _main_axes(scaled)
        discriminants = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=_SHRINKAGE)
        network = MLPClassifier(
            (_HIDDEN,), alpha=1.0, batch_size=min(_BATCH, len(rows)), learning_rate_init=2e-3,
            max_iter=max(5, _STEPS * _BATCH // len(rows)), random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            # It is stopped early on purpose: a network run to its end learns the wrong labels too.
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(scaled @ axes, given)
        return cls(mean, scale, axes, discriminants.fit(scaled, given), network)

    def probabilities(self, rows_NK: NDArray[Any]) -> Floats:
        """Return (n, c) float32 over the classes it learned, in their order; rows add up to 1."""
        scaled = _scale(np.asarray(rows_NK, np.float32), self.mean, self.scale)
        both = np.log(self.discriminants.predict_proba(scaled) + _LEAST)
        both += np.log(self.network.predict_proba(scaled @ self.axes) + _LEAST)
        shares = np.exp((both - both.max(1, keepdims=True)) / 2)
        return cast(Floats, (shares / shares.sum(1, keepdims=True)).astype(np.float32))


def _scale(rows: Floats, mean: Floats, scale: Floats) -> Floats:
    return cast(Floats, np.clip((rows - mean) / scale, -6, 6))


def _main_axes(scaled: Floats, most: int = 300) -> Floats:
    """Return (k, at most 300) axes of most spread, half whitened, for the network to start from."""
    spread, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    kept = np.argsort(spread)[::-1][:most]
    strong = spread[kept] > 1e-6 * spread[kept[0]]
    half_white = axes[:, kept[strong]] / spread[kept[strong]] ** 0.25
    return cast(
        Floats, (half_white / np.sqrt((spread[kept[strong]] ** 0.5).mean())).astype(np.float32)
    )


def _ranked(
    classes: tuple[str, ...], given: Ints, probabilities: Floats, grouped: bool
) -> LabelAudit:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    judged = np.flatnonzero(~np.isnan(probabilities[:, 0]))
    present, local = np.unique(given[judged], return_inverse=True)
    shares = probabilities[np.ix_(judged, present)].astype(np.float64)
    shares = (shares + _LEAST**2) / (shares + _LEAST**2).sum(1, keepdims=True)
    quality = np.full(len(given), np.nan, np.float32)
    suspicious = np.zeros(len(given), bool)
    if len(present) > 1:
        quality[judged] = get_label_quality_scores(local, shares, method="self_confidence")
        suspicious[judged] = find_label_issues(
            local, shares, filter_by="prune_by_noise_rate", n_jobs=1
        )
    others = np.where(np.isnan(probabilities), 0, probabilities)
    others[np.arange(len(given)), given] = -1
    order = np.flatnonzero(suspicious)
    order = order[np.argsort(quality[order], kind="stable")]
    return LabelAudit(
        classes, given, others.argmax(1), quality, probabilities, suspicious, order, grouped
    )
