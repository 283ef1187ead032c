from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from curation.errors import GeneratorError, OutputExistsError
from curation.output import partial_path
from curation.vocabulary import LABEL_IDS
from synth import denoiser
from synth import train as module
from synth.config import TrainConfig, preset
from synth.denoiser import build_denoiser
from synth.generator import Generator, load_generator
from synth.train import TrainingRun, train, training_loss
from tests.made import TRAINING, Made, disc, write_export

STEPS = 24
SHORT = preset("smoke").model_copy(
    update={"images": 2 * STEPS, "batch": 2, "side": 8, "channels": (16, 32)}
)


def log(generator: Generator) -> list[tuple[int, float]]:
    lines = (generator.path / "training.jsonl").read_text().splitlines()
    return [(entry["images"], entry["loss"]) for entry in map(json.loads, lines)]


def same(one: Generator, other: Generator) -> None:
    """The weights, their averages and what the log says are equal bit for bit."""
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (one.path / name).read_bytes() == (other.path / name).read_bytes()
    timeless = {"seconds": 0.0}
    assert one.info.model_copy(update=timeless) == other.info.model_copy(update=timeless)
    assert log(one) == log(other)


@pytest.fixture(scope="module")
def unbroken(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return train(made.real, tmp_path_factory.mktemp("unbroken") / "generator", SHORT)


@pytest.mark.e2e
def test_the_same_seed_makes_the_same_weights(
    made: Made, unbroken: Generator, tmp_path: Path
) -> None:
    same(train(made.real, tmp_path / "again", SHORT), unbroken)
    other = train(made.real, tmp_path / "other", SHORT.model_copy(update={"seed": 1}))
    assert other.info.fingerprint != unbroken.info.fingerprint


def test_what_a_training_leaves(made: Made, unbroken: Generator) -> None:
    files = {str(p.relative_to(unbroken.path)) for p in unbroken.path.rglob("*") if p.is_file()}
    assert files == {
        "generator.json", "model_index.json", "pipeline.py", "training.jsonl",
        "scheduler/scheduler_config.json", "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    info = unbroken.info
    assert info.images_seen == 2 * STEPS
    assert info.training_corpus == made.real.fingerprint
    assert info.trained_on == made.real.manifest.classes["train"]
    assert info.codec == made.real.manifest.codec
    assert info.license == "cc0-1.0"
    assert [images for images, _ in log(unbroken)] == [40, 48]
    assert info.final_loss == pytest.approx(log(unbroken)[-1][1], abs=1e-5)
    assert not partial_path(unbroken.path).exists()


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, name: str, call: int, *, after: bool = False
) -> None:
    """Press Ctrl-C at the n-th call of a method, before or after its work; only once."""
    plain: Callable[..., Any] = getattr(TrainingRun, name)
    calls = [0]

    def wrapped(self: TrainingRun, *args: Any) -> Any:
        calls[0] += 1
        if calls[0] == call and not after:
            raise KeyboardInterrupt
        result = plain(self, *args)
        if calls[0] == call:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(TrainingRun, name, wrapped)


@pytest.mark.e2e
@pytest.mark.parametrize("call", [1, 20, STEPS])
def test_an_interrupted_run_goes_on(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    out = tmp_path / "generator"
    interrupt_at(monkeypatch, "step", call, after=True)
    with pytest.raises(KeyboardInterrupt):
        train(made.real, out, SHORT)
    assert not out.exists()
    same(train(made.real, out, SHORT), unbroken)


def test_an_interrupted_progress_bar(made: Made, unbroken: Generator, tmp_path: Path) -> None:
    out = tmp_path / "generator"
    for told in (1, 2):  # while decoding, and while training

        def stop(what: str, done: int, total: int, told: int = told) -> None:
            if what.startswith("decode" if told == 1 else "train"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(made.real, out, SHORT, progress=stop)
        assert not out.exists()
    assert (partial_path(out) / "checkpoint.safetensors").is_file()
    same(train(made.real, out, SHORT), unbroken)


@pytest.mark.e2e
def test_half_a_step_is_not_kept(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "generator"
    interrupt_at(monkeypatch, "_average", 15)
    with pytest.raises(KeyboardInterrupt):
        train(made.real, out, SHORT)
    same(train(made.real, out, SHORT), unbroken)


@pytest.mark.e2e
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "generator"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_CHECKPOINT_SECONDS", 0.0)
        saves = [0]
        plain = TrainingRun._save

        def save(self: TrainingRun) -> None:
            saves[0] += 1
            if saves[0] == 15:
                # By the time of the crash the log has a line that no checkpoint knows of.
                patch.setattr(TrainingRun, "_save", lambda self: None)
            plain(self)

        patch.setattr(TrainingRun, "_save", save)
        plain_step = TrainingRun.step

        def step(self: TrainingRun) -> None:
            if self.done.step == 22:
                raise MemoryError
            plain_step(self)

        patch.setattr(TrainingRun, "step", step)
        with pytest.raises(MemoryError):
            train(made.real, out, SHORT)
    assert len((partial_path(out) / "log.jsonl").read_text().splitlines()) == 1
    same(train(made.real, out, SHORT), unbroken)


def test_another_config_starts_anew(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "generator"
    with monkeypatch.context() as patch:
        interrupt_at(patch, "step", 10, after=True)
        with pytest.raises(KeyboardInterrupt):
            train(made.real, out, SHORT.model_copy(update={"learning_rate": 1e-4}))
    same(train(made.real, out, SHORT), unbroken)


def test_a_loss_that_is_not_finite(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]

    def broken(*args: Any) -> torch.Tensor:
        calls[0] += 1
        return training_loss(*args) * (float("nan") if calls[0] == 4 else 1)

    monkeypatch.setattr(module, "training_loss", broken)
    with pytest.raises(GeneratorError, match=r"loss is nan after 6 images \(step 3\).*lower the"):
        train(made.real, tmp_path / "generator", SHORT)
    assert not (tmp_path / "generator").exists()


def test_a_time_limit_ends_a_run(made: Made, tmp_path: Path) -> None:
    config = SHORT.model_copy(update={"images": 10**9, "minutes": 0.01})
    generator = train(made.real, tmp_path / "generator", config)
    assert 0.5 <= generator.info.seconds < 5


def test_synthetic_cells_are_not_learned_from(made: Made, tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="holds synthetic cells"):
        train(made.synthetic, tmp_path / "generator", SHORT)
    assert not (tmp_path / "generator").exists()


def test_an_empty_training_split(made: Made, tmp_path: Path) -> None:
    held_out = [shard for shard in made.real.manifest.shards if shard.split != "train"]
    corpus = Corpus(
        made.real.path, made.real.manifest.model_copy(update={"shards": tuple(held_out)})
    )
    with pytest.raises(GeneratorError, match="has no training rows"):
        train(corpus, tmp_path / "generator", SHORT)
    assert not (tmp_path / "generator").exists()


def test_an_existing_out_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "generator").write_text("mine")
    with pytest.raises(OutputExistsError):
        train(made.real, tmp_path / "generator", SHORT)
    assert (tmp_path / "generator").read_text() == "mine"


def test_the_loss_at_a_fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refactoring of network, preconditioning or loss must give this number again."""
    # The vocabulary grows, and with it how many random numbers the first weights take.
    for where in (denoiser, module):
        monkeypatch.setattr(where, "NULL_LABEL", 32)
    torch.manual_seed(0)
    config = preset("smoke").model_copy(update={"dropout": 0.0})
    network = build_denoiser(config)
    images = np.stack([np.asarray(disc("basophil", seed, 16)) for seed in range(8)])
    clean = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    ids = torch.full((8,), LABEL_IDS["basophil"])
    loss = training_loss(network, clean, ids, config, torch.Generator().manual_seed(0))
    assert float(loss.detach()) == pytest.approx(1.576274, rel=1e-4)


@pytest.mark.e2e
def test_the_loss_falls(tmp_path: Path) -> None:
    real = curate([write_export(tmp_path / "export", 20)], tmp_path / "corpus", CurateConfig())
    config = TRAINING.model_copy(update={"images": 1_600, "learning_rate": 2e-3})
    assert isinstance(config, TrainConfig)
    losses = [loss for _, loss in log(train(real, tmp_path / "generator", config))]
    assert losses[-1] < 0.5 * losses[0]
    assert load_generator(tmp_path / "generator").info.final_loss < 0.4
