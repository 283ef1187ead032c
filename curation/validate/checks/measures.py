"""What is measured of every cell in the first pass; nothing is judged yet."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...glance import Glances
from ...tiles import TILE_PX, Tile
from .fine import FineDetail
from .found_cell import find_cell
from .light import see_light
from .stain import find_ground, stain_of

Column = NDArray[np.float32]


class Measures(NamedTuple):
    """The columns: one number a cell each.

    `sharpness` and `blockiness` are those of `FineDetail`; `ground` the brightness of the
    background, `clipped` and `filled` shares, all in [0, 1]; `colour` the mean chroma in [0, 1];
    `off_centre` how far the cell lies from the middle, 1 at the border; `contact` the border that
    it covers over its diameter; `spread` the extent of all that is stained as a share of the side;
    `core` the stain in the middle; `diameter_px` and `chord_px` the size of the cell and the mean
    width of everything dark, in px of the released image.
    """

    sharpness: float
    blockiness: float
    ground: float
    clipped: float
    colour: float
    filled: float
    off_centre: float
    contact: float
    spread: float
    core: float
    diameter_px: float
    chord_px: float


def check_scores(glances: Glances, fine: NDArray[np.float32]) -> dict[str, Column]:
    """Return column -> float32 (n,), raw; `calibrate` turns them into scores.

    `fine` is float32 (n, 2): the `FineDetail` of each cell.

    Raises: ValueError where `fine` does not fit.
    """
    expected = (len(glances), len(FineDetail._fields))
    if fine.shape != expected:
        raise ValueError(f"fine details of shape {fine.shape}; expected {expected}")
    rows = [
        _measure(tile, int(width), int(height), FineDetail(*detail))
        for tile, (width, height), detail in zip(
            glances.tiles_NHWC, glances.sizes.tolist(), fine.tolist(), strict=True
        )
    ]
    table = np.array(rows, np.float32).reshape(len(rows), len(Measures._fields))
    return {
        name: np.ascontiguousarray(table[:, place]) for place, name in enumerate(Measures._fields)
    }


def _measure(tile: Tile, width: int, height: int, fine: FineDetail) -> Measures:
    picture = _without_padding(tile, width, height)
    ground = find_ground(picture)
    light = see_light(picture, ground)
    cell = find_cell(stain_of(picture, ground))
    side = max(width, height)
    return Measures(
        sharpness=fine.sharpness,
        blockiness=fine.blockiness,
        ground=ground.level,
        clipped=light.clipped,
        colour=light.colour,
        filled=light.filled,
        off_centre=math.hypot(cell.x, cell.y),
        contact=cell.contact,
        spread=cell.spread,
        core=cell.core,
        diameter_px=cell.diameter * side,
        chord_px=light.chord * side,
    )


def _without_padding(tile: Tile, width: int, height: int) -> Tile:
    """Return the part of a tile that shows the image, as `shrink` laid it."""
    scale = TILE_PX / max(width, height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (TILE_PX - across) // 2, (TILE_PX - down) // 2
    return np.ascontiguousarray(tile[top : top + down, left : left + across])
