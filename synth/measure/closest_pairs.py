"""The drawn cells that are closest to a training cell, as a picture."""

from __future__ import annotations

import numpy as np

from ..contact_sheet import contact_sheet
from .nearest_pixels import Copies
from .sides import Cells, Picture
from .turned import nearest_orientations, turned_image

_PAIRS = 12


def closest_pairs(drawn: Cells, train: Cells, found: Copies) -> Picture:
    """Draw the closest pairs, copies first; training cells are laid as the drawn ones are."""
    order = np.lexsort((-found.drawn.correlation, ~found.copied))[:_PAIRS]
    matches = train.images[found.drawn.copied_from[order]]
    ways = nearest_orientations(drawn.images[order], matches)
    laid = [turned_image(image, int(way)) for image, way in zip(matches, ways, strict=True)]
    values = ", ".join(f"{found.drawn.correlation[row]:.3f}" for row in order)
    return Picture(
        "closest_training_pairs",
        "The synthetic cells that are closest to a training cell",
        f"Correlations with the nearest training cell, from the left: {values}. Copies stand first "
        f"({int(found.copied[order].sum())} of these). The training cells are turned and mirrored "
        "as the synthetic ones above lie.",
        "A row of synthetic cells above the training cells nearest to them.",
        contact_sheet([
            ("synthetic", [drawn.images[row] for row in order]),
            ("nearest\ntraining cell", laid),
        ]),
        shows_real=True,
    )  # fmt: skip
