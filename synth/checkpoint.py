"""A training checkpoint in one safetensors file: written whole or not at all, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from curation.errors import GeneratorError
from curation.output import write_whole


@dataclass
class Progressed:
    """How far training is; `losses` are those of the steps since `loss`, their mean, was noted."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    losses: list[float] = field(default_factory=list)
    snapshots: int = 0
    best_held_out: float = float("inf")
    looks_without_gain: int = 0
    last_good_step: int = 0
    looked_at: int = 0  # images
    stopped: str = ""


def save_checkpoint(
    path: Path,
    network: nn.Module,
    averages: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progressed: Progressed,
) -> None:
    """Write network, running averages, optimizer moments and progress."""
    tensors: dict[str, Tensor] = {f"net.{k}": v for k, v in network.state_dict().items()}
    tensors.update({f"ema.{k}": v for k, v in averages.items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"opt.{index}.{k}": torch.as_tensor(v) for k, v in state.items()})
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_whole(path, save(contiguous, metadata={"progress": json.dumps(asdict(progressed))}))


def load_checkpoint(
    path: Path,
    network: nn.Module,
    averages: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Progressed:
    """Read a checkpoint back into the same objects; returns how far it was.

    Raises: GeneratorError where it is not whole, or of another architecture.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        progressed = Progressed(**json.loads(metadata["progress"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise GeneratorError(
            f"{path} is no checkpoint that this version can read ({error}). "
            "Next: remove it; the training then starts anew"
        ) from error
    _refuse_another(path, _part(tensors, "net."), network)
    network.load_state_dict(_part(tensors, "net."))
    for key, value in _part(tensors, "ema.").items():
        averages[key].copy_(value)
    states: dict[int, dict[str, Any]] = {}
    for key, value in _part(tensors, "opt.").items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    return progressed


def _refuse_another(path: Path, weights: Mapping[str, Tensor], network: nn.Module) -> None:
    theirs = {name: tuple(value.shape) for name, value in weights.items()}
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if theirs == ours:
        return
    name = min(k for k in theirs.keys() | ours.keys() if theirs.get(k) != ours.get(k))
    raise GeneratorError(
        f"{path} is a checkpoint of another architecture: {name} is "
        f"{theirs.get(name, 'absent')} there and {ours.get(name, 'absent')} here. "
        "Next: give the preset it was made with, or another --out"
    )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
