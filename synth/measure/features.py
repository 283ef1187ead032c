"""Inception features of cell images, equal to clean-fid's on the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curation.chunks import chunks
from curation.errors import MeasurementError
from curation.progress import Progress, silent

from .inception import Extractor, InceptionWeights, open_inception

EXTRACTOR_NAME = "inception-2015-12-05"
PIPELINE = "clean-fid resize: float32, PIL bicubic to 299 px, clipped to [0, 255]"
FEATURES = 2_048

Resize = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(h, w, 3) uint8 -> (299, 299, 3) float32 in [0, 255]."""


def extractor_text(weights: InceptionWeights) -> str:
    """Return the extractor as a measurement states it: its name and the file's hash, 12 digits."""
    return f"{EXTRACTOR_NAME} sha256:{weights.sha256[:12]}"


def inception_features(
    images: Iterable[NDArray[np.uint8]],
    count: int,
    weights: InceptionWeights,
    *,
    batch: int = 32,
    progress: Progress = silent,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Return the features, (count, 2048) float32, of `count` images, each (h, w, 3) uint8 RGB.

    The images are read batch by batch and never held together. Without a device, the CPU works.

    Source: Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation,
    CVPR 2022 (clean-fid).

    Raises: MeasurementError where the network cannot be opened, where an image has another
    shape or type, where there are more or fewer images than said, or where a feature is not finite.
    """
    place = device or torch.device("cpu")
    extractor = open_inception(weights, place)
    resize = _clean_resize()
    features = np.empty((count, FEATURES), dtype=np.float32)
    done = 0
    for group in chunks(images, batch):
        if done + len(group) > count:
            raise MeasurementError(f"more than the {count} images that were announced")
        resized = np.stack([resize(_checked(image)) for image in group])
        features[done : done + len(group)] = _extract(extractor, resized, place)
        done += len(group)
        progress("features", done, count)
    if done != count:
        raise MeasurementError(f"{done} images came where {count} were announced")
    if not np.isfinite(features).all():
        raise MeasurementError(f"{extractor_text(weights)} gave features that are not finite")
    return features


def _extract(
    extractor: Extractor, images_NHWC: NDArray[np.float32], device: torch.device
) -> NDArray[np.float32]:
    images_NCHW = torch.from_numpy(images_NHWC).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode(), _full_precision():
        return np.asarray(extractor(images_NCHW.to(device)).cpu().numpy(), dtype=np.float32)


def _full_precision() -> AbstractContextManager[None]:
    """Keep TF32 out of the convolutions: numbers must not depend on the kind of the device."""
    cudnn: Any = torch.backends.cudnn
    context: AbstractContextManager[None] = cudnn.flags(enabled=True, allow_tf32=False)
    return context


def _clean_resize() -> Resize:
    from cleanfid.resize import build_resizer

    resize: Resize = build_resizer("clean")
    return resize


def _checked(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise MeasurementError(
            f"features are made of (height, width, 3) uint8 images, not {image.shape} {image.dtype}"
        )
    return image
