"""How a card calls the measurements, family by family; an unknown one is called by its own name."""

from __future__ import annotations

from synth.measure.measurement import Measurement

_NAMES: dict[str, str] = {
    "kid": "KID", "fid": "FID", "fid_infinity": "FID at infinite n", "cmmd": "CMMD",
    "precision": "precision", "recall": "recall", "density": "density", "coverage": "coverage",
    "vendi": "Vendi score", "copied_share": "copies of training cells",
    "nearest_train": "nearest training cell, correlation",
    "nearest_train_held_out": "the same of held-out real cells (baseline)",
    "membership_auc": "membership inference, AUC", "c2st_auc": "real against synthetic, AUC",
    "balanced_accuracy": "balanced accuracy on real cells", "macro_f1": "macro F1 on real cells",
}  # fmt: skip
_FAMILIES: dict[str, str] = {
    "distance": "distance to real cells", "coverage": "coverage", "copying": "copying",
    "shortcuts": "shortcuts", "usefulness": "usefulness", "subjects": "subjects",
}  # fmt: skip


def measure_name(found: Measurement) -> str:
    """Return what a card calls a measurement, with the arm where there are several."""
    name = _NAMES.get(found.name, found.name.replace("_", " "))
    return f"{name}, {found.arm}" if found.arm else name


def family_name(family: str) -> str:
    """Return what a card calls a family of measurements."""
    return _FAMILIES.get(family, family.replace("_", " "))


def goal_text(found: Measurement) -> str:
    """Return the goal of a measurement as it is read."""
    low, high = found.goal_low, found.goal_high
    if low is not None and high is not None:
        return f"{low:.3g} to {high:.3g}"
    if low is not None:
        return f"at least {low:.3g}"
    return "–" if high is None else f"at most {high:.3g}"
