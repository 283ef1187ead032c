"""Inception features of cell images, equal to clean-fid's on the same pixels."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curation.progress import Progress, silent

from .extractor import BATCH, Extractor, Network
from .inception import Inception, InceptionWeights, open_fast_inception

EXTRACTOR_NAME = "inception-2015-12-05"
PIPELINE = "clean-fid resize: float32, PIL bicubic to 299 px, clipped to [0, 255]"
FEATURES = 2_048
BATCH_TOLERANCE = 5e-5
"""What a feature may differ by, between batches of other sizes and from clean-fid's."""
_SIDE = 299


def extractor_text(weights: InceptionWeights) -> str:
    """Return the extractor as a measurement states it: its name and the file's hash, 12 digits."""
    return inception_extractor(weights).text


def inception_extractor(
    weights: InceptionWeights, *, device: torch.device | None = None
) -> Extractor:
    """Return the extractor of the FID; without a device, the CPU works.

    Its features are clean-fid's to `BATCH_TOLERANCE`, whatever the batches.

    Source: Parmar et al., On Aliased Resizing and Surprising Subtleties in GAN Evaluation,
    CVPR 2022 (clean-fid).
    """
    return Extractor(
        name=EXTRACTOR_NAME,
        sha256=weights.sha256,
        pipeline=PIPELINE,
        dimensions=FEATURES,
        prepare=clean_resize,
        open_network=lambda: _on_arrays(weights, device or torch.device("cpu")),
    )


def inception_features(
    images: Iterable[NDArray[np.uint8]],
    count: int,
    weights: InceptionWeights,
    *,
    batch: int = BATCH,
    progress: Progress = silent,
    device: torch.device | None = None,
) -> NDArray[np.float32]:
    """Return the features, (count, 2048) float32, of `count` images, each (h, w, 3) uint8 RGB.

    Raises: MeasurementError as `Extractor.features` does.
    """
    extractor = inception_extractor(weights, device=device)
    return extractor.features(images, count, batch=batch, progress=progress)


def clean_resize(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return an image, (h, w, 3) uint8, as clean-fid feeds it: (3, 299, 299) float32, [0, 255].

    Bit for bit what clean-fid's resize gives, written channel by channel to where the network
    reads it, which takes half the time.
    """
    resized = np.empty((3, _SIDE, _SIDE), np.float32)
    for channel, out in enumerate(resized):
        plane = Image.fromarray(image[:, :, channel].astype(np.float32))
        big = np.asarray(plane.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float32)
        np.clip(big, 0, 255, out=out)
    return resized


def _on_arrays(weights: InceptionWeights, device: torch.device) -> Network:
    network: Inception = open_fast_inception(weights, device)

    def extract(images_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), _full_precision():
            features = network(torch.from_numpy(images_NCHW).to(device))
        return np.asarray(features.cpu().numpy(), dtype=np.float32)

    return extract


def _full_precision() -> AbstractContextManager[None]:
    """Keep TF32 out of the convolutions: numbers must not depend on the kind of the device."""
    cudnn: Any = torch.backends.cudnn
    context: AbstractContextManager[None] = cudnn.flags(enabled=True, allow_tf32=False)
    return context
