"""Running averages of the weights at two widths, from which any width can be made afterwards.

Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models (EDM2),
CVPR 2024 (arXiv 2312.02696), section 3 and algorithms 2 and 3; solved by ema-pytorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from curation.errors import GeneratorError
from curation.output import write_whole

Weights = dict[str, Tensor]

_GOOD = "good-"
_NEAREST_SHARE = 0.01


class Averages:
    """Two power-function averages of a network's weights, and their snapshots in a folder."""

    def __init__(self, network: nn.Module, widths: Sequence[float], folder: Path) -> None:
        from ema_pytorch.post_hoc_ema import sigma_rel_to_gamma

        self.gammas = [float(sigma_rel_to_gamma(width)) for width in widths]
        self.folder = folder
        start = {k: v.detach() for k, v in network.state_dict().items()}
        self.tracked: list[Weights] = [
            {k: v.clone() for k, v in start.items()} for _ in self.gammas
        ]

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps (1 after the first)."""
        state = network.state_dict()
        for gamma, average in zip(self.gammas, self.tracked, strict=True):
            kept = (1 - 1 / step) ** (gamma + 1)
            names = list(average)
            torch._foreach_lerp_(
                [average[name] for name in names], [state[name] for name in names], 1 - kept
            )

    def snapshot(self, step: int) -> None:
        """Write both averages as float16; what they are made into later loses nothing by it."""
        self._write(f"{step:09d}")

    def keep_good(self, step: int) -> None:
        """Keep a snapshot, in place of the last one kept, at which an average may have to end."""
        self._write(f"{_GOOD}{step:09d}")
        for file, at in self._files(_GOOD):
            if at < step:
                file.unlink()

    def _write(self, stem: str) -> None:
        self.folder.mkdir(exist_ok=True)
        tensors = {
            f"{number}.{name}": value.to("cpu", torch.float16).contiguous()
            for number, average in enumerate(self.tracked)
            for name, value in average.items()
        }
        write_whole(self.folder / f"{stem}.safetensors", save(tensors))

    def forget_after(self, step: int) -> None:
        """Remove snapshots of steps that a resumed run has yet to make."""
        for file, at in [*self._files(), *self._files(_GOOD)]:
            if at > step:
                file.unlink()

    def synthesize(self, width: float, last_step: int | None = None) -> Weights:
        """Return the average of relative width `width` that ends at `last_step`, or at the end.

        Raises: GeneratorError without a snapshot.
        """
        from ema_pytorch.post_hoc_ema import sigma_rel_to_gamma, solve_weights

        files = self._usable(last_step)
        if not files:
            raise GeneratorError(f"{self.folder} holds no snapshot of the averages")
        steps = [float(at) for _, at in files for _ in self.gammas]
        gammas = self.gammas * len(files)
        shares = solve_weights(
            torch.tensor(steps), torch.tensor(gammas, dtype=torch.float64),
            torch.tensor([steps[-1]]), torch.tensor([sigma_rel_to_gamma(width)]),
        ).squeeze(1)  # fmt: skip
        # Of few snapshots the best fit sums to less than 1, and would shrink every weight.
        shares = shares / shares.sum()
        return _combined([file for file, _ in files], shares.view(len(files), -1).tolist())

    def _usable(self, last_step: int | None) -> list[tuple[Path, int]]:
        """Return the snapshots up to a step, the last one and those well apart before it.

        Two that hardly differ get large shares of opposite sign, which blow up their rounding.
        """
        good = self._files(_GOOD) if last_step is not None else []
        found = {at: file for file, at in [*good, *self._files()]}
        steps = [at for at in sorted(found, reverse=True) if last_step is None or at <= last_step]
        kept: list[int] = []
        for at in steps:
            if not kept or kept[-1] - at >= _NEAREST_SHARE * kept[0]:
                kept.append(at)
        return [(found[at], at) for at in reversed(kept)]

    def _files(self, prefix: str = "") -> list[tuple[Path, int]]:
        pattern = f"{prefix}{'[0-9]' * 9}.safetensors"
        return [
            (file, int(file.stem.removeprefix(prefix)))
            for file in sorted(self.folder.glob(pattern))
        ]


def _combined(files: Sequence[Path], shares: Sequence[Sequence[float]]) -> Weights:
    total: Weights = {}
    for path, row in zip(files, shares, strict=True):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                number, name = key.split(".", 1)
                part = file.get_tensor(key).double() * row[int(number)]
                total[name] = total[name] + part if name in total else part
    return {name: value.float() for name, value in total.items()}


def as_tensors(averages: Averages) -> Mapping[str, Tensor]:
    """Return both averages under names that a checkpoint can hold."""
    return {
        f"{number}.{name}": value
        for number, average in enumerate(averages.tracked)
        for name, value in average.items()
    }
