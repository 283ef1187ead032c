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
from curation.errors import GeneratorError, OutputExistsError, TrainingPaused
from curation.output import partial_path
from curation.vocabulary import LABEL_IDS
from synth import training_run
from synth.averages import Averages
from synth.conditioner import CellConditioner
from synth.config import TrainConfig, preset
from synth.denoiser import Denoiser, build_unet
from synth.generator import Generator, load_generator
from synth.train import train
from synth.training_pixels import Batch
from synth.training_run import TrainingRun, training_loss
from tests.made import TRAINING, Made, disc, jpeg, write_export

STEPS = 24
SHORT = preset("smoke").model_copy(
    update={"images": 2 * STEPS, "batch": 2, "side": 8, "channels": (16, 32)}
)

WEIGHTS = (
    "unet/diffusion_pytorch_model.safetensors",
    "conditioner/diffusion_pytorch_model.safetensors",
)


def log(generator: Generator) -> list[tuple[int, float]]:
    lines = (generator.path / "training.jsonl").read_text().splitlines()
    return [(entry["images"], entry["loss"]) for entry in map(json.loads, lines)]


def same(one: Generator, other: Generator) -> None:
    """The weights, their averages and what the log says are equal bit for bit."""
    for name in WEIGHTS:
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
        "scheduler/scheduler_config.json", "unet/config.json", "conditioner/config.json",
        "conditioner/conditioner.py", *WEIGHTS,
    }  # fmt: skip
    info = unbroken.info
    assert info.images_seen == 2 * STEPS
    assert info.training_corpus == made.real.fingerprint
    assert info.trained_on == made.real.manifest.classes["train"]
    assert info.codec == made.real.manifest.codec
    assert info.license == "cc0-1.0"
    assert [images for images, _ in log(unbroken)] == [40, 48]
    assert info.final_loss == pytest.approx(log(unbroken)[-1][1], abs=1e-5)
    assert (info.stopped, info.average.width) == ("at its end", 0.1)
    assert info.average.by == "only one was tried"
    assert not partial_path(unbroken.path).exists()


def interrupt_at(
    monkeypatch: pytest.MonkeyPatch, name: str, call: int, *, after: bool = False,
    owner: type = TrainingRun,
) -> None:  # fmt: skip
    """Press Ctrl-C at the n-th call of a method, before or after its work; only once."""
    plain: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    def wrapped(self: Any, *args: Any) -> Any:
        calls[0] += 1
        if calls[0] == call and not after:
            raise KeyboardInterrupt
        result = plain(self, *args)
        if calls[0] == call:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, wrapped)


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
    interrupt_at(monkeypatch, "update", 15, owner=Averages)
    with pytest.raises(KeyboardInterrupt):
        train(made.real, out, SHORT)
    same(train(made.real, out, SHORT), unbroken)


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "call"), [("_snapshot", 2), ("_write", 1), ("_go_on", 7)])
@pytest.mark.parametrize("after", [False, True])
def test_what_is_due_after_a_step_is_done_once(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, call: int, after: bool,
) -> None:  # fmt: skip
    out = tmp_path / "generator"
    interrupt_at(monkeypatch, name, call, after=after)
    with pytest.raises(KeyboardInterrupt):
        train(made.real, out, SHORT)
    same(train(made.real, out, SHORT), unbroken)


@pytest.mark.e2e
def test_a_paused_run_goes_on_with_the_same_call(
    made: Made, unbroken: Generator, tmp_path: Path
) -> None:
    out = tmp_path / "generator"
    for step in (1, 2):
        with pytest.raises(
            TrainingPaused, match=rf"paused after {2 * step} images, [48]% of the t"
        ) as e:
            train(made.real, out, SHORT, stop_after_minutes=1e-9)
        assert e.value.images == 2 * step
        assert e.value.share == pytest.approx(step / STEPS)
        assert not out.exists()
    same(train(made.real, out, SHORT), unbroken)


@pytest.mark.e2e
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "generator"
    with monkeypatch.context() as patch:
        patch.setattr(training_run, "_CHECKPOINT_SECONDS", 0.0)
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


def break_at(monkeypatch: pytest.MonkeyPatch, call: int, factor: float) -> None:
    """Multiply the loss of the n-th step."""
    calls = [0]

    def broken(*args: Any, **options: Any) -> torch.Tensor:
        calls[0] += 1
        return training_loss(*args, **options) * (factor if calls[0] == call else 1)

    monkeypatch.setattr(training_run, "training_loss", broken)


def test_a_loss_that_is_not_finite(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at(monkeypatch, 4, float("nan"))
    told = r"loss is nan after 6 images \(step 3\).*no checkpoint yet. Next: lower the learning"
    with pytest.raises(GeneratorError, match=told):
        train(made.real, tmp_path / "generator", SHORT)
    assert not (tmp_path / "generator").exists()


@pytest.mark.e2e
def test_a_loss_that_is_not_finite_leaves_the_checkpoint(
    made: Made, unbroken: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "generator"
    with pytest.raises(TrainingPaused):
        train(made.real, out, SHORT, stop_after_minutes=1e-9)
    with monkeypatch.context() as patch:
        break_at(patch, 4, float("inf"))
        with pytest.raises(GeneratorError, match=r"loss is inf after 8 images \(step 4\)") as e:
            train(made.real, out, SHORT)
    assert "checkpoint beside --out is kept (.generator.partial)" in str(e.value)
    same(train(made.real, out, SHORT), unbroken)


def test_a_gradient_that_is_not_finite(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steep(*args: Any, **options: Any) -> torch.Tensor:
        loss = training_loss(*args, **options)
        # Finite itself, with a slope that is not.
        return loss + (loss - loss.detach()).abs().sqrt()

    monkeypatch.setattr(training_run, "training_loss", steep)
    with pytest.raises(GeneratorError, match=r"gradient is (nan|inf) after 0 images \(step 0\)"):
        train(made.real, tmp_path / "generator", SHORT)


@pytest.mark.parametrize(
    ("batch", "advice"), [(2, "give --batch 1, or a smaller preset"), (1, "give a smaller preset")]
)
def test_too_little_memory(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, advice: str
) -> None:
    def full(*args: Any, **options: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(training_run, "training_loss", full)
    config = SHORT.model_copy(update={"batch": batch})
    told = rf"does not hold {batch} images of 8 px a step with preset 'smoke'. Next: {advice}"
    with pytest.raises(GeneratorError, match=told):
        train(made.real, tmp_path / "generator", config)


def test_a_class_with_one_image(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for label, count in (("basophil", 6), ("monocyte", 1)):
        (source / label).mkdir(parents=True)
        for seed in range(count):
            (source / label / f"{seed}.jpg").write_bytes(jpeg(disc(label, seed)))
    config = CurateConfig(train=1.0, validation=0.0, test=0.0)
    real = curate([source], tmp_path / "corpus", config)
    made = train(real, tmp_path / "generator", SHORT.model_copy(update={"images": 6}))
    assert made.info.trained_on == {"basophil": 6, "monocyte": 1}
    assert made.pipeline.draw(["monocyte"], [1], 2, 1.0).shape == (1, 8, 8, 3)


def test_a_time_limit_ends_a_run(made: Made, tmp_path: Path) -> None:
    config = SHORT.model_copy(update={"images": 10**9, "minutes": 0.01})
    generator = train(made.real, tmp_path / "generator", config)
    assert generator.info.seconds >= 0.6
    assert 0 < generator.info.images_seen < 10**9
    assert generator.info.stopped == "after its minutes"


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
    monkeypatch.setattr(training_run, "NULL_LABEL", 32)
    torch.manual_seed(0)
    config = preset("smoke").model_copy(update={"dropout": 0.0, "batch": 8})
    network = Denoiser(build_unet(config), CellConditioner(labels=32, acquisitions=2, width=128))
    # As built it answers 0, whatever it is asked.
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.02)
    images = np.stack([np.asarray(disc("basophil", seed, 16)) for seed in range(8)])
    clean = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    ids = torch.full((8,), LABEL_IDS["basophil"])
    batch = Batch(clean, ids, torch.tensor([0, 1] * 4), torch.zeros(8, 4))
    loss = training_loss(network, batch, config, torch.Generator().manual_seed(0), no_acquisition=2)
    assert float(loss.detach()) == pytest.approx(1.466740, rel=1e-4)


@pytest.mark.e2e
def test_the_loss_falls(tmp_path: Path) -> None:
    real = curate([write_export(tmp_path / "export", 20)], tmp_path / "corpus", CurateConfig())
    config = TRAINING.model_copy(update={"images": 1_600, "batch": 8})
    assert isinstance(config, TrainConfig)
    losses = [loss for _, loss in log(train(real, tmp_path / "generator", config))]
    assert losses[-1] < 0.5 * losses[0]
    assert load_generator(tmp_path / "generator").info.final_loss < 0.4
