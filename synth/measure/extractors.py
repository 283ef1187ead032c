"""The extractors by name: Inception, or a network in a file or folder of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curation.errors import MeasurementError

from .extractor import Extractor
from .extractor_dinov2 import dinov2_extractor
from .extractor_onnx import efficientnet_lite_extractor, onnx_extractor
from .features import inception_extractor
from .inception import InceptionWeights

INCEPTION = "inception"

FROM_PATH: dict[str, Callable[[Path], Extractor]] = {
    "dinov2": dinov2_extractor,
    "efficientnet-lite": efficientnet_lite_extractor,
    "onnx": onnx_extractor,
}
"""Name -> what opens a local file or folder; nothing is ever downloaded."""


def open_extractor(name: str, inception: Callable[[], InceptionWeights]) -> Extractor:
    """Return the extractor of a name: `inception`, or `NAME:PATH` with a name of `FROM_PATH`.

    Raises: MeasurementError where the name is unknown, or what lies at the path cannot be used.
    """
    if name == INCEPTION:
        return inception_extractor(inception())
    kind, colon, path = name.partition(":")
    if kind not in FROM_PATH or not colon or not path:
        known = ", ".join([INCEPTION, *(f"{kind}:PATH" for kind in FROM_PATH)])
        raise MeasurementError(f"no extractor is called {name!r}; there are {known}")
    return FROM_PATH[kind](Path(path))
