"""Features from a network in an ONNX file: a haematology backbone, EfficientNet-lite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.corpus import file_sha256
from curation.errors import MeasurementError

from .extractor import Extractor, Network
from .extractor_image import imagenet_range, lite_range, plain_resize

_USUAL_SIDE = 224
Range = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def onnx_extractor(path: Path) -> Extractor:
    """Return the extractor of an ONNX file that takes images in ImageNet's range.

    Raises: MeasurementError where the file is missing, damaged, or takes no images.
    """
    return _extractor("onnx", path, imagenet_range, "ImageNet mean and deviation taken out")


def efficientnet_lite_extractor(path: Path) -> Extractor:
    """Return the extractor of an EfficientNet-lite ONNX file, which takes (x - 127) / 128.

    Raises: MeasurementError where the file is missing, damaged, or takes no images.
    """
    return _extractor("efficientnet-lite", path, lite_range, "(x - 127) / 128")


@dataclass(frozen=True, slots=True)
class _Input:
    """What the network takes: where the channels stand, and the size of an image in px."""

    name: str
    channels_last: bool
    height: int
    width: int


def _extractor(kind: str, path: Path, to_range: Range, range_text: str) -> Extractor:
    session = _session(path)
    takes = _input_of(session, path)
    run = _runner(session, takes)
    probe = np.zeros((1, 3, takes.height, takes.width), np.float32)
    return Extractor(
        # No name of a file: measurements are published.
        name=kind,
        sha256=file_sha256(path),
        pipeline=f"PIL bicubic to {takes.width} x {takes.height} px, {range_text}",
        dimensions=run(probe).shape[1],
        prepare=lambda image: to_range(plain_resize(image, takes.width, takes.height)),
        open_network=lambda: run,
    )


def _session(path: Path) -> Any:
    import onnxruntime

    if not path.is_file():
        raise MeasurementError(f"{path} is no ONNX file: there is no such file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it would write to stderr by itself
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # Its errors share no class but Exception; each is about this file.
    except Exception as error:
        raise MeasurementError(
            f"{path} cannot be opened as an ONNX network; it may be cut short or another format. "
            f"Found: {type(error).__name__}"
        ) from error


def _input_of(session: Any, path: Path) -> _Input:
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)":
        found = [f"{one.type} {one.shape}" for one in inputs]
        raise MeasurementError(
            f"{path.name} takes {found}; one input of float images, (n, 3, h, w) or (n, h, w, 3), "
            "was expected"
        )
    if shape[1] == 3:
        return _Input(inputs[0].name, False, _side(shape[2]), _side(shape[3]))
    if shape[3] == 3:
        return _Input(inputs[0].name, True, _side(shape[1]), _side(shape[2]))
    raise MeasurementError(f"{path.name} takes {shape}; no axis has the 3 channels of an image")


def _side(size: object) -> int:
    # A side that the file leaves open has a name, or none.
    return size if isinstance(size, int) and size > 0 else _USUAL_SIDE


def _runner(session: Any, takes: _Input) -> Network:
    batch = session.get_inputs()[0].shape[0]
    single = isinstance(batch, int)

    def run(images_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        images = images_NCHW
        if takes.channels_last:
            images = np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1))
        size = batch if single else len(images)
        found = [
            session.run(None, {takes.name: _filled(images[start : start + size], size)})[0]
            for start in range(0, len(images), size)
        ]
        rows = np.concatenate(found)[: len(images)]
        return _flat(rows, takes.channels_last)

    return run


def _filled(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return `size` images: a file may fix how many it takes at once."""
    lacking = size - len(images)
    if lacking == 0:
        return images
    return np.concatenate([images, np.zeros((lacking, *images.shape[1:]), np.float32)])


def _flat(rows: NDArray[np.float32], channels_last: bool) -> NDArray[np.float32]:
    """Return (n, d) of what came: maps are averaged over their places."""
    if rows.ndim == 4:
        rows = rows.mean(axis=(1, 2) if channels_last else (2, 3))
    return np.asarray(rows.reshape(len(rows), -1), np.float32)
