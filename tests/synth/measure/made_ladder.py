"""Cells drawn by code for the ladder: discs, rings and blank grounds, and the context of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curation.progress import silent
from synth.measure.cell_classifier import ClassifierConfig
from synth.measure.config import EvaluateConfig
from synth.measure.sides import Cells, Context, Sides

SIDE = 16
FAST = ClassifierConfig(channels=(8, 16), steps=60, batch=16, learning_rate=1e-2)
CLASSES = ("basophil", "lymphocyte", "monocyte")


def made_image(label: str, rng: np.random.Generator, noise: float = 12) -> np.ndarray:
    """Draw a cell: a disc (basophil), a ring (lymphocyte) or a bar (monocyte)."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 + rng.uniform(-1.5, 1.5, 2)[:, None, None]
    radius = np.hypot(x, y)
    inside = {
        "basophil": radius < 5,
        "lymphocyte": (radius > 3) & (radius < 5.5),
        "monocyte": (np.abs(x) < 2) & (np.abs(y) < 6),
    }[label]
    pixels = np.where(inside[..., None], (110, 70, 150), (225, 215, 220))
    noisy = pixels + rng.normal(0, noise, (SIDE, SIDE, 3))
    return np.asarray(noisy.clip(0, 255), np.uint8)


def made_cells(
    name: str, counts: Mapping[str, int], seed: int, *, looks: Mapping[str, str] | None = None,
    noise: float = 12,
) -> Cells:  # fmt: skip
    """Draw so many cells of each class; `looks` is label -> the class that it looks like."""
    rng = np.random.default_rng(seed)
    labels = [label for label, count in counts.items() for _ in range(count)]
    looks = looks or {}
    images = [made_image(looks.get(label, label), rng, noise) for label in labels]
    none = (None,) * len(labels)
    ids = tuple(f"{name}-{number}" for number in range(len(labels)))
    return Cells(np.stack(images), tuple(labels), ids, none)


def made_context(config: EvaluateConfig | None = None) -> Context:
    """Return a context without features."""
    return Context(
        features=lambda cells: np.zeros((len(cells), 1), np.float32),
        extractor="none", pipeline="16 px, png; features", reference="real test",
        train_reference="real train", config=config or EvaluateConfig(ladder_seeds=2),
        progress=silent,
    )  # fmt: skip


def made_sides(
    *, train: Mapping[str, int], drawn: Mapping[str, int], looks: Mapping[str, str] | None = None
) -> Sides:
    """Return sides of which the drawn cells may look like another class than they should."""
    held = made_cells("held", dict.fromkeys(CLASSES, 20), 1)
    return Sides(
        held, made_cells("train", train, 2), made_cells("drawn", drawn, 3, looks=looks), {}
    )
