"""Pretrained weights by name or path: safetensors only, and of a named architecture."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from blake3 import blake3

from curation.corpus import file_sha256
from curation.errors import GeneratorError
from curation.manifest import Frozen, canonical_json

WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"
_CONFIG_NAME = "config.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


LOADING = threading.Lock()
"""Held while diffusers loads weights: it replaces how torch makes parameters meanwhile, and two
threads at it at once leave that replaced for good."""


class WeightsOrigin(Frozen):
    """Which pretrained weights a generator began with; a local folder's path is nobody's business.

    `digest` is over the weights and their configuration.
    """

    name: str
    digest: str


def find_weights(name_or_path: str, part: str, expected: str) -> Path:
    """Return the folder with the configuration and the weights of a part ("unet", "vae").

    A folder may be that part itself or a pipeline that holds it. Anything else is a name of the
    Hub, from which only the part's configuration and safetensors are downloaded.

    Raises: GeneratorError where there are none, where they are pickles, or where they are of
    another architecture than `expected`.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        folder = _download(name_or_path, part)
    if (folder / part).is_dir():
        folder = folder / part
    found = read_configuration(folder).get("_class_name")
    if found != expected:
        raise GeneratorError(
            f"{folder} is of another architecture: its {_CONFIG_NAME} says {found!r}; expected "
            f"{expected!r}. Next: give weights of diffusers' {expected}"
        )
    _refuse_pickles(folder)
    return folder


def read_configuration(folder: Path) -> dict[str, Any]:
    """Return the configuration of pretrained weights.

    Raises: GeneratorError where there is none.
    """
    try:
        content = json.loads((folder / _CONFIG_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise GeneratorError(
            f"{folder} holds no pretrained weights: its {_CONFIG_NAME} cannot be read. Next: give "
            "a folder as diffusers' save_pretrained writes it, or a name of the Hub"
        ) from error
    return content if isinstance(content, dict) else {}


def load_pretrained(model: Any, folder: Path) -> Any:
    """Return a model of a diffusers class with a folder's weights, which does not name the folder.

    diffusers notes the path in the configuration, and saves it with that.
    """
    with LOADING:
        loaded = model.from_pretrained(folder, use_safetensors=True)
    loaded.register_to_config(_name_or_path="")
    return loaded


def origin_of(name_or_path: str, folder: Path) -> WeightsOrigin:
    """Return what a generator says of the weights it began with."""
    name = "a local folder" if Path(name_or_path).is_dir() else name_or_path
    content = [file_sha256(folder / file) for file in (_CONFIG_NAME, WEIGHTS_NAME)]
    return WeightsOrigin(name=name, digest=blake3(canonical_json(content)).hexdigest(length=16))


def _refuse_pickles(folder: Path) -> None:
    if (folder / WEIGHTS_NAME).is_file():
        return
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix.casefold() in _PICKLES)
    if not pickles:
        raise GeneratorError(
            f"{folder} has no {WEIGHTS_NAME}. Next: download it again, or save the weights there "
            "with save_pretrained(…, safe_serialization=True)"
        )
    raise GeneratorError(
        f"{folder} holds its weights as {pickles[0]}, a pickle, which could run code when loaded. "
        f"Next: get the same weights as {WEIGHTS_NAME}; where nobody offers them, load them on a "
        "machine with nothing to lose and save_pretrained(…, safe_serialization=True) there"
    )


def _download(name: str, part: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = [_CONFIG_NAME, WEIGHTS_NAME, "scheduler/scheduler_config.json"]
    wanted += [f"{part}/{file}" for file in (_CONFIG_NAME, WEIGHTS_NAME)]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    # Without a network the client says so by an OSError: nothing of that name is in its cache.
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise GeneratorError(
            f"{name!r} is no folder, and nothing of that name came from the Hub "
            f"({type(error).__name__}). Next: check the name and the network, or give a folder"
        ) from error
