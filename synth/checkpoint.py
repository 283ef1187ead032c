"""Training state on disk: one safetensors file, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from curation.output import write_whole


@dataclass(slots=True)
class Progressed:
    """How far training is; `losses` are those of the steps since `loss`, their mean, was noted."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    loss: float = float("nan")
    losses: list[float] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    ema: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    progressed: Progressed,
) -> None:
    """Write network, running average, optimizer moments and progress."""
    tensors: dict[str, Tensor] = {f"net.{k}": v for k, v in network.state_dict().items()}
    tensors.update({f"ema.{k}": v for k, v in ema.items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"opt.{index}.{k}": torch.as_tensor(v) for k, v in state.items()})
    contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_whole(path, save(contiguous, metadata={"progress": json.dumps(asdict(progressed))}))


def load_checkpoint(
    path: Path,
    network: nn.Module,
    ema: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Progressed:
    """Read a checkpoint back into the same objects; returns how far it was."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    network.load_state_dict(_part(tensors, "net."))
    for key, value in _part(tensors, "ema.").items():
        ema[key].copy_(value)
    states: dict[int, dict[str, Any]] = {}
    for key, value in _part(tensors, "opt.").items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    return Progressed(**json.loads(metadata["progress"]))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
