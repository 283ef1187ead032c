"""Drawn cells, real ones and training ones, made by code, for measures that take sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from curation.progress import silent
from synth.measure.config import EvaluateConfig
from synth.measure.sides import Cells, Context, Sides

Images = NDArray[np.uint8]
CLASSES = "basophil", "monocyte"


def blots(seed: int, count: int, side: int = 64) -> Images:
    """Return images of smooth random blots on a bright ground, different in every one."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, side)
    images = np.full((count, side, side, 3), 220.0)
    for image in images:
        # Few large ones alone would be one cell to whoever lays them over each other.
        for width in (*rng.uniform(0.1, 0.3, 5), *rng.uniform(0.03, 0.06, 25)):
            x, y = rng.uniform(-0.8, 0.8, 2)
            blot = np.exp(-((grid[:, None] - y) ** 2 + (grid[None] - x) ** 2) / (2 * width**2))
            image -= blot[..., None] * rng.uniform(10, 90, 3)
    return np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)


def cells(images: Images, name: str, subjects: Sequence[str | None] | None = None) -> Cells:
    """Return images as cells of two classes in turn."""
    count = len(images)
    labels = tuple(CLASSES[row % 2] for row in range(count))
    ids = tuple(f"{name}{row}" for row in range(count))
    return Cells(images, labels, ids, tuple(subjects or (None,) * count))


def made_sides(
    *, held: int = 60, train: int = 120, drawn: int = 60, side: int = 64, size: int | None = None
) -> Sides:
    """Return three sides of blots; `size` cells of each class are compared."""
    counts = size or min(held, train, drawn) // 2
    return Sides(
        cells(blots(1, held, side), "held"), cells(blots(2, train, side), "train"),
        cells(blots(3, drawn, side), "drawn"), dict.fromkeys(CLASSES, counts),
    )  # fmt: skip


def with_drawn(sides: Sides, images: Images) -> Sides:
    """Return the sides with other pixels drawn."""
    return replace(sides, drawn=replace(sides.drawn, images=images))


def made_context(**config: object) -> Context:
    """Return a context whose features are a fixed projection of the shrunken image."""

    def features(some: Cells) -> NDArray[np.float32]:
        project = np.random.default_rng(0).normal(size=(192, 16)) / 192
        small = some.images.reshape(len(some), 8, -1, 8, some.images.shape[2] // 8, 3)
        rows = small.mean(axis=(2, 4)).reshape(len(some), -1) / 255
        return np.asarray(rows @ project, np.float32)

    settings = EvaluateConfig.model_validate({"floor_splits": 4, **config})
    return Context(
        features=features, extractor="test features", pipeline="as they are; shrunken",
        reference="f" * 32 + " test", train_reference="f" * 32 + " train", config=settings,
        progress=silent,
    )  # fmt: skip
