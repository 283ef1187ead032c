"""Features of cells, extracted once in an evaluation however many measures ask for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation.progress import Progress

from .measure.features import FEATURES, PIPELINE, extractor_text, inception_features
from .measure.inception import InceptionWeights
from .measure.sides import Cells


class KeptFeatures:
    """Inception features by image id; call it with cells."""

    def __init__(self, weights: InceptionWeights, progress: Progress) -> None:
        """Keep nothing yet; the network is opened when a feature is first missing."""
        self.extractor = extractor_text(weights)
        self.pipeline = PIPELINE
        self._weights = weights
        self._progress = progress
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, cells: Cells) -> NDArray[np.float32]:
        """Return the features of cells, (n, 2048) float32, row by row.

        Raises: MeasurementError where the network cannot be opened.
        """
        missing = {name: row for row, name in enumerate(cells.ids) if name not in self._rows}
        if missing:
            rows = list(missing.values())
            images = (cells.images[row] for row in rows)
            found = inception_features(images, len(rows), self._weights, progress=self._progress)
            self._rows |= dict(zip(missing, found, strict=True))
        if not len(cells):
            return np.empty((0, FEATURES), np.float32)
        return np.stack([self._rows[name] for name in cells.ids])
