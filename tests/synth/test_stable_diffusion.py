from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from curation.errors import GeneratorError
from curation.vocabulary import LABELS
from synth import stable_diffusion as module
from synth.conditioner import CellConditioner
from synth.config import preset
from synth.denoiser import build_denoiser
from synth.diffusion import sample_sigmas
from synth.generator import Generator
from synth.latents import own_space
from synth.sigma_space import LOG_SIGMAS, SigmaSpaceUNet, step_of
from synth.stable_diffusion import find_pretrained, with_lora
from synth.train import train
from tests.made import write_export
from tests.made_pretrained import SIDE, autoencoder, write_stable_diffusion

CONFIG = preset("sd15").model_copy(
    update={
        "side": SIDE, "crop": 1.0, "images": 480, "batch": 8, "warmup_images": 16,
        "look_cells": 0, "snapshots": 2, "ema_tried": (0.05,), "learning_rate": 2e-3,
    }
)  # fmt: skip
WEIGHTS = "diffusion_pytorch_model.safetensors"
peft = pytest.mark.skipif(find_spec("peft") is None, reason="peft (the extra lora) is not here")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stable_diffusion(tmp_path_factory.mktemp("private-name") / "base")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("cells")
    config = CurateConfig(train=0.5, validation=0.5, test=0.0)
    return curate([write_export(folder / "export", 8)], folder / "corpus", config)


@pytest.fixture(scope="module")
def generator(corpus: Corpus, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return train(corpus, tmp_path_factory.mktemp("tuned") / "generator", CONFIG, base=str(base))


def test_the_noise_levels_are_those_of_diffusers() -> None:
    from diffusers import DDPMScheduler

    alphas = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).alphas_cumprod.double()
    sigmas = ((1 - alphas) / alphas).sqrt()
    assert torch.allclose(LOG_SIGMAS.exp().double(), sigmas, rtol=1e-4)
    assert torch.allclose(step_of(sigmas), torch.arange(1_000.0), atol=0.02)
    between = step_of((sigmas[500] * sigmas[501]).sqrt().view(1))
    assert float(between) == pytest.approx(500.5, abs=0.05)
    assert step_of(torch.tensor([1e-4, 1e4])).tolist() == [0.0, 999.0]
    known = preset("sd15").latent
    assert known is not None
    assert known.sigma_range is not None
    assert known.sigma_range == pytest.approx((float(sigmas[0]), float(sigmas[-1])), rel=1e-3)


def test_it_is_the_same_denoiser_in_other_units(base: Path) -> None:
    from diffusers import EDMDPMSolverMultistepScheduler, UNet2DConditionModel

    ours = SigmaSpaceUNet.from_pretrained(base / "unet", use_safetensors=True).eval()
    theirs = UNet2DConditionModel.from_pretrained(base / "unet", use_safetensors=True).eval()
    edm = EDMDPMSolverMultistepScheduler(sigma_data=1.0)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    told = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    for step in (3, 400, 990):
        sigma = LOG_SIGMAS[step].exp()
        with torch.no_grad():
            scaled = edm.precondition_inputs(x, sigma)
            output = ours(scaled, edm.precondition_noise(sigma), told, return_dict=False)[0]
            noise = theirs(x / (1 + sigma**2).sqrt(), step, told.view(2, 3, 8)).sample
        denoised = edm.precondition_outputs(x, output, sigma)
        assert torch.allclose(denoised, x - sigma * noise, atol=2e-3)
        # Each image may have its own noise level, as in training.
        both = torch.stack([sigma, LOG_SIGMAS[100].exp()])
        with torch.no_grad():
            one = ours(scaled, both.log() / 4, told, return_dict=False)[0][0]
        assert torch.allclose(one, output[0], atol=1e-4)


def test_training_asks_no_level_that_it_does_not_know() -> None:
    sigmas = sample_sigmas(20_000, preset("sd15"), torch.Generator().manual_seed(0))
    assert float(sigmas.min()) >= 0.02917 - 1e-6
    assert float(sigmas.max()) == pytest.approx(14.6146)


def losses(generator: Generator) -> list[float]:
    lines = (generator.path / "training.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.e2e
def test_fine_tuning(generator: Generator, base: Path) -> None:
    assert losses(generator)[-1] < 0.5 * losses(generator)[0]
    info = generator.info
    assert info.config.channels == (16, 32)
    assert info.config.latent is not None
    assert info.config.latent.base is not None
    assert info.config.latent.base.name == "a local folder"
    for file in generator.path.rglob("*"):
        assert not file.is_file() or b"private-name" not in file.read_bytes()
    before, after = load_file(base / "unet" / WEIGHTS), load_file(generator.path / "unet" / WEIGHTS)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    scheduler = generator.pipeline.scheduler.config
    assert (scheduler.sigma_data, scheduler.sigma_max) == (1.0, 14.6146)
    assert generator.pipeline.conditioner.label.weight.shape == (len(LABELS) + 1, 8 * 8)


@pytest.mark.e2e
def test_guidance_goes_away_from_no_label(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = generator.pipeline
    plain = pipeline.draw(["basophil"], [1], 4, 1.0)
    assert plain.shape == (1, SIDE, SIDE, 3)
    guided = pipeline.draw(["basophil"], [1], 4, 3.0)
    assert not np.array_equal(plain, guided)
    assert np.array_equal(pipeline.draw(["basophil"], [1], 4, 3.0, (100.0, 200.0)), plain)
    # Where "no label" says what the class says, there is nothing to go away from.
    table = pipeline.conditioner.label.weight.data
    known = table.clone()
    table[pipeline.conditioner.no_label] = table[LABELS.index("basophil")]
    same = pipeline.draw(["basophil"], [1], 4, 3.0).astype(int)
    table.copy_(known)
    assert np.abs(same - plain).max() <= 1


@pytest.mark.e2e
def test_it_draws_without_smearkit(generator: Generator) -> None:
    from diffusers import DiffusionPipeline

    alone = DiffusionPipeline.from_pretrained(generator.path, trust_remote_code=True)
    assert type(alone.unet).__name__ == "SigmaSpaceUNet"
    assert not isinstance(alone.unet, SigmaSpaceUNet)  # but the folder's own code
    drawn = alone(["basophil"], seeds=[3], num_inference_steps=2, output_type="np").images
    assert np.array_equal(drawn, generator.pipeline.draw(["basophil"], [3], 2, 1.5))


def found(base: Path) -> Any:
    return find_pretrained(CONFIG, None, str(base))


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_weights_as_pickles_are_refused(base: Path, tmp_path: Path, part: str) -> None:
    copied = shutil.copytree(base, tmp_path / "base")
    (copied / part / WEIGHTS).rename(copied / part / "diffusion_pytorch_model.bin")
    with pytest.raises(GeneratorError, match=rf"model.bin, a pickle.*Next: get .* as {WEIGHTS}"):
        found(copied)
    (copied / part / "diffusion_pytorch_model.bin").unlink()
    with pytest.raises(GeneratorError, match=f"has no {WEIGHTS}. Next: download it again"):
        found(copied)


@pytest.mark.parametrize(
    ("part", "field", "value", "told"),
    [
        ("unet", "_class_name", "UNet2DModel", "'UNet2DModel'; expected 'UNet2DConditionModel'"),
        ("vae", "_class_name", "VQModel", "'VQModel'; expected 'AutoencoderKL'"),
        ("unet", "in_channels", 9, "in_channels is 9; expected 4"),
        ("unet", "addition_embed_type", "text_time", "addition_embed_type is 'text_time'"),
        ("unet", "cross_attention_dim", [8, 16], r"cross_attention_dim is \[8, 16\]"),
        ("scheduler", "prediction_type", "v_prediction", "prediction_type is 'v_prediction'"),
        ("scheduler", "beta_end", 0.02, "beta_end is 0.02; expected 0.012"),
    ],
)
def test_another_architecture(
    base: Path, tmp_path: Path, part: str, field: str, value: Any, told: str
) -> None:
    copied = shutil.copytree(base, tmp_path / "base")
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    path = copied / part / name
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(GeneratorError, match=f"of another architecture.*{told}"):
        found(copied)


def test_a_side_that_cannot_be_halved_so_often(base: Path, corpus: Corpus, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"side": 18})
    with pytest.raises(GeneratorError, match=r"18 px is no multiple of 4 px.*`side: 16`"):
        train(corpus, tmp_path / "generator", config, base=str(base))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(GeneratorError, match="holds no pretrained weights: its config.json"):
        found(tmp_path)


def test_a_name_of_the_hub(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        assert name == "someone/base"
        asked.extend(allow_patterns)
        return str(base)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    config, _ = find_pretrained(CONFIG, None, "someone/base")
    assert config.latent is not None
    assert config.latent.base is not None
    assert config.latent.base.name == "someone/base"
    assert config.latent.base.digest == found(base)[0].latent.base.digest
    assert asked
    assert all(name.endswith((".safetensors", ".json")) for name in asked)


@pytest.mark.parametrize("name", ["no/such/folder", "someone/base"])
def test_neither_a_folder_nor_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(name: str, **_: Any) -> str:
        raise LocalEntryNotFoundError("no network")

    if name == "someone/base":
        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(GeneratorError, match=f"'{name}' is no folder, and nothing of that name"):
        find_pretrained(CONFIG, None, name)


def test_an_adapter_of_nothing() -> None:
    with pytest.raises(GeneratorError, match="'gpu-64' fine-tunes nothing, so --lora means"):
        with_lora(preset("gpu-64"), 4)
    assert with_lora(preset("gpu-64"), None) == preset("gpu-64")
    changed = with_lora(CONFIG, 4).latent
    assert changed is not None
    assert changed.lora == 4


def test_an_adapter_without_peft(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(GeneratorError, match=r"needs the package peft.*'smearkit\[lora\]'"):
        find_pretrained(with_lora(CONFIG, 2), None, str(base))


@peft
def test_only_the_adapter_is_trained_and_kept(base: Path) -> None:
    space = own_space(autoencoder())
    unet = SigmaSpaceUNet.from_pretrained(base / "unet", use_safetensors=True)
    config, _ = find_pretrained(with_lora(CONFIG, 2), None, str(base))
    network = build_denoiser(config, 1, replace(space, base=unet))
    state = network.state_dict()
    assert all("lora_" in name or name.startswith("conditioner.") for name in state)
    assert sum(value.numel() for value in state.values()) < 0.4 * sum(
        value.numel() for value in network.parameters()
    )
    other = build_denoiser(config, 1, replace(space, base=unet))
    changed = {name: torch.full_like(value, 0.1) for name, value in state.items()}
    other.load_state_dict(changed)
    assert all(bool((value == 0.1).all()) for value in other.state_dict().values())
    x, noise, ids = torch.randn(1, 4, 8, 8), torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        adapted = other.eval()(x, noise, ids, ids)
        module.merge_adapter(other.unet)
        assert torch.allclose(other(x, noise, ids, ids), adapted, atol=1e-4)
    assert other.unet.state_dict().keys() == unet.state_dict().keys()


@peft
def test_an_adapter_learns(base: Path) -> None:
    unet = SigmaSpaceUNet.from_pretrained(base / "unet", use_safetensors=True)
    space = replace(own_space(autoencoder()), base=unet)
    network = build_denoiser(with_lora(CONFIG, 2), 1, space)
    trained = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-2)
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noise, ids = torch.zeros(4), torch.arange(4)
    found = []
    for _ in range(30):
        loss = network(x, noise, ids, torch.zeros_like(ids)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert found[-1] < 0.9 * found[0]


@peft
@pytest.mark.e2e
def test_an_adapter(corpus: Corpus, base: Path, tmp_path: Path) -> None:
    config = with_lora(CONFIG, 2)
    made = train(corpus, tmp_path / "generator", config, base=str(base))
    before, after = load_file(base / "unet" / WEIGHTS), load_file(made.path / "unet" / WEIGHTS)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".to_" in name for name in changed)
    assert made.pipeline.draw(["basophil"], [1], 2, 1.5).shape == (1, SIDE, SIDE, 3)


def test_tokens_begin_as_large_as_those_of_a_text(base: Path) -> None:
    unet = SigmaSpaceUNet.from_pretrained(base / "unet", use_safetensors=True)
    space = replace(own_space(autoencoder()), base=unet)
    conditioner = build_denoiser(CONFIG, 2, space).conditioner
    assert isinstance(conditioner, CellConditioner)
    ids = torch.arange(len(LABELS))
    told = conditioner(ids, torch.zeros_like(ids)).detach()
    assert float(told.std()) == pytest.approx(1.0, rel=0.25)
