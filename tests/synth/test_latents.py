from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from curation.errors import GeneratorError, MeasurementError, TrainingPaused
from curation.output import partial_path
from curation.progress import silent
from synth import latents as module
from synth.config import TrainConfig, preset
from synth.generator import Generator, load_generator
from synth.latents import (
    LatentSource,
    LatentSpace,
    encode_split,
    load_autoencoder,
    measured_space,
    own_space,
    with_latents,
)
from synth.pipeline import CellDiffusionPipeline
from synth.train import train
from synth.training_pixels import BatchSource, TrainingPixels, oriented
from tests.made import disc, write_export
from tests.made_pretrained import SIDE, autoencoder

CPU = torch.device("cpu")
CONFIG = preset("gpu-256").model_copy(
    update={
        "side": SIDE, "crop": 1.0, "channels": (16, 32), "layers_per_block": 1, "images": 96,
        "batch": 8, "warmup_images": 16, "look_images": 48, "look_cells": 6, "snapshots": 4,
        "ema_tried": (0.05, 0.10), "learning_rate": 1e-3,
    }
)  # fmt: skip


def cells(count: int) -> TrainingPixels:
    images = np.stack([np.asarray(disc("basophil", seed, SIDE)) for seed in range(count)])
    ids = np.arange(count) % 3
    return TrainingPixels(images, ids, np.zeros(count, np.int64))


def encoded(folder: Path, pixels: TrainingPixels, turns: int = 8) -> Any:
    return encode_split(pixels, autoencoder(), folder / "latents.npy", turns, silent)


@pytest.fixture(scope="module", autouse=True)
def _without_inception() -> Iterator[None]:
    def missing(*args: Any, **options: Any) -> Any:
        raise MeasurementError("not here")

    # So the average is chosen by the loss on held-out latents, and in a tenth of the time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synth.choose_average.find_inception", missing)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("cells")
    config = CurateConfig(train=0.5, validation=0.5, test=0.0)
    return curate([write_export(folder / "export", 16)], folder / "corpus", config)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private-name") / "autoencoder"
    autoencoder().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def generator(corpus: Corpus, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    out = tmp_path_factory.mktemp("latent") / "generator"
    return train(corpus, out, CONFIG, autoencoder=str(weights))


def test_each_orientation_is_encoded_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IMAGES", 3)  # the last batch is short
    pixels, vae = cells(4), autoencoder()
    moments = encoded(tmp_path, pixels)
    assert (moments.shape, moments.dtype) == ((4, 8, 8, 8, 8), np.float16)
    clean = torch.from_numpy(pixels.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        for turn in range(8):
            found = vae.encode(oriented(clean, torch.full((4,), turn))).latent_dist
            whole = torch.cat([found.mean, found.std], dim=1).numpy()
            assert np.allclose(moments[:, turn], whole, rtol=2e-3, atol=2e-3)
    # What this is for: a turned image has other latents than the turned latents of the image.
    turned = np.rot90(moments[:, 0], 1, axes=(2, 3))
    assert np.abs(turned - moments[:, 1]).max() > 0.05


def test_latents_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(encoded(tmp_path, cells(2)))
    monkeypatch.setattr(module, "_encode", lambda *args: 1 / 0)
    assert np.array_equal(encoded(tmp_path, cells(2)), first)


def test_half_encoded_latents_are_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_IMAGES", 2)
        with pytest.raises(KeyboardInterrupt):
            encode_split(cells(4), autoencoder(), tmp_path / "latents.npy", 8, stop)
    assert not (tmp_path / "latents.npy").exists()
    assert np.all(np.array(encoded(tmp_path, cells(4)))[3] != 0)


def source(folder: Path, **changed: Any) -> tuple[LatentSource, TrainingPixels]:
    pixels = cells(12)
    moments = encoded(folder, pixels)
    space = measured_space(moments, autoencoder(), CONFIG.sigma_data)
    config = CONFIG.model_copy(update={"batch": 64, **changed})
    return LatentSource(with_latents(pixels, space, moments), config, CPU), pixels


def test_batches_have_the_spread_of_sigma_data(tmp_path: Path) -> None:
    drawn = torch.cat([source(tmp_path)[0].draw(step).images_BCHW for step in range(8)])
    for channel in range(4):
        assert abs(float(drawn[:, channel].mean())) < 0.03
        assert float(drawn[:, channel].std()) == pytest.approx(0.5, rel=0.05)


def test_a_step_draws_the_same_again_and_in_parts(tmp_path: Path) -> None:
    latents, pixels = source(tmp_path)
    whole = latents.draw(3)
    assert torch.equal(latents.draw(3).images_BCHW, whole.images_BCHW)
    assert not torch.equal(latents.draw(4).images_BCHW, whole.images_BCHW)
    parts = [latents.draw(3, slice(start, start + 16)) for start in range(0, 64, 16)]
    assert torch.equal(torch.cat([part.images_BCHW for part in parts]), whole.images_BCHW)
    assert not whole.jitter_BA.any()
    # The same cells as a run on pixels would see at this step.
    plain = BatchSource(pixels, latents.config, CPU).draw(3)
    assert torch.equal(plain.class_ids_B, whole.class_ids_B)


def test_a_step_samples_between_mean_and_spread(tmp_path: Path) -> None:
    mean, std = np.full((1, 8, 1, 2, 2), 3.0), np.full((1, 8, 1, 2, 2), 2.0)
    moments = np.concatenate([mean, std], axis=2).astype(np.float16)
    one = TrainingPixels(cells(1).images, np.zeros(1, np.int64), np.zeros(1, np.int64))
    space = LatentSpace(None, (1.0,), (0.5,))
    config = CONFIG.model_copy(update={"batch": 2_000})
    drawn = LatentSource(with_latents(one, space, moments), config, CPU).draw(0).images_BCHW
    assert float(drawn.mean()) == pytest.approx((3 - 1) * 0.5, abs=0.05)
    assert float(drawn.std()) == pytest.approx(2 * 0.5, rel=0.05)


def test_jitter_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="jitter cannot be drawn in latents"):
        source(tmp_path, augment=0.1)


def test_latents_that_tell_nothing(tmp_path: Path) -> None:
    moments = np.zeros((2, 8, 8, 4, 4), np.float16)
    with pytest.raises(GeneratorError, match="the same latents of all images"):
        measured_space(moments, autoencoder(), 0.5)


def test_the_own_scale_of_an_autoencoder() -> None:
    space = own_space(autoencoder())
    assert (space.shift, space.scale) == ((0.0,) * 4, (0.18215,) * 4)
    assert space.factor == 2


def test_a_side_that_is_no_multiple(weights: Path) -> None:
    with pytest.raises(GeneratorError, match=r"one latent of 2 px, which 15 px.*`side: 14`"):
        load_autoencoder(weights, 15, CPU)


@pytest.mark.e2e
def test_what_a_training_on_latents_leaves(generator: Generator, weights: Path) -> None:
    names = {p.name for p in generator.path.iterdir()}
    assert names == {
        "generator.json", "model_index.json", "pipeline.py", "training.jsonl", "scheduler",
        "unet", "conditioner", "vae", "looks",
    }  # fmt: skip
    for file in generator.path.rglob("*"):
        assert not file.is_file() or b"private-name" not in file.read_bytes()
    latent = generator.info.config.latent
    assert latent is not None
    assert latent.autoencoder is not None
    assert latent.autoencoder.name == "a local folder"
    assert generator.info.average.by.startswith("loss on validation cells")
    unet = generator.pipeline.unet.config
    assert (unet.in_channels, unet.out_channels, unet.sample_size) == (4, 4, SIDE // 2)
    whole = (weights / "diffusion_pytorch_model.safetensors").read_bytes()
    assert (generator.path / "vae/diffusion_pytorch_model.safetensors").read_bytes() == whole


@pytest.mark.e2e
def test_drawing_decodes(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = generator.pipeline
    images = pipeline.draw(["basophil", "monocyte"], [5, 6], 3, 1.5)
    assert images.shape == (2, SIDE, SIDE, 3)
    assert images.dtype == np.uint8
    assert np.abs(images - pipeline.draw(["basophil"], [5], 3, 1.5)[0].astype(int)).min() == 0
    # What reaches the decoder is not scaled any more.
    raw: list[torch.Tensor] = []
    plain = pipeline.vae.decode

    def decode(one: torch.Tensor, **options: Any) -> Any:
        raw.append(one)
        return plain(one, **options)

    monkeypatch.setattr(pipeline.vae, "decode", decode)
    monkeypatch.setattr(CellDiffusionPipeline, "_network", lambda self, x, *_: torch.zeros_like(x))
    pipeline.draw(["basophil"], [5], 1, 1.0)
    shift, scale = pipeline.config.latent_shift, pipeline.config.latent_scale
    scheduler = pipeline.scheduler
    noise = pipeline._noise([torch.Generator().manual_seed(5)]) * scheduler.init_noise_sigma
    sigma = float(scheduler.sigmas[0])
    skipped = noise * 0.25 / (sigma**2 + 0.25)  # EDM's c_skip at sigma_data 0.5
    expected = skipped / torch.tensor(scale).view(1, 4, 1, 1)
    expected = expected + torch.tensor(shift).view(1, 4, 1, 1)
    assert torch.allclose(raw[0], expected, atol=1e-4)


@pytest.mark.e2e
def test_it_draws_without_smearkit(generator: Generator) -> None:
    from diffusers import DiffusionPipeline

    alone = DiffusionPipeline.from_pretrained(generator.path, trust_remote_code=True)
    drawn = alone(["basophil"], seeds=[3], num_inference_steps=2, output_type="np").images
    ours = generator.pipeline.draw(["basophil"], [3], 2, 1.5)
    assert np.array_equal(drawn, ours)


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["config.json", "diffusion_pytorch_model.safetensors", ""])
def test_the_autoencoder_is_part_of_the_fingerprint(
    generator: Generator, tmp_path: Path, name: str
) -> None:
    copied = tmp_path / "generator"
    shutil.copytree(generator.path, copied)
    if not name:
        shutil.rmtree(copied / "vae")
    elif name == "config.json":
        path = copied / "vae" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "scaling_factor": 0.2}))
    else:
        autoencoder(seed=7).save_pretrained(copied / "vae")
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


@pytest.mark.e2e
def test_a_paused_run_on_latents_goes_on(
    corpus: Corpus, weights: Path, generator: Generator, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "generator"
    with pytest.raises(TrainingPaused):
        train(corpus, out, CONFIG, autoencoder=str(weights), stop_after_minutes=1e-9)
    assert (partial_path(out) / "latents.npy").is_file()
    monkeypatch.setattr(module, "_encode", lambda *args: 1 / 0)
    again = train(corpus, out, CONFIG, autoencoder=str(weights))
    assert again.info.fingerprint == generator.info.fingerprint


@pytest.mark.parametrize(
    ("name", "flags", "told"),
    [
        ("cpu-64", {"autoencoder": "x"}, "draws pixels and begins with no weights, so --autoenco"),
        ("gpu-64", {"base": "x"}, "so --base means nothing"),
        ("gpu-256", {}, "give --autoencoder NAME_OR_PATH"),
        ("gpu-256", {"base": "x"}, "trains its own U-Net. Next: leave --base out"),
        ("sd15", {"autoencoder": "x"}, "give --base NAME_OR_PATH"),
    ],
)
def test_weights_that_are_missing_or_not_asked_for(
    corpus: Corpus, tmp_path: Path, name: str, flags: dict[str, str], told: str
) -> None:
    with pytest.raises(GeneratorError, match=told):
        train(corpus, tmp_path / "generator", preset(name), **flags)  # type: ignore[arg-type]
    assert not partial_path(tmp_path / "generator").exists()


def test_a_run_on_pixels_is_the_same_run_as_before() -> None:
    plain = preset("cpu-64")
    written = plain.model_dump(mode="json")
    assert "latent" not in written
    assert TrainConfig.model_validate_json(json.dumps(written)) == plain
    latent = preset("sd15")
    assert TrainConfig.model_validate_json(latent.model_dump_json()) == latent
