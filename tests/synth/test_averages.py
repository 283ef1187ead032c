from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ema_pytorch.post_hoc_ema import sigma_rel_to_gamma
from torch import Tensor, nn

from curation.errors import GeneratorError
from synth.averages import Averages, as_tensors

STEPS, SNAPSHOTS = 480, 12
WIDTHS = (0.05, 0.20)
HALF = 1e-3  # float16 has 11 bits


class Walk:
    """A toy run: the weights at every step, on a way with a drift and a wobble."""

    def __init__(self, folder: Path, steps: int = STEPS, snapshots: int = SNAPSHOTS) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(40, 25)
        self.averages = Averages(self.network, WIDTHS, folder)
        self.all: list[Tensor] = []
        self.tracked: dict[int, list[Tensor]] = {}
        drift = torch.randn_like(self.network.weight)
        for step in range(1, steps + 1):
            with torch.no_grad():
                self.network.weight += 0.01 * drift + 0.1 * torch.randn_like(drift)
            self.all.append(self.network.weight.detach().clone())
            self.averages.update(self.network, step)
            if step % (steps // snapshots) == 0:
                self.averages.snapshot(step)
                self.tracked[step] = [one["weight"].clone() for one in self.averages.tracked]

    def brute_force(self, width: float, steps: int) -> Tensor:
        """The power-function average of relative width `width` over all weights, step by step."""
        gamma = sigma_rel_to_gamma(width)
        total = torch.zeros_like(self.all[0], dtype=torch.float64)
        for step, weights in enumerate(self.all[:steps], start=1):
            kept = (1 - 1 / step) ** (gamma + 1)
            total = kept * total + (1 - kept) * weights
        return total.float()


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return Walk(tmp_path_factory.mktemp("walk") / "averages")


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_tracked_is_the_power_function_average(walk: Walk, number: int) -> None:
    expected = walk.brute_force(WIDTHS[number], STEPS)
    torch.testing.assert_close(walk.averages.tracked[number]["weight"], expected)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("last", [None, STEPS // 2])
def test_a_tracked_width_comes_back(walk: Walk, number: int, last: int | None) -> None:
    made = walk.averages.synthesize(WIDTHS[number], last)["weight"]
    torch.testing.assert_close(made, walk.tracked[last or STEPS][number], rtol=HALF, atol=HALF / 10)


@pytest.mark.parametrize("width", [0.08, 0.10, 0.15])
def test_any_width_between_is_made_afterwards(walk: Walk, width: float) -> None:
    expected = walk.brute_force(width, STEPS)
    error = (walk.averages.synthesize(width)["weight"] - expected).norm()
    # Far nearer than the average that was tracked next to it.
    nearest = min((one - expected).norm() for one in walk.tracked[STEPS])
    assert float(error) < 0.05 * float(nearest)


@pytest.mark.parametrize("width", [0.05, 0.10, 0.15, 0.20])
@pytest.mark.parametrize("snapshots", [1, 2])
def test_few_snapshots_do_not_shrink_the_weights(
    tmp_path: Path, width: float, snapshots: int
) -> None:
    network = nn.Linear(3, 2)
    averages = Averages(network, WIDTHS, tmp_path / "averages")
    for step in range(1, 101):
        averages.update(network, step)
        if step % (100 // snapshots) == 0:
            averages.snapshot(step)
    # The weights never changed: nor may their average, of whatever width.
    made = averages.synthesize(width)["weight"]
    torch.testing.assert_close(made, network.weight.detach(), rtol=HALF, atol=HALF)


def test_every_tensor_keeps_its_name_and_type(walk: Walk) -> None:
    made = walk.averages.synthesize(0.1)
    assert {k: (v.shape, v.dtype) for k, v in made.items()} == {
        k: (v.shape, torch.float32) for k, v in walk.network.state_dict().items()
    }
    assert set(as_tensors(walk.averages)) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_snapshot_right_before_the_last_does_no_harm(tmp_path: Path) -> None:
    # As where training is stopped a step after a snapshot was due. A width below those tracked
    # has the largest shares.
    walk = Walk(tmp_path / "averages", 3_984)
    with torch.no_grad():
        walk.network.weight += 1
    walk.all.append(walk.network.weight.detach().clone())
    walk.averages.update(walk.network, 3_985)
    walk.averages.snapshot(3_985)
    expected = walk.brute_force(0.02, 3_985)
    crowded = (walk.averages.synthesize(0.02)["weight"] - expected).norm()
    (tmp_path / "averages" / "000003984.safetensors").unlink()
    plain = (walk.averages.synthesize(0.02)["weight"] - expected).norm()
    assert float(crowded) < 1.5 * float(plain)


def test_what_a_resumed_run_has_yet_to_make_is_forgotten(tmp_path: Path) -> None:
    walk = Walk(tmp_path / "averages", 12, 4)
    walk.averages.keep_good(12)
    walk.averages.forget_after(6)
    assert [file.name for file in sorted((tmp_path / "averages").iterdir())] == [
        "000000003.safetensors", "000000006.safetensors",
    ]  # fmt: skip
    made = walk.averages.synthesize(WIDTHS[1])["weight"]
    torch.testing.assert_close(made, walk.tracked[6][1], rtol=HALF, atol=HALF / 10)


def test_what_is_kept_for_a_look_changes_nothing_but_an_early_end(tmp_path: Path) -> None:
    walk = Walk(tmp_path / "averages", 120, 4)
    before = walk.averages.synthesize(0.1)
    for step in (40, 100):
        walk.averages.keep_good(step)
    names = [file.name for file in (tmp_path / "averages").glob("good-*")]
    assert names == ["good-000000100.safetensors"]
    after = walk.averages.synthesize(0.1)
    assert all(torch.equal(before[name], after[name]) for name in before)
    # What was kept is the state at the end, called step 100; an average that ends there has it.
    ended = walk.averages.synthesize(WIDTHS[0], 100)["weight"]
    torch.testing.assert_close(ended, walk.tracked[120][0], rtol=HALF, atol=HALF / 10)


def test_without_a_snapshot_there_is_no_average(tmp_path: Path) -> None:
    averages = Averages(nn.Linear(2, 2), WIDTHS, tmp_path / "averages")
    with pytest.raises(GeneratorError, match="holds no snapshot of the averages"):
        averages.synthesize(0.1)
