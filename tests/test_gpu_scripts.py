"""What scripts/gpu carries to an accelerator without a network, and back."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from curation.codec import codec_of
from curation.corpus import Corpus, load_corpus, verify_corpus
from curation.curate import CurateConfig, curate
from curation.errors import CorpusError, OutputExistsError, SmearkitError
from curation.manifest import View
from curation.pixels import decode_rgb
from scripts.gpu import pack as pack_module
from scripts.gpu.carry import carry_home, carry_in, carry_out
from scripts.gpu.pack import pack
from scripts.gpu.parts import PART_BYTES, join, split
from synth.averages import Averages, as_tensors
from synth.checkpoint import Progressed, load_checkpoint, save_checkpoint
from synth.config import preset
from synth.denoiser import Denoiser, build_denoiser
from synth.generator import load_generator, save_generator
from synth.view import apply_view
from tests.made import disc, write_export

ROOT = Path(__file__).resolve().parents[1]
CONFIG = preset("smoke").model_copy(update={"side": 8, "channels": (16, 32)})


def curated(folder: Path, kind: str) -> Corpus:
    source = folder / "export"
    if kind == "png":
        for label in ("basophil", "monocyte"):
            (source / label).mkdir(parents=True)
            for seed in range(12):
                disc(label, seed, 40).save(source / label / f"{seed}.png")
    else:
        write_export(source, 12)
    config = CurateConfig(license="cc0-1.0", train=0.5, validation=0.25, test=0.25)
    return curate([source], folder / "corpus", config)


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return curated(tmp_path_factory.mktemp("jpegs"), "jpeg")


@pytest.fixture(scope="module")
def pngs(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return curated(tmp_path_factory.mktemp("pngs"), "png")


def test_a_pack_is_a_smaller_corpus(jpegs: Corpus, tmp_path: Path) -> None:
    assert pack(jpegs, tmp_path / "pack", side=8, crop=0.5) == "JPEG with the corpus' tables"
    packed = load_corpus(tmp_path / "pack")
    verify_corpus(packed)
    assert packed.manifest.parents == {"corpus": jpegs.fingerprint}
    assert packed.manifest.classes == jpegs.manifest.classes
    assert packed.labels() == jpegs.labels()
    table = packed.rows(["subject", "slide", "site", "license"])
    assert table["subject"].null_count == table["slide"].null_count == len(table)
    assert set(table["license"].to_pylist()) == {"cc0-1.0"}
    for small, whole in zip(packed.images(), jpegs.images(), strict=True):
        assert codec_of(small) == codec_of(whole)
        pixels = decode_rgb(small)
        assert pixels.shape == (16, 16, 3)
        # The view is cut out as it is.
        assert np.array_equal(apply_view(pixels, View(side=8, crop=0.5)), pixels[4:12, 4:12])


def test_cells_are_not_enlarged(pngs: Corpus, tmp_path: Path) -> None:
    pack(pngs, tmp_path / "pack", side=64)
    first = next(load_corpus(tmp_path / "pack").images())
    assert decode_rgb(first).shape == (40, 40, 3)


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_pack_has_the_best_quality_that_fits(
    pngs: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pack(pngs, tmp_path / "best", side=24) == "WebP of quality 95"
    with Image.open(io.BytesIO(next(load_corpus(tmp_path / "best").images()))) as image:
        assert image.format == "WEBP"
    largest = bytes_of(tmp_path / "best")
    assert pack(pngs, tmp_path / "next", side=24, limit_bytes=largest - 1) == "WebP of quality 90"
    assert bytes_of(tmp_path / "next") < largest
    with pytest.raises(CorpusError, match=r"at 36 px are .* as WebP of quality 95.*smaller --side"):
        pack(pngs, tmp_path / "none", side=24, limit_bytes=1_000)
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / ".none.partial").exists()
    with pytest.raises(OutputExistsError):
        pack(pngs, tmp_path / "best", side=24)
    assert pack_module.LIMIT_BYTES == 50_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "weights").write_bytes(np.random.default_rng(0).bytes(25_000))
    (folder / "generator.json").write_text("{}")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_parts_are_small_and_make_the_whole(folder: Path, tmp_path: Path) -> None:
    parts = split(folder, tmp_path / "parts", part_bytes=10_000)
    assert len(parts) == 4
    assert all(path.stat().st_size <= 10_000 for path in parts)
    join(tmp_path / "parts", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    assert PART_BYTES <= 16_000_000
    with pytest.raises(OutputExistsError):
        join(tmp_path / "parts", tmp_path / "again")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("missing", "is not whole: part-001 is missing"),
        ("changed", "part-001 was changed: its checksum"),
        ("no list", "has no parts.json"),
        ("outside", "is not whole: ../secret is missing"),
    ],
)
def test_parts_that_are_not_whole(folder: Path, tmp_path: Path, fault: str, told: str) -> None:
    parts = tmp_path / "parts"
    split(folder, parts, part_bytes=10_000)
    if fault == "missing":
        (parts / "part-001").unlink()
    elif fault == "changed":
        data = bytearray((parts / "part-001").read_bytes())
        data[5] ^= 1
        (parts / "part-001").write_bytes(data)
    elif fault == "no list":
        (parts / "parts.json").unlink()
    else:
        (tmp_path / "secret").write_bytes(b"mine")
        (parts / "parts.json").write_text(json.dumps({"../secret": "0"}))
    with pytest.raises(SmearkitError, match=f"{told}.*carry all the files"):
        join(parts, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def trained(folder: Path, steps: int = 4) -> tuple[Denoiser, torch.optim.AdamW, Averages]:
    torch.manual_seed(0)
    network = build_denoiser(CONFIG)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    averages = Averages(network, CONFIG.ema_tracked, folder / "averages")
    ids = torch.zeros(2, dtype=torch.int64)
    for step in range(1, steps + 1):
        output = network(torch.randn(2, 3, 8, 8), torch.zeros(2), ids, ids)
        optimizer.zero_grad()
        (output - 1).square().mean().backward()
        optimizer.step()
        averages.update(network, step)
    return network, optimizer, averages


def test_the_state_of_a_run_is_small_and_goes_on(tmp_path: Path) -> None:
    left, state, again = tmp_path / "left", tmp_path / "state", tmp_path / "again"
    left.mkdir()
    network, optimizer, averages = trained(left)
    done = Progressed(step=4, images=8, loss=0.5, snapshots=1)
    path = left / "checkpoint.safetensors"
    save_checkpoint(path, network, as_tensors(averages), optimizer, done)
    (left / "job").write_text("token")
    (left / "pixels.npy").write_bytes(b"large")
    carry_out(left, state)
    assert {p.name for p in state.iterdir()} == {"job", "checkpoint.safetensors"}
    assert (state / "checkpoint.safetensors").stat().st_size < path.stat().st_size / 6
    carry_in(state, again)
    assert (again / "job").read_text() == "token"

    other = build_denoiser(CONFIG)
    resumed = torch.optim.AdamW(other.parameters(), lr=1e-3)
    kept = Averages(other, CONFIG.ema_tracked, again / "averages")
    found = load_checkpoint(again / "checkpoint.safetensors", other, as_tensors(kept), resumed)
    assert (found.step, found.images, found.snapshots, found.last_good_step) == (4, 8, 1, 4)
    for name, value in network.state_dict().items():
        near = value.to(torch.bfloat16).float()
        assert torch.equal(other.state_dict()[name], near)
        assert torch.equal(kept.tracked[0][name], near)
        assert torch.allclose(kept.synthesize(0.05)[name], near, atol=2e-3)
    before, after = optimizer.state_dict()["state"], resumed.state_dict()["state"]
    assert before.keys() == after.keys()
    for number, moments in before.items():
        second, widened = moments["exp_avg_sq"], after[number]["exp_avg_sq"]
        assert second.shape == widened.shape
        assert float(after[number]["step"]) == 4
        assert not after[number]["exp_avg"].any()
        if second.ndim > 1:
            mean, near = second.flatten(1).mean(dim=1), widened.flatten(1).mean(dim=1)
            assert torch.allclose(mean, near, rtol=1e-3, atol=1e-12)
        else:
            assert torch.equal(second, widened)
    ids = torch.zeros(2, dtype=torch.int64)
    loss = (other(torch.randn(2, 3, 8, 8), torch.zeros(2), ids, ids) - 1).square().mean()
    loss.backward()
    resumed.step()
    assert all(bool(torch.isfinite(value).all()) for value in other.parameters())


def files_within_limits(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert len(files) <= 8
    assert all(path.stat().st_size <= 16_000_000 for path in files)
    assert all(len(path.relative_to(folder).parts) <= 3 for path in files)
    return files


def call(script: str, **environment: str) -> str:
    environment = {"PYTHON": sys.executable, **environment}
    command = ["bash", str(ROOT / "scripts" / "gpu" / script)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


@pytest.mark.e2e
def test_the_scripts(jpegs: Corpus, tmp_path: Path) -> None:
    pack(jpegs, tmp_path / "pack", side=16)
    where: dict[str, Any] = {
        "CORPUS": str(tmp_path / "pack"), "WHEELS": str(tmp_path / "none"), "PRESET": "smoke",
        "TRAIN_FLAGS": "--images 96 --batch 8", "MINUTES": "600",
    }  # fmt: skip

    def train(number: int, stop_after: str) -> Path:
        # Every call on a machine of its own: nothing but the state comes along.
        out, before = tmp_path / f"out-{number}", tmp_path / f"out-{number - 1}" / "state"
        call(
            "train_64.sh", **where, STOP_AFTER=stop_after, WORK=str(tmp_path / f"work-{number}"),
            OUT=str(out), STATE=str(before),
        )  # fmt: skip
        files_within_limits(out)
        return out

    for number in (1, 2):
        out = train(number, "0.0001")
        assert not (out / "generator").exists()
        join(out / "state", tmp_path / f"state-{number}")
        partial = tmp_path / f"seen-{number}"
        carry_in(tmp_path / f"state-{number}", partial)
        # A run that had begun anew would stand at its first step again.
        assert (partial / "averages" / f"{number:09d}.safetensors").is_file()
    out = train(3, "60")
    assert not (out / "state").exists()
    join(out / "generator", tmp_path / "generator")
    generator = load_generator(tmp_path / "generator")
    assert generator.info.images_seen == 96
    assert generator.info.training_corpus == load_corpus(tmp_path / "pack").fingerprint
    weights = load_file(tmp_path / "generator/unet/diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}

    call(
        "evaluate.sh", **where, GENERATOR=str(out / "generator"), CELLS="3",
        SAMPLE_FLAGS="--steps 2 --no-select", WORK=str(tmp_path / "work-4"),
        OUT=str(tmp_path / "out-4"),
    )  # fmt: skip
    files_within_limits(tmp_path / "out-4")
    join(tmp_path / "out-4" / "synthetic", tmp_path / "synthetic")
    assert load_corpus(tmp_path / "synthetic").manifest.n_out == 9


def test_a_generator_goes_home_in_half_the_bytes(jpegs: Corpus, tmp_path: Path) -> None:
    from synth.chosen_average import ChosenAverage
    from synth.generator import build_pipeline

    network, _, _ = trained(tmp_path)
    made = tmp_path / "generator"
    save_generator(
        made, build_pipeline(network.eval(), CONFIG, {"basophil": [1.0]}), config=CONFIG,
        trained_on={"basophil": 1}, training_corpus="c", codec=jpegs.manifest.codec,
        license_id=None, images_seen=8, seconds=1.0, final_loss=0.1, stopped="at its end",
        average=ChosenAverage(width=0.1, by="a test", cells=0, tried=()),
    )  # fmt: skip
    carry_home(made, tmp_path / "home")
    before, after = load_generator(made), load_generator(tmp_path / "home")
    assert before.info.fingerprint != after.info.fingerprint
    assert bytes_of(tmp_path / "home") < 0.6 * bytes_of(made)
    drawn = [one.pipeline.draw(["basophil"], [1], 3, 1.0).astype(int) for one in (before, after)]
    assert np.abs(drawn[0] - drawn[1]).max() <= 4
