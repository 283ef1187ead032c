"""The Inception network of clean-fid's file as torch-fidelity reads it: the same parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_CLASSES = 1_008


def write_fidelity_weights(published: Any, file: Path) -> None:
    """Write the parameters of the published network under torch-fidelity's names.

    Both build the same layers in the same order, so they are matched one by one. Its classifier,
    which no distance looks at, is zero.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    ours = [layer for _, layer in published.named_modules() if hasattr(layer, "beta")]
    state: dict[str, Tensor] = {
        "fc.weight": torch.zeros(_CLASSES, 2_048),
        "fc.bias": torch.zeros(_CLASSES),
    }
    for name, layer in zip(_their_layers(FeatureExtractorInceptionV3, file), ours, strict=True):
        state[f"{name}.conv.weight"] = layer.weight.detach()
        state[f"{name}.bn.weight"] = torch.ones_like(layer.beta)
        state[f"{name}.bn.bias"] = layer.beta.detach()
        state[f"{name}.bn.running_mean"] = layer.mean.detach()
        state[f"{name}.bn.running_var"] = layer.var.detach()
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    torch.save(state, file)


def _their_layers(network: Any, file: Path) -> list[str]:
    """Return the names of the convolutions in the order in which the class makes them."""

    class Named(network):  # type: ignore[misc]
        def load_state_dict(self, state: Any, *rest: Any, **options: Any) -> None:
            """Load nothing: only the names are wanted, and it makes none without a file."""

    torch.save({}, file)
    empty = Named("names", ["2048"], feature_extractor_weights_path=str(file))
    names = [name for name, _ in empty.named_modules() if name.endswith(".conv")]
    return [name.removesuffix(".conv") for name in names]
