"""How each metric is spoken of and written; a name that is not here is shown as it stands."""

from __future__ import annotations

from dataclasses import dataclass

from synth.measure.measurement import ALL_CLASSES, Family, Measurement

_QUALIFIERS = ("segmented", "band", "unspecified", "reactive", "large_granular")
_BETTER = {"lower": "lower is better", "higher": "higher is better", "zero": "zero is right"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's words: `decimals` None means three digits; `percent` values are shares."""

    title: str
    short: str
    better: str | None = None
    decimals: int | None = None
    percent: bool = False


_CLOSER = "lower is closer to real"
_CHANCE = "0.5 is chance"
METRICS: dict[str, Metric] = {
    "kid": Metric("Kernel inception distance (KID)", "KID", _CLOSER, 4),
    "fid": Metric("Fréchet inception distance (FID)", "FID", _CLOSER, 1),
    "fid_infinity": Metric("FID extrapolated to endless images", "FID∞", _CLOSER, 1),
    "cmmd": Metric("Maximum mean discrepancy (CMMD)", "CMMD", _CLOSER, 4),
    "precision": Metric(
        "Precision: synthetic cells among the real ones", "Precision", decimals=1, percent=True
    ),
    "recall": Metric(
        "Recall: real cells among the synthetic ones", "Recall", decimals=1, percent=True
    ),
    "density": Metric(
        "Density: how thickly real cells surround synthetic ones", "Density", None, 3
    ),
    "coverage": Metric(
        "Coverage: real cells with a synthetic neighbour", "Coverage", decimals=1, percent=True
    ),
    "vendi_ratio": Metric("Variety against real cells (Vendi ratio)", "Vendi ratio", None, 3),
    "copied_share": Metric("Copies of training cells", "Copies", "zero is right", 1, True),
    "nearest_train": Metric(
        "Nearest training cell, from synthetic cells (median correlation)",
        "Synthetic to training",
        "no higher than the baseline",
        3,
    ),
    "nearest_train_held_out": Metric(
        "Nearest training cell, from held-out real cells (median correlation)",
        "Held-out real to training",
        "the baseline",
        3,
    ),
    "nearest_train_features": Metric(
        "Nearest training cell, by features (median cosine)",
        "Synthetic to training, by features",
        "no higher than the baseline",
        3,
    ),
    "nearer_than_held_out_share": Metric(
        "Synthetic cells nearer to a training cell than any held-out cell",
        "Nearer than held-out cells",
        decimals=1,
        percent=True,
    ),
    "membership_auc": Metric(
        "Telling training cells by the synthetic ones (AUC)", "Membership AUC", _CHANCE, 3
    ),
    "shortcut_auc": Metric(
        "Telling synthetic from real by trivia (AUC)", "Shortcut AUC", _CHANCE, 3
    ),
    "c2st_auc": Metric("Telling synthetic from real at all (AUC)", "Classifier AUC", _CHANCE, 3),
    "gain": Metric(
        "Balanced accuracy gained over the best control", "Gain", decimals=1, percent=True
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy on real cells", "Balanced accuracy", decimals=1, percent=True
    ),
    "macro_f1": Metric("Macro-F1 on real cells", "Macro-F1", decimals=3),
    "calibration_error": Metric("Calibration error on real cells", "Calibration error", decimals=3),
    "recall_gain": Metric(
        "Recall gained over the best control", "Recall gained", decimals=1, percent=True
    ),
    "subject_imbalance": Metric(
        "Synthetic cells nearest to a patient beyond the due share",
        "Imbalance",
        decimals=1,
        percent=True,
    ),
    "subject_max_ratio": Metric(
        "The most favoured patient, against the due share", "Most favoured", decimals=2
    ),
}
COPYING = ("copied_share", "nearest_train", "nearest_train_held_out")
_IN_FAMILY: dict[tuple[Family, str], Metric] = {
    ("usefulness", "recall"): Metric("Recall on real cells", "Recall", decimals=1, percent=True),
}


def metric_of(m: Measurement) -> Metric | None:
    """Return the words of a measurement's metric, None where its name is not known."""
    return metric_named(m.family, m.name)


def metric_named(family: Family, name: str) -> Metric | None:
    """Return the words of a family's metric, None where its name is not known."""
    return _IN_FAMILY.get((family, name)) or METRICS.get(name)


def title_of(m: Measurement) -> str:
    """Return what a measurement measured, with its arm."""
    metric = metric_of(m)
    return with_arm(metric.title if metric else m.name, m.arm)


def short_of(m: Measurement) -> str:
    """Return what a measurement measured, in a word or two, with its arm."""
    metric = metric_of(m)
    return with_arm(metric.short if metric else m.name, m.arm)


def better_of(m: Measurement) -> str:
    """Return which values are better."""
    metric = metric_of(m)
    return (metric and metric.better) or _BETTER[m.direction]


def readable_arm(arm: str) -> str:
    """Return an arm as a reader would write it."""
    return arm.replace("_", " ")


def readable_label(label: str) -> str:
    """Return a cell label as a reader would write it: 'neutrophil, segmented'."""
    if label == ALL_CLASSES:
        return "all classes"
    for qualifier in _QUALIFIERS:
        stem = label.removesuffix(f"_{qualifier}")
        if stem != label:
            return f"{stem.replace('_', ' ')}, {qualifier.replace('_', ' ')}"
    return label.replace("_", " ")


def with_arm(text: str, arm: str | None) -> str:
    """Return a metric with its arm, where it has one."""
    return text if arm is None else f"{text}: {readable_arm(arm)}"
