"""Made tiles and glances: discs of a few kinds on backgrounds of a few acquisitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.glance import Glances
from curation.tiles import TILE_PX

CREAM, BLUE_GREY = (246, 238, 214), (222, 222, 234)
RADII = {"lymphocyte": 12, "monocyte": 20, "platelet": 6}
_DISTANCE = np.hypot(*(np.indices((TILE_PX, TILE_PX)) - (TILE_PX - 1) / 2))


def made_tile(
    label: str, background: tuple[int, int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a disc as large as its class, with grain, (96, 96, 3) uint8."""
    inside = RADII[label] + rng.normal(0, 1) > _DISTANCE
    colour = np.array((110, 60, 150)) + rng.normal(0, 6, 3)
    glass = np.array(background) + rng.normal(0, 1.5, 3)
    pixels = np.where(inside[..., None], colour, glass) + rng.normal(0, 2, (TILE_PX, TILE_PX, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def made_glances(
    labels: list[str], backgrounds: list[tuple[int, int, int]], seed: int = 0
) -> Glances:
    """Return one cell a label, on the background of the same place."""
    rng = np.random.default_rng(seed)
    tiles = [made_tile(*one, rng) for one in zip(labels, backgrounds, strict=True)]
    return Glances(np.stack(tiles), np.full((len(tiles), 2), 128, np.int32), ("jpeg",) * len(tiles))
