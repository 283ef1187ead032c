"""How an image comes to the size and the range that a classifier was trained with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def plain_resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """Return the whole image, (h, w, 3) uint8, as (3, height, width) float32 in [0, 255]."""
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32).transpose(2, 0, 1)


def imagenet_range(image_CHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image in [0, 255] with ImageNet's mean and deviation taken out of each channel."""
    mean = np.array(IMAGENET_MEAN, np.float32)[:, None, None]
    deviation = np.array(IMAGENET_STD, np.float32)[:, None, None]
    return np.asarray((image_CHW / 255 - mean) / deviation, np.float32)


def lite_range(image_CHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image in [0, 255] in the range of EfficientNet-lite, about [-1, 1]."""
    return np.asarray((image_CHW - 127) / 128, np.float32)
