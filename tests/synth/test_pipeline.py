"""The pipeline, as it travels in the folder of a generator."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EDMDPMSolverMultistepScheduler
from numpy.typing import NDArray
from torch import Tensor

from curation.vocabulary import LABEL_IDS, LABELS
from synth import conditioner as conditioner_module
from synth import pipeline as pipeline_module
from synth.config import TrainConfig
from synth.denoiser import NULL_LABEL, Denoiser, build_denoiser
from synth.generator import Generator, build_pipeline
from synth.pipeline import CellDiffusionPipeline
from tests.made import TRAINING, Made

DRAWN = ["basophil", "monocyte", "lymphocyte"]
SEEDS = [5, 2**40 + 1, 17]
SHARES = {"basophil": [0.0, 1.0], "monocyte": [0.25, 0.75], "lymphocyte": [1.0, 0.0]}


def draw(generator: Generator, labels: list[str] = DRAWN, seeds: list[int] = SEEDS,
         steps: int = 3, guidance: float = 1.5) -> NDArray[np.uint8]:  # fmt: skip
    return generator.pipeline.draw(labels, seeds, steps, guidance)


def lively(config: TrainConfig = TRAINING, acquisitions: int = 2, seed: int = 0) -> Denoiser:
    """An untrained network whose output depends on all it is told: no weight of it is zero."""
    torch.manual_seed(seed)
    network = build_denoiser(config, acquisitions).eval()
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.05)
    return network


@pytest.fixture(scope="module")
def two_ways() -> CellDiffusionPipeline:
    """A pipeline of three classes in two acquisitions; read only."""
    return build_pipeline(lively(), TRAINING, SHARES)


@pytest.mark.parametrize("module", [pipeline_module, conditioner_module])
def test_what_travels_imports_nothing_of_this_project(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add((node.module or "").partition(".")[0])
    assert names <= {"__future__", "collections", "contextlib", "typing", "numpy", "torch",
                     "diffusers", "PIL"}  # fmt: skip


_ALONE = """
import sys
for name in ("smearkit", "synth", "curation", "cards"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} can be imported")
import inspect
import numpy as np
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1], trust_remote_code=True)
pipeline.set_progress_bar_config(disable=True)
images = pipeline(["basophil", "monocyte", "lymphocyte"], seeds=[5, 2**40 + 1, 17],
                  num_inference_steps=3).images
np.save(sys.argv[2], np.stack([np.asarray(image) for image in images]))
print(inspect.getsource(type(pipeline.conditioner)))
"""


@pytest.mark.e2e
def test_diffusers_alone_draws_the_same_pixels(made: Made, tmp_path: Path) -> None:
    # Only the packages that are installed: no project on the path, and no editable install of it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    code = "import sys; sys.path = [p for p in sys.path if p != PROJECT]\n"
    code = code.replace("PROJECT", repr(str(Path(__file__).resolve().parents[2]))) + _ALONE
    arguments = [sys.executable, "-c", code, str(made.generator.path), str(tmp_path / "x.npy")]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), draw(made.generator))
    # The class came from the code that lies in the folder.
    assert done.stdout.strip() in (made.generator.path / "conditioner/conditioner.py").read_text()
    assert "class CellConditioner" in done.stdout


def test_unknown_classes_are_refused(made: Made) -> None:
    with pytest.raises(ValueError, match="never trained on eosinophil; trained on basophil, lymph"):
        draw(made.generator, ["basophil", "eosinophil"], [1, 2])
    with pytest.raises(ValueError, match="never trained on no such"):
        draw(made.generator, ["no such"], [1])


def test_as_many_seeds_as_labels(made: Made) -> None:
    with pytest.raises(ValueError, match="3 labels, but 2 seeds"):
        draw(made.generator, DRAWN, SEEDS[:2])


def test_guidance_of_a_model_that_saw_every_label() -> None:
    config = TRAINING.model_copy(update={"label_dropout": 0.0})
    unguided = build_pipeline(lively(config, 1), config, {"basophil": [1.0]})
    with pytest.raises(ValueError, match="nothing to guide against; use a guidance of 1"):
        unguided.draw(["basophil"], [1], 3, 1.5)
    assert unguided.draw(["basophil"], [1], 3, 1.0).shape == (1, 16, 16, 3)


def test_calling_it_as_diffusers_does(made: Made) -> None:
    found = made.generator.pipeline(["basophil", "monocyte"], num_inference_steps=3)
    assert [image.size for image in found.images] == [(16, 16)] * 2
    array = made.generator.pipeline(["basophil", "monocyte"], num_inference_steps=3,
                                    output_type="np").images  # fmt: skip
    np.testing.assert_array_equal(np.asarray(found.images[1]), array[1])
    np.testing.assert_array_equal(array, draw(made.generator, ["basophil", "monocyte"], [0, 1]))


# What the network is asked


class Counting:
    """Counts the images that pass through the network, and what it is told of each."""

    def __init__(self, unet: Any) -> None:
        self.unet, self.told = unet, []  # type: ignore[var-annotated]

    def __call__(self, x: Tensor, timestep: Tensor, told: Tensor, **options: Any) -> Any:
        assert x.dtype == torch.float32
        assert x.is_contiguous(memory_format=torch.channels_last)
        self.told.append(told)
        return self.unet(x, timestep, told, **options)


@pytest.fixture
def counting(two_ways: CellDiffusionPipeline) -> Iterator[Counting]:
    """The network of `two_ways`, counting."""
    plain = two_ways.unet
    found = Counting(plain)
    # Past diffusers' own setter, which would note its class as that of a module to load.
    two_ways.__dict__["unet"] = found
    yield found
    two_ways.__dict__["unet"] = plain


def row_told(pipeline: CellDiffusionPipeline, label: int, acquisition: int) -> Tensor:
    told: Tensor = pipeline.conditioner(torch.tensor([label]), torch.tensor([acquisition]))
    return told


@pytest.mark.parametrize(("guidance", "images"), [(1.0, 1), (2.0, 2), (0.0, 2)])
def test_without_guidance_the_network_runs_once(
    two_ways: CellDiffusionPipeline, counting: Counting, guidance: float, images: int
) -> None:
    two_ways.draw(["basophil"], [1], 4, guidance)
    rows = [row_told(two_ways, LABEL_IDS["basophil"], 1), row_told(two_ways, NULL_LABEL, 1)]
    assert len(counting.told) == 4
    for told in counting.told:
        torch.testing.assert_close(told, torch.cat(rows[:images]))


def test_outside_its_interval_guidance_costs_nothing(
    two_ways: CellDiffusionPipeline, counting: Counting
) -> None:
    scheduler = EDMDPMSolverMultistepScheduler.from_config(two_ways.scheduler.config)
    scheduler.set_timesteps(8)
    levels = scheduler.sigmas[:8].tolist()
    # The bounds belong to it.
    two_ways.draw(["basophil"], [1], 8, 2.0, (levels[5], levels[2]))
    assert [len(told) for told in counting.told] == [1, 1, 2, 2, 2, 2, 1, 1]


def test_an_interval_of_every_level_is_none_and_one_of_none_is_scale_1(
    two_ways: CellDiffusionPipeline,
) -> None:
    def drawn(guidance: float, interval: tuple[float, float] | None) -> NDArray[np.uint8]:
        return two_ways.draw(DRAWN, SEEDS, 6, guidance, interval)

    np.testing.assert_array_equal(drawn(2.0, None), drawn(2.0, (0.0, 100.0)))
    np.testing.assert_array_equal(drawn(1.0, None), drawn(2.0, (90.0, 100.0)))
    inside = drawn(2.0, (0.1, 2.0))
    assert (inside != drawn(2.0, None)).any()
    assert (inside != drawn(1.0, None)).any()


def test_guidance_goes_away_from_no_label(
    two_ways: CellDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(x: Tensor, timestep: Tensor, told: Tensor) -> Tensor:
        return told.view(-1, 1, 1, 1) * torch.ones_like(x)

    monkeypatch.setattr(two_ways, "_network", network)
    told, against = torch.full((2, 1), 3.0), torch.full((2, 1), 1.0)
    for guidance, expected in ((1.0, 3.0), (0.0, 1.0), (2.0, 5.0), (1.5, 4.0)):
        out = two_ways._predict(torch.zeros(2, 3, 4, 4), torch.tensor(0.1), told, against, guidance)
        assert torch.equal(out, torch.full_like(out, expected))


# Acquisitions


def chosen(pipeline: CellDiffusionPipeline, labels: list[str], seeds: list[int]) -> list[int]:
    found: list[int] = pipeline.acquisitions_of(labels, seeds, None).tolist()
    return found


def test_each_class_comes_in_its_own_acquisitions(two_ways: CellDiffusionPipeline) -> None:
    seeds = list(range(400))
    for label, shares in SHARES.items():
        found = chosen(two_ways, [label] * 400, seeds)
        assert np.mean(found) == pytest.approx(shares[1], abs=0.06)
        assert set(found) == {number for number, share in enumerate(shares) if share}


def test_an_acquisition_depends_on_the_seed_and_not_on_the_batch(
    two_ways: CellDiffusionPipeline,
) -> None:
    seeds = list(range(60))
    together = chosen(two_ways, ["monocyte"] * 60, seeds)
    assert [chosen(two_ways, ["monocyte"], [seed])[0] for seed in seeds] == together
    mixed = chosen(two_ways, ["basophil", *["monocyte"] * 60], [3, *seeds])
    assert mixed[1:] == together
    assert chosen(two_ways, ["monocyte"] * 60, seeds[::-1]) == together[::-1]
    assert 0 < sum(together) < 60


def test_a_share_of_none_is_never_chosen(
    two_ways: CellDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lowest:
        def random(self) -> float:
            return 0.0

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Lowest())
    assert chosen(two_ways, ["basophil", "lymphocyte"], [1, 1]) == [1, 0]


def test_an_acquisition_for_all(two_ways: CellDiffusionPipeline, counting: Counting) -> None:
    two_ways.draw(["basophil", "lymphocyte"], [1, 2], 2, 1.0, None, 0)
    rows = [row_told(two_ways, LABEL_IDS[name], 0) for name in ("basophil", "lymphocyte")]
    torch.testing.assert_close(counting.told[0], torch.cat(rows))


def test_the_style_of_another_acquisition_is_another_image(
    two_ways: CellDiffusionPipeline,
) -> None:
    own, other = (two_ways.draw(["basophil"], [1], 4, 1.0, None, which) for which in (1, 0))
    np.testing.assert_array_equal(own, two_ways.draw(["basophil"], [1], 4, 1.0))
    assert (own != other).any()


@pytest.mark.parametrize("acquisition", [-1, 2, 7])
def test_an_acquisition_out_of_range_is_refused(
    two_ways: CellDiffusionPipeline, acquisition: int
) -> None:
    with pytest.raises(ValueError, match=rf"no acquisition {acquisition}; known: 0 to 1\. Leave"):
        two_ways(["basophil"], acquisition=acquisition)


# The batch


def test_noise_does_not_depend_on_the_batch(made: Made) -> None:
    pipeline = made.generator.pipeline
    together = pipeline._noise(_seeded(SEEDS))
    for row, seed in enumerate(SEEDS):
        assert torch.equal(pipeline._noise(_seeded([seed]))[0], together[row])


def test_the_noise_of_every_step_is_the_images_own(made: Made) -> None:
    pipeline = made.generator.pipeline
    assert pipeline.scheduler.config.algorithm_type == "sde-dpmsolver++"

    def stepped(seeds: Sequence[int]) -> torch.Tensor:
        """Let the scheduler step twice from equal images and predictions: only noise differs."""
        scheduler = EDMDPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        scheduler.set_timesteps(6)
        x = torch.zeros(len(seeds), 12, 8, 8)
        generators = _seeded(seeds)
        for timestep in scheduler.timesteps[:2]:
            x = scheduler.step(torch.zeros_like(x), timestep, x, generator=generators).prev_sample
        return x

    together = stepped(SEEDS)
    for row, seed in enumerate(SEEDS):
        assert torch.equal(stepped([seed])[0], together[row])
    assert not torch.equal(together[0], together[1]), "two images, two noises"


def test_steps_add_noise(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = draw(made.generator, ["basophil"], [3], 6).astype(int)
    again = draw(made.generator, ["basophil"], [3], 6).astype(int)
    assert np.array_equal(noisy, again)
    plain = EDMDPMSolverMultistepScheduler.from_config(
        made.generator.pipeline.scheduler.config, algorithm_type="dpmsolver++"
    )
    monkeypatch.setattr(made.generator.pipeline, "scheduler", plain)
    assert np.abs(draw(made.generator, ["basophil"], [3], 6) - noisy).max() > 20


def _seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_an_image_does_not_depend_on_the_batch(made: Made) -> None:
    labels, seeds = (DRAWN * 11)[:32], [*SEEDS, *range(100, 129)]

    def drawn(batch: int) -> NDArray[np.int64]:
        parts = [
            draw(made.generator, labels[at : at + batch], seeds[at : at + batch], 6)
            for at in range(0, 32, batch)
        ]
        return np.concatenate(parts).astype(int)

    together = drawn(32)
    for batch in (1, 3):
        # The worst case that `draw` tells of; with native bfloat16, too.
        assert np.abs(drawn(batch) - together).max() <= 2
    assert np.abs(together[0] - together[3]).max() > 20, "another seed is another image"


_NOISE = """
import sys
import numpy as np
from synth.pipeline import CellDiffusionPipeline
class Config: side, patch = 16, 2
class Bare:
    import torch
    config, device, vae = Config(), torch.device("cpu"), None
seeded = [Bare.torch.Generator().manual_seed(seed) for seed in (5, 2**40 + 1, 17)]
np.save(sys.argv[1], CellDiffusionPipeline._noise(Bare(), seeded).numpy())
"""


def test_noise_does_not_depend_on_the_process(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _NOISE, str(tmp_path / "x.npy")], check=True)
    config = TRAINING.model_copy(update={"patch": 2})
    here = build_pipeline(lively(config), config, SHARES)
    assert torch.equal(torch.from_numpy(np.load(tmp_path / "x.npy")), here._noise(_seeded(SEEDS)))


def test_labels_of_the_vocabulary_are_the_ids_of_the_network(
    two_ways: CellDiffusionPipeline,
) -> None:
    assert two_ways.config.labels == list(LABELS)
    assert two_ways.conditioner.no_label == NULL_LABEL == len(LABELS)
