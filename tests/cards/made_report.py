"""Measurements and pictures of a made evaluation, large enough for every part of a report."""

from __future__ import annotations

import numpy as np
from PIL import Image

from curation.manifest import View
from synth.measure.measurement import Family, Measurement, Measurements
from synth.measure.sides import Picture

CLASSES = {
    "promyelocyte": 0.0833, "basophil": 0.0702, "lymphocyte_large_granular": 0.0624,
    "myelocyte": 0.0512, "metamyelocyte": 0.0475, "immature_granulocyte_unspecified": 0.0389,
    "neutrophil_band": 0.0261, "neutrophil_segmented": 0.0213, "monocyte": 0.0192,
    "eosinophil": 0.0185, "lymphocyte": 0.0148, "erythroblast": 0.0094, "platelet": 0.0031,
}  # fmt: skip
RUNGS = {
    "real": 0.884, "real + oversampled": 0.891, "real + augmented": 0.902,
    "real + synthetic": 0.917, "synthetic only": 0.731,
}  # fmt: skip
SHORTCUTS = {
    "codec_blocks": 0.512, "spectrum": 0.874, "border": 0.497, "colour_histogram": 0.633,
    "sharpness": 0.681, "size": 0.5, "everything at once, with a long name": 0.921,
}  # fmt: skip


def measured(name: str, label: str, value: float, **changes: object) -> Measurement:
    """Return a measurement of a name, a label and a value; the rest may be changed."""
    fields: dict[str, object] = {
        "name": name,
        "label": label,
        "value": value,
        "n_real": 2_440,
        "n_synthetic": 13_000,
        "direction": "zero" if name == "copied_share" else "lower",
        "extractor": "inception (weights 7f2c90be)",
        "pipeline": "central view, resized to 299 px",
        "reference": "b3:9e1f validation+test",
    }
    if name in ("copied_share", "nearest_train", "nearest_train_held_out"):
        fields |= {"family": "copying", "extractor": "correlation, 32 px, 8 orientations"}
    return Measurement.model_validate(fields | changes)


def pooled() -> list[Measurement]:
    """Return the first families over all classes, without goals."""
    return [
        measured("kid", "all", 0.02134, low=0.0186, high=0.0243, floor=0.0001,
                 floor_low=-0.0003, floor_high=0.0006),
        measured("fid", "all", 28.43, low=27.1, high=29.9, floor=9.83, n_real=1_220,
                 reliable=False),
        measured("copied_share", "all", 0.0, low=0.0, high=0.00028, n_real=9_760),
        measured("nearest_train", "all", 0.7123, low=0.7088, high=0.7161),
        measured("nearest_train_held_out", "all", 0.7391, low=0.7302, high=0.7466),
    ]  # fmt: skip


def by_class() -> list[Measurement]:
    """Return the first families class by class, without goals."""
    found = []
    for place, (label, kid) in enumerate(reversed(CLASSES.items())):
        n = 420 - 28 * place
        found += [
            measured("kid", label, kid, low=kid - 0.01, high=kid + 0.01, floor=0.0004,
                     floor_low=-0.002, floor_high=0.003, n_real=n, n_synthetic=1_000,
                     note="few held-out cells" if n < 100 else None),
            measured("fid", label, 900 * kid + 20, n_real=n, reliable=False),
            measured("copied_share", label, 0.0, low=0.0, high=0.0037),
            measured("nearest_train", label, 0.7 + kid, low=0.69 + kid, high=0.71 + kid),
            measured("nearest_train_held_out", label, 0.73 + kid),
        ]  # fmt: skip
    return found


def _family(family: Family, name: str, label: str, value: float, **more: object) -> Measurement:
    return measured(name, label, value, family=family, **more)


def _coverage() -> list[Measurement]:
    found = []
    for name, value, floor in (
        ("precision", 0.71, 0.83), ("recall", 0.64, 0.81), ("density", 0.66, 0.98),
        ("coverage", 0.78, 0.94),
    ):  # fmt: skip
        common: dict[str, object] = {
            "direction": "higher", "floor": floor, "floor_low": floor - 0.03,
            "floor_high": floor + 0.03, "goal_low": floor - 0.1,
        }  # fmt: skip
        found.append(
            _family("coverage", name, "all", value, low=value - 0.05, high=value + 0.05, **common)
        )
        found += [
            _family("coverage", name, label, value - 4 * kid, low=value - 5 * kid,
                    high=value - 3 * kid + 0.05, **common)
            for label, kid in CLASSES.items()
        ]  # fmt: skip
    found.append(
        _family("coverage", "vendi_ratio", "all", 0.71, low=0.68, high=0.74, floor=1.0,
                floor_low=0.97, floor_high=1.03, direction="higher", note="6.21 of drawn cells")
    )  # fmt: skip
    return found


def _usefulness() -> list[Measurement]:
    found = []
    for name, shift in (("balanced_accuracy", 0.0), ("macro_f1", -0.03)):
        found += [
            _family("usefulness", name, "all", value + shift, arm=rung, direction="higher",
                    low=value + shift - 0.012, high=value + shift + 0.012,
                    note=f"trained on {1_000 + len(rung)} cells")
            for rung, value in RUNGS.items()
        ]  # fmt: skip
    found.append(
        _family("usefulness", "gain", "all", 0.015, arm="real + synthetic", direction="higher",
                low=0.003, high=0.027, goal_low=0.0)
    )  # fmt: skip
    for label, kid in CLASSES.items():
        found += [
            _family("usefulness", "recall", label, value - kid, arm=rung, direction="higher",
                    low=value - kid - 0.04, high=min(value - kid + 0.04, 1))
            for rung, value in RUNGS.items()
        ]  # fmt: skip
    return found


def _shortcuts() -> list[Measurement]:
    common: dict[str, object] = {
        "direction": "lower", "floor": 0.5, "floor_low": 0.46, "floor_high": 0.54,
        "goal_low": 0.4, "goal_high": 0.6, "note": "floor: 20 random splits",
    }  # fmt: skip
    found = [
        _family("shortcuts", "shortcut_auc", "all", auc, arm=arm, low=auc - 0.03,
                high=auc + 0.03, **common)
        for arm, auc in SHORTCUTS.items()
    ]  # fmt: skip
    found.append(
        _family("shortcuts", "c2st_auc", "all", 0.63, arm="features", low=0.59, high=0.66, **common)
    )
    return found


def full() -> Measurements:
    """Return an evaluation with every family, goals, classes and arms."""
    goals: dict[str, dict[str, object]] = {
        "kid": {"goal_high": 0.01}, "copied_share": {"goal_low": 0.0, "goal_high": 0.0},
        "nearest_train": {"goal_high": 0.7466},
    }  # fmt: skip
    first = [m.model_copy(update=goals.get(m.name, {})) for m in pooled() + by_class()]
    subjects = [
        _family("subjects", "subject_imbalance", "all", 0.08, low=0.05, high=0.1,
                floor=0.07, floor_low=0.04, floor_high=0.09, goal_high=0.09)
    ]  # fmt: skip
    return evaluation([*first, *_coverage(), *_usefulness(), *_shortcuts(), *subjects])


def evaluation(found: list[Measurement] | None = None, **changes: object) -> Measurements:
    """Return the file of an evaluation; without measurements given, of the first families."""
    fields: dict[str, object] = {
        "format_version": 2,
        "real": "b3:real" + "0" * 57,
        "synthetic": "b3:synthetic" + "1" * 52,
        "generator": "b3:generator" + "2" * 52,
        "training_corpus": "b3:training" + "3" * 53,
        "view": View(side=64, crop=2 / 3),
        "held_out": ("validation", "test"),
        "seconds": 1_932.4,
        "measurements": tuple(pooled() + by_class() if found is None else found),
        "skipped": {"hairy_cell": "only 6 held-out real cells; at least 32 are needed"},
        "versions": {"torch": "2.9.0", "smearkit": "0.1.0"},
    }
    return Measurements.model_validate(fields | changes)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture that no codec makes small."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pictures() -> list[Picture]:
    """Return the pictures of a full report, as large as they come."""
    found = [
        Picture(f"cells_{label}", label, "Real above synthetic.", f"Cells of {label}",
                noise(782, 196, place), shows_real=True)
        for place, label in enumerate(CLASSES)
    ]  # fmt: skip
    for name in ("real_over_synthetic", "feature_map", "worst", "closest_training_pairs"):
        found.append(
            Picture(name, name.replace("_", " "), "What it shows.", f"A picture: {name}",
                    noise(900, 1_500), shows_real=name != "feature_map")
        )  # fmt: skip
    return found
