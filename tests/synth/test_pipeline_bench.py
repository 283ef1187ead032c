"""The benchmark of drawing, on the tiny generator with features that stand in for Inception's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EDMDPMSolverMultistepScheduler

from curation.errors import MeasurementError
from scripts import bench_sampling as module
from scripts import kept_work
from scripts.held_out import cells_in_turn, check_corpus, in_turn, like, of_labels
from scripts.kept_work import KeptWork
from scripts.variance_preserving import NoisePrediction, diffusers_samplers
from synth.config import SampleConfig
from synth.generator import build_pipeline
from synth.measure.inception import InceptionWeights
from synth.measure.kernel import Estimate
from synth.pipeline import CellDiffusionPipeline
from tests.made import TRAINING, Made, fake_features
from tests.synth.test_pipeline import SHARES, lively

WEIGHTS = InceptionWeights(Path("none"), "f" * 64, "a test")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measure with stand-in features; the list grows by the images of each call."""
    calls: list[int] = []

    def features(images: Any, count: int, weights: InceptionWeights) -> Any:
        calls.append(count)
        return fake_features(images, count, weights)

    monkeypatch.setattr(kept_work, "inception_features", features)
    return calls


def test_the_network_predicts_the_noise_of_a_variance_preserving_diffusion() -> None:
    # An untrained network knows only the spread of the data; the best guess is then exact.
    network = lively()
    torch.nn.init.zeros_(network.unet.conv_out.weight)
    pipeline = build_pipeline(network, TRAINING, SHARES)
    scheduler = DDPMScheduler()
    view = NoisePrediction(pipeline, scheduler.alphas_cumprod)
    view.tell(["basophil"], [1])
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for step in (0, 10, 400, 999):
        squared = float(scheduler.alphas_cumprod[step])
        spread = (1 - squared) ** 0.5
        expected = x * spread / (squared * TRAINING.sigma_data**2 + 1 - squared)
        with torch.no_grad():
            found = view(x, torch.tensor(step)).sample
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@contextmanager
def without_noise(pipeline: CellDiffusionPipeline) -> Iterator[CellDiffusionPipeline]:
    """Let a pipeline add no noise in its steps."""
    own = pipeline.scheduler
    pipeline.scheduler = EDMDPMSolverMultistepScheduler.from_config(
        own.config, algorithm_type="dpmsolver++"
    )
    yield pipeline
    pipeline.scheduler = own


@pytest.mark.parametrize("name", ["DDIM", "DPM-Solver++"])
def test_other_samplers_draw_the_same_cells(made: Made, name: str) -> None:
    # The same weights and the same first noise: solvers that add none end in the same image.
    labels, seeds = ["basophil", "monocyte", "lymphocyte"], [1, 2, 3]
    with without_noise(made.generator.pipeline) as pipeline:
        ours = pipeline.draw(labels, seeds, 50, 1.0).astype(int)
    _, sampler = diffusers_samplers(made.generator.pipeline)[name]
    theirs = sampler(labels, seeds).astype(int)
    assert np.abs(theirs - ours).mean() < 5
    assert np.abs(theirs[[1, 2, 0]] - ours).mean() > 20


def test_work_is_kept(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    held = cells_in_turn(made.real, "test", made.generator, 9)
    cells, config = like(held, seed=0), SampleConfig(steps=2, guidance=1.0)
    first = KeptWork(tmp_path, WEIGHTS)
    images = first.images(made.generator, cells, config)
    features = first.features(images)
    assert (first.drawn, first.measured, sum(calls)) == (9, 9, 9)
    again = KeptWork(tmp_path, WEIGHTS)
    np.testing.assert_array_equal(again.images(made.generator, cells, config), images)
    np.testing.assert_array_equal(again.features(images[::-1]), features[::-1])
    assert (again.drawn, again.measured, sum(calls)) == (0, 0, 9)
    again.images(made.generator, cells, config.model_copy(update={"guidance": 2.0}))
    again.images(made.generator, cells, config, made.generator)
    assert again.drawn == 18, "what is drawn otherwise is drawn anew"
    other = KeptWork(tmp_path, InceptionWeights(Path("none"), "e" * 64, "a test"))
    other.features(images)
    assert other.measured == 9, "features of another network are others"


def test_classes_come_in_turn(made: Made) -> None:
    labels = np.array(["a", "b", "b", "b", "c", "a", "b"], dtype=object)
    rows = in_turn(labels, ["a", "b"], seed=0)
    assert labels[rows].tolist() == ["a", "b", "a", "b", "b", "b"]
    assert sorted(rows) == [0, 1, 2, 3, 5, 6]
    held = cells_in_turn(made.real, "test", made.generator, 7)
    assert held.labels == ("basophil", "lymphocyte", "monocyte") * 2 + ("basophil",)
    test_images = {image.tobytes() for image in cells_in_turn(
        made.real, "test", made.generator, None).images}  # fmt: skip
    train = of_labels(made.real, "train", made.generator, held.labels)
    assert train.labels == held.labels
    assert not test_images & {image.tobytes() for image in train.images}
    cells = like(held, seed=3)
    assert [cell.label for cell in cells] == list(held.labels)
    assert len({cell.seed for cell in cells}) == 7
    assert like(held.first(4), seed=3) == cells[:4]


def test_a_corpus_that_was_not_learned_from_is_refused(made: Made) -> None:
    with pytest.raises(MeasurementError, match="was trained on corpus .*Next: give the corpus"):
        check_corpus(made.generator, made.synthetic)


def drawn(name: str, steps: int, kid: float, cpu_s: float) -> module.Drawn:
    images = np.zeros((10, 2, 2, 3), np.uint8)
    return module.Drawn(name, steps, images, 2 * cpu_s, cpu_s, Estimate(kid, kid - 1, kid + 1))


def test_the_fewest_steps_that_are_as_good_are_compared() -> None:
    ours = [drawn("ours-4", 4, 0.5, 1), drawn("ours-6", 6, 0.2, 2), drawn("ours-8", 8, 0.1, 4)]
    others = [drawn("DDIM-50", 50, 0.2, 10), drawn("DPM-Solver++-20", 20, 0.05, 7)]
    assert module.equal_kid([*ours, *others], "cpu") == [
        {"baseline": "DDIM-50", "ours": "ours-6", "times_faster": 5.0},
        {"baseline": "DPM-Solver++-20", "ours": None, "times_faster": None},
    ]


@pytest.mark.e2e
def test_the_whole_benchmark(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = counted(monkeypatch)
    monkeypatch.setattr(module, "find_inception", lambda folder: WEIGHTS)
    arguments = ["bench", "--generator", str(made.generator.path), "--real", str(made.real.path),
                 "-n", "12", "--ddpm", "0", "--steps", "3", "4", "--counts", "2", "5",
                 "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    module.main()
    found = json.loads((tmp_path / "bench.json").read_text())
    names = [one["name"] for one in found["samplers"]]
    assert names == ["ours-3", "ours-4", "DDIM-50", "DPM-Solver++-20"]
    assert {one["n"] for one in found["samplers"]} == {12}
    assert found["n_real"] == found["floor"]["n"] == 12
    assert all(one["low"] <= one["kid"] <= one["high"] for one in found["samplers"])
    assert all(one["images_per_s"] > 0 < one["images_per_cpu_s"] for one in found["samplers"])
    assert (
        [one["n"] for one in found["memory"]] == [one["n"] for one in found["by_count"]] == [2, 5]
    )
    assert all(one["peak_mb"] >= one["loaded_mb"] > 50 for one in found["memory"])
    text = (tmp_path / "bench.md").read_text()
    assert "| DDIM-50 | 50 | 12 | " in text
    assert "(goal: 3)" in text
    assert text in capsys.readouterr().out
    measured = sum(calls)
    module.main()
    assert sum(calls) == measured, "nothing is measured a second time"
