"""What is kept of a usable cell while its pixels are there: a glance, and what needs them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dedupe.turned import turned_id
from .glance import Glance, Glances, glance, side_by_side
from .pixels import ReleasedImage
from .tiles import channels
from .validate.checks import FineDetail, fine_detail


@dataclass(frozen=True, slots=True)
class Closeup:
    """One released cell: in small, its identity whichever way it is turned, its fine detail."""

    glance: Glance
    turned_id: str
    fine: FineDetail


@dataclass(frozen=True, slots=True)
class Closeups:
    """The cells of a chunk side by side; `fine` is float32 (n, 2), the fields of `FineDetail`."""

    glances: Glances
    turned_ids: tuple[str, ...]
    fine: NDArray[np.float32]


def closeup(image: ReleasedImage) -> Closeup:
    """Return what is kept of a released image."""
    planes = channels(image.pixels)
    return Closeup(
        glance(image, planes), turned_id(image.pixels), fine_detail(image.pixels, planes)
    )


def gather(closeups: Sequence[Closeup]) -> Closeups:
    """Return the cells of a chunk as arrays; at least one."""
    return Closeups(
        side_by_side([one.glance for one in closeups]),
        tuple(one.turned_id for one in closeups),
        np.array([one.fine for one in closeups], np.float32),
    )
