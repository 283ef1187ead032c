"""Can the label be read from how a picture was taken? The report `acquisitions.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import SmearkitError
from ..frozen import Frozen
from .acquisition import Acquisitions, Ints, codec_name
from .appearance import APPEARANCE_COLUMNS, BACKGROUND_COLUMNS, Floats

FOLDS = 5
_AT_MOST = 20_000
_FEWEST_OF_A_CLASS = 2 * FOLDS
_RESAMPLES = 500
_P_BELOW = 0.01
_APART = 0.5
_PURE, _PURE_SHARE = 0.9, 0.1


class Acquisition(Frozen):
    """One way in which pictures were taken; the colour is the median background in sRGB."""

    cells: int
    share: float
    background: tuple[int, int, int]
    width: int
    height: int
    codec: str
    classes: dict[str, int]


class ClassAcquisition(Frozen):
    """How a class lies in the acquisitions.

    `auc` tells it from the rest by the background alone (0.5: chance), with its 95 % interval.
    `acquisition` is the one it differs in most from the other classes, `share` and `others` the
    shares of its cells and of theirs that lie there; `p` is corrected for the number of tests.
    """

    label: str
    cells: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    acquisition: int
    share: float
    others: float
    p: float
    confounded: bool


class AcquisitionReport(Frozen):
    """Acquisitions, and what can be read from the background alone, out of fold, against chance."""

    n: int
    acquisitions: tuple[Acquisition, ...]
    classifier: Literal["histogram gradient boosting"] = "histogram gradient boosting"
    columns: tuple[str, ...] = BACKGROUND_COLUMNS
    n_classified: int
    grouped: bool
    balanced_accuracy: float | None
    low: float | None
    high: float | None
    chance: float | None
    classes: tuple[ClassAcquisition, ...]

    @property
    def confounded(self) -> tuple[str, ...]:
        """The labels that lie in an acquisition of their own."""
        return tuple(entry.label for entry in self.classes if entry.confounded)

    @property
    def is_readable(self) -> bool:
        """Whether the background alone tells labels better than chance."""
        return self.low is not None and self.chance is not None and self.low > self.chance


def confounding(
    appearance_NK: Floats,
    labels: Sequence[str],
    acquisitions: Acquisitions,
    groups: Sequence[object] | None = None,
    *,
    seed: int = 0,
) -> AcquisitionReport:
    """Return which classes are bound to an acquisition; rows are those of `appearance_columns`.

    A class is confounded where it lies in one acquisition and most other classes do not (shares
    at least 0.5 apart), or where a tenth of it makes nine tenths of one; and where chance does so
    in less than 1 % (Fisher's exact test, Holm's correction). `groups` stay in one fold.

    Raises: SmearkitError where the lengths disagree.
    """
    if not len(appearance_NK) == len(labels) == len(acquisitions.cluster):
        raise SmearkitError(
            f"{len(appearance_NK)} rows of appearance, {len(labels)} labels and "
            f"{len(acquisitions.cluster)} clusters; expected as many of each"
        )
    classes, given = np.unique(np.array(labels, dtype=str), return_inverse=True)
    names = tuple(classes.tolist())
    table = _table(given, acquisitions, len(names))
    rows = _classified(given, seed)
    shares = _out_of_fold(appearance_NK, given, rows, groups, seed)
    balanced, low, high = _balanced_accuracy(shares, given[rows], seed)
    return AcquisitionReport(
        n=len(labels),
        acquisitions=_described(appearance_NK, acquisitions, table, names),
        n_classified=0 if balanced is None else len(rows),
        grouped=groups is not None,
        balanced_accuracy=balanced,
        low=low,
        high=high,
        chance=None if balanced is None else round(1 / len(np.unique(given[rows])), 4),
        classes=_classes(names, table, shares, given[rows]),
    )


def _table(given: Ints, acquisitions: Acquisitions, n_classes: int) -> Ints:
    """Return class x acquisition -> cells, int64."""
    width = acquisitions.n_clusters
    flat = np.bincount(given * width + acquisitions.cluster, minlength=n_classes * width)
    return flat.reshape(n_classes, width)


def _described(
    appearance_NK: Floats, acquisitions: Acquisitions, table: Ints, names: tuple[str, ...]
) -> tuple[Acquisition, ...]:
    found = []
    for which in range(acquisitions.n_clusters):
        own = appearance_NK[acquisitions.cluster == which]
        middle = dict(zip(APPEARANCE_COLUMNS, np.median(own, axis=0).tolist(), strict=True))
        colour = [256 * np.exp(-middle[f"background_{c}"]) - 1 for c in ("red", "green", "blue")]
        red, green, blue = (int(np.clip(round(value), 0, 255)) for value in colour)
        found.append(
            Acquisition(
                cells=len(own), share=round(len(own) / len(appearance_NK), 4),
                background=(red, green, blue), width=round(middle["width"]),
                height=round(middle["height"]), codec=codec_name(middle["codec"]),
                classes={name: int(table[i, which]) for i, name in enumerate(names)
                         if table[i, which]},
            )
        )  # fmt: skip
    return tuple(found)


def _classified(given: Ints, seed: int) -> Ints:
    """Return the rows that the classifier sees: classes of enough cells, at most 20,000 rows."""
    counts = np.bincount(given)
    rows = np.flatnonzero(counts[given] >= _FEWEST_OF_A_CLASS)
    rng = np.random.default_rng(seed)
    if len(rows) > _AT_MOST:
        # As many of a rare class as of a common one, as far as there are.
        most = _AT_MOST // len(np.unique(given[rows]))
        order = rng.permutation(rows)
        rows = np.concatenate([order[given[order] == w][:most] for w in np.unique(given[rows])])
    return cast(Ints, np.sort(rows))


def _out_of_fold(
    appearance_NK: Floats, given: Ints, rows: Ints, groups: Sequence[object] | None, seed: int
) -> NDArray[np.float64]:
    """Return (len(rows), classes) shares by the background alone; NaN where there are none."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    found = np.full((len(rows), int(given.max()) + 1 if len(given) else 0), np.nan)
    if len(np.unique(given[rows])) < 2:
        return found
    columns = [APPEARANCE_COLUMNS.index(name) for name in BACKGROUND_COLUMNS]
    values = appearance_NK[rows][:, columns]
    for number, (learn, judge) in enumerate(_folds(given[rows], rows, groups, seed)):
        model = HistGradientBoostingClassifier(
            max_iter=30, max_leaf_nodes=15, learning_rate=0.15, min_samples_leaf=10,
            class_weight="balanced", early_stopping=False, random_state=seed + number,
        )  # fmt: skip
        model.fit(values[learn], given[rows[learn]])
        found[judge] = 0
        found[np.ix_(judge, model.classes_)] = model.predict_proba(values[judge])
    return found


def _folds(
    given: Ints, rows: Ints, groups: Sequence[object] | None, seed: int
) -> list[tuple[Ints, Ints]]:
    from .label_audit import folds_of, group_codes

    codes = None if groups is None else group_codes([groups[row] for row in rows.tolist()])
    return [
        (learn, judge)
        for learn, judge in folds_of(given, codes, seed)
        if len(np.unique(given[learn])) > 1
    ]


def _balanced_accuracy(
    shares: NDArray[np.float64], given: Ints, seed: int
) -> tuple[float | None, float | None, float | None]:
    """Return the mean recall of the classes, and its 95 % interval by resampling each class."""
    judged = ~np.isnan(shares).any(axis=1)
    if len(np.unique(given[judged])) < 2:
        return None, None, None
    right = (shares[judged].argmax(axis=1) == given[judged]).astype(float)
    rng = np.random.default_rng(seed)
    recalls = [right[given[judged] == which] for which in np.unique(given[judged])]
    # Of n cells with share p right, a resample has a binomial number right.
    drawn = np.mean(
        [rng.binomial(len(one), one.mean(), _RESAMPLES) / len(one) for one in recalls], axis=0
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    balanced = float(np.mean([one.mean() for one in recalls]))
    return round(balanced, 4), round(float(low), 4), round(float(high), 4)


def _classes(
    names: tuple[str, ...], table: Ints, shares: NDArray[np.float64], given: Ints
) -> tuple[ClassAcquisition, ...]:
    places = [_place(table, which) for which in range(len(names))]
    corrected = _holm([_p_value(table, which, place) for which, place in enumerate(places)], table)
    found = []
    for which, place in enumerate(places):
        share, others = _shares(table, which, place)
        auc, low, high = _auc(shares, given, which)
        pure = table[which, place] >= _PURE * table[:, place].sum() and share >= _PURE_SHARE
        apart = table.shape[1] > 1 and (share - _most_others(table, which, place) >= _APART or pure)
        found.append(
            ClassAcquisition(
                label=names[which], cells=int(table[which].sum()), auc=auc, auc_low=low,
                auc_high=high, acquisition=place, share=round(share, 4), others=round(others, 4),
                p=corrected[which], confounded=bool(apart and corrected[which] < _P_BELOW),
            )
        )  # fmt: skip
    return tuple(found)


def _shares(table: Ints, which: int, place: int) -> tuple[float, float]:
    rest = table.sum(axis=0) - table[which]
    return (
        float(table[which, place] / max(table[which].sum(), 1)),
        float(rest[place] / max(rest.sum(), 1)),
    )


def _most_others(table: Ints, which: int, place: int) -> float:
    """Return the share in an acquisition that more than half of the other classes stay below."""
    rest = np.delete(table, which, axis=0)
    shares = np.sort(rest[:, place] / np.maximum(rest.sum(axis=1), 1))
    return float(shares[len(shares) // 2]) if len(shares) else 1.0


def _place(table: Ints, which: int) -> int:
    """Return the acquisition in which a class is more than the others are, by the most."""
    return int(np.argmax([np.subtract(*_shares(table, which, p)) for p in range(table.shape[1])]))


def _p_value(table: Ints, which: int, place: int) -> float:
    from scipy.stats import fisher_exact

    inside, total = int(table[which, place]), int(table[which].sum())
    all_inside, everything = int(table[:, place].sum()), int(table.sum())
    cells = [
        [inside, total - inside],
        [all_inside - inside, everything - total - (all_inside - inside)],
    ]
    return float(fisher_exact(cells).pvalue)


def _holm(p_values: list[float], table: Ints) -> list[float]:
    """Return p-values corrected for all classes and acquisitions tried (Holm, 1979)."""
    # The acquisition was chosen as the most extreme of all, so each counts as that many tests.
    factor = table.shape[1]
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        worst = max(worst, min(1.0, p_values[place] * factor * (len(p_values) - rank)))
        corrected[place] = worst
    return corrected


def _auc(
    shares: NDArray[np.float64], given: Ints, which: int
) -> tuple[float | None, float | None, float | None]:
    """Return the one-against-rest area under the curve and its interval.

    Source: Hanley & McNeil, Radiology 143:29 (1982), eq. 1.
    """
    from sklearn.metrics import roc_auc_score

    judged = ~np.isnan(shares).any(axis=1)
    own = given[judged] == which
    n_own, n_rest = int(own.sum()), int((~own).sum())
    if not n_own or not n_rest:
        return None, None, None
    auc = float(roc_auc_score(own, shares[judged, which]))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_own - 1) * (q1 - auc**2) + (n_rest - 1) * (q2 - auc**2)
    half = 1.96 * (max(variance, 0) / (n_own * n_rest)) ** 0.5
    return round(auc, 4), round(max(0.0, auc - half), 4), round(min(1.0, auc + half), 4)
