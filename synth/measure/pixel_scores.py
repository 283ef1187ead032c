"""Which side an image is of, as a small convolutional network sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .two_sample import Sides

PIXEL_FOLDS = 2
"""Two: every fold more is a network more."""

_STEPS, _BATCH = 240, 64
_CHANNELS = 16, 32, 64
_SEED = 0


def pixel_scores(
    learned_NHWC: NDArray[Any], is_second: Sides, asked_NHWC: NDArray[Any]
) -> NDArray[np.float64]:
    """Score images (n, s, s, 3) uint8 by a network that learned from others in 8 orientations.

    Colour and scale are not jittered: what differs in them is found.
    """
    from .cell_classifier import ClassifierConfig, Lesson, train_classifier

    config = ClassifierConfig(channels=_CHANNELS, steps=_STEPS, batch=_BATCH, jitter=0)
    lesson = Lesson(learned_NHWC, is_second.astype(np.int64), 2, balanced=True, augmented=True)
    chances = train_classifier(lesson, _SEED, config).probabilities(asked_NHWC)
    odds = np.clip(chances.astype(np.float64), 1e-9, 1)
    return np.asarray(np.log(odds[:, 1]) - np.log(odds[:, 0]))
