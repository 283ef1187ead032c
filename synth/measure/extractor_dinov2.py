"""Features of DINOv2 from a local folder in the format of transformers, or from TorchScript."""

from __future__ import annotations

import hashlib
import json
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curation.corpus import file_sha256
from curation.errors import MeasurementError

from .extractor import Extractor, Network
from .extractor_image import imagenet_range, plain_resize

_SIDE = 224
_WEIGHTS = "model.safetensors"
_CONFIG = "config.json"


def dinov2_extractor(path: Path) -> Extractor:
    """Return the extractor of a DINOv2 folder (its class token) or of a TorchScript file.

    The whole image comes to 224 px by a bicubic resize, as in the published Fréchet distances of
    DINOv2 features; nothing is cropped away, and nothing is downloaded.

    Source: Stein et al., Exposing flaws of generative model evaluation metrics, NeurIPS 2023.

    Raises: MeasurementError where a file is missing or damaged, or transformers is not installed.
    """
    return _of_folder(path) if path.is_dir() else _of_torchscript(path)


def _of_folder(path: Path) -> Extractor:
    weights, config = path / _WEIGHTS, path / _CONFIG
    for file in (weights, config):
        if not file.is_file():
            raise MeasurementError(
                f"{path} is no DINOv2 folder: it has no {file.name}. "
                "Next: give a folder that transformers' save_pretrained wrote"
            )
    if find_spec("transformers") is None:
        raise MeasurementError(
            "a DINOv2 folder is opened by the package transformers, which is not installed. "
            "Next: pip install transformers, or give a TorchScript or ONNX file (onnx:PATH)"
        )
    return _extractor(
        _joint_sha256([config, weights]),
        _hidden_size(config),
        lambda: _transformers_network(path),
    )


def _of_torchscript(path: Path) -> Extractor:
    if not path.is_file():
        raise MeasurementError(f"{path} is neither a DINOv2 folder nor a TorchScript file")
    network = _torchscript_network(path)
    probe = network(np.zeros((1, 3, _SIDE, _SIDE), np.float32))
    if probe.ndim != 2:
        raise MeasurementError(
            f"{path.name} gives {probe.shape} for one image; (1, d) was expected"
        )
    return _extractor(file_sha256(path), probe.shape[1], lambda: network)


def _extractor(sha256: str, dimensions: int, open_network: Any) -> Extractor:
    return Extractor(
        # No name of a file or folder: measurements are published.
        name="dinov2",
        sha256=sha256,
        pipeline=f"PIL bicubic to {_SIDE} x {_SIDE} px, ImageNet mean and deviation taken out",
        dimensions=dimensions,
        prepare=lambda image: imagenet_range(plain_resize(image, _SIDE, _SIDE)),
        open_network=open_network,
    )


def _joint_sha256(files: list[Path]) -> str:
    lines = "".join(f"{file_sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _hidden_size(config: Path) -> int:
    try:
        size = json.loads(config.read_text())["hidden_size"]
    except (ValueError, KeyError, TypeError) as error:
        raise MeasurementError(f"{config} says no hidden_size; it is no DINOv2 config") from error
    return int(size)


def _transformers_network(path: Path) -> Network:
    auto = import_module("transformers").AutoModel
    try:
        model = auto.from_pretrained(
            str(path), local_files_only=True, use_safetensors=True, trust_remote_code=False
        ).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise MeasurementError(f"{path} cannot be opened by transformers: {error}") from error
    return _on_arrays(lambda images: model(pixel_values=images).last_hidden_state[:, 0])


def _torchscript_network(path: Path) -> Network:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
            model = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise MeasurementError(
            f"{path.name} is no TorchScript file. A file of bare parameters says nothing of the "
            "network they belong to. Next: give a transformers folder, or export to ONNX"
        ) from error
    return _on_arrays(model)


def _on_arrays(model: Any) -> Network:
    def extract(images_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(images_NCHW)).float().numpy(), np.float32)

    return extract
