from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from curation.errors import GeneratorError
from synth.checkpoint import Progressed, load_checkpoint, save_checkpoint

DONE = Progressed(step=7, images=14, seconds=1.5, loss=0.25, losses=[0.5, 0.125], snapshots=2)


class Trained:
    """A toy network after some steps of Adam."""

    def __init__(self, width: int = 3, steps: int = 3, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.1)
        for _ in range(steps):
            self.step()
        self.averages: dict[str, Tensor] = {
            f"0.{name}": 2 * value for name, value in self.network.state_dict().items()
        }

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.network(torch.ones(1, 2)).square().sum().backward()
        self.optimizer.step()

    def save(self, path: Path) -> Path:
        save_checkpoint(path, self.network, self.averages, self.optimizer, DONE)
        return path

    def load(self, path: Path) -> Progressed:
        return load_checkpoint(path, self.network, self.averages, self.optimizer)


def test_a_checkpoint_comes_back_with_all_that_the_next_step_needs(tmp_path: Path) -> None:
    saved, loaded = Trained(), Trained(steps=0, seed=1)
    assert loaded.load(saved.save(tmp_path / "one")) == DONE
    for name, value in saved.averages.items():
        assert torch.equal(loaded.averages[name], value)
    saved.step()
    loaded.step()
    for one, other in zip(saved.network.parameters(), loaded.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_architecture_is_refused_by_the_first_name_that_differs(tmp_path: Path) -> None:
    path = Trained(width=4).save(tmp_path / "one")
    told = r"another architecture: 0\.bias is \(4,\) there and \(3,\) here\. Next: give the preset"
    with pytest.raises(GeneratorError, match=told):
        Trained().load(path)
    wider = Trained()
    wider.network.append(nn.Linear(1, 1))
    with pytest.raises(GeneratorError, match=r"2\.bias is absent there and \(1,\) here"):
        wider.load(Trained().save(tmp_path / "two"))


@pytest.mark.parametrize("kept", [0, 20, 300, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, kept: int) -> None:
    path = Trained().save(tmp_path / "one")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GeneratorError, match="no checkpoint that this version can read .* remove"):
        Trained().load(path)


def test_a_file_without_progress_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"net.0.bias": torch.zeros(3)}, tmp_path / "one")
    with pytest.raises(GeneratorError, match="no checkpoint that this version can read"):
        Trained().load(tmp_path / "one")


def test_a_checkpoint_from_before_looks_were_counted(tmp_path: Path) -> None:
    import json

    from safetensors import safe_open
    from safetensors.torch import save_file

    path = Trained().save(tmp_path / "one")
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    del progress["looked_at"]
    save_file(tensors, path, metadata={"progress": json.dumps(progress)})
    assert Trained().load(path) == DONE
