"""Training with two processes, as `torchrun` starts them on one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from curation.curate import CurateConfig, curate
from curation.output import partial_path
from tests.made import write_export

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
side: 8
channels: [16, 32]
dropout: 0.0
batch: 4
images: 48
look_images: 16
look_cells: 3
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    (folder / "settings.yaml").write_text(SETTINGS)
    thirds = CurateConfig(license="cc0-1.0", train=0.5, validation=0.25, test=0.25)
    return curate([write_export(folder / "export", 16)], folder / "corpus", thirds).path


def train(
    corpus: Path, out: Path, *flags: str, processes: int = 2, fault: str = ""
) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [
        sys.executable, *(launcher if processes > 1 else []), "-m", "tests.synth.launched_train",
        *([fault] if fault else []), "train", str(corpus), "--out", str(out), "--json",
        "--preset", "smoke", "--config", str(corpus.parent / "settings.yaml"), *flags,
    ]  # fmt: skip
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=threads, capture_output=True, text=True, check=False, timeout=500
    )


def done(*arguments: Any, **options: Any) -> dict[str, Any]:
    """The one result that a run writes, whatever the number of processes."""
    ran = train(*arguments, **options)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 1, "one process speaks"
    found: dict[str, Any] = json.loads(lines[0])
    return found


def weights(generator: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name in ("unet", "conditioner")
        for key, value in load_file(
            generator / name / "diffusion_pytorch_model.safetensors"
        ).items()
    }


def test_two_processes_train_what_one_does(corpus: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = done(corpus, one, processes=1)
    shared = done(corpus, two)
    assert shared["images_seen"] == alone["images_seen"] == 48
    assert shared["final_loss"] == pytest.approx(alone["final_loss"], rel=1e-5)
    ours, theirs = weights(one), weights(two)
    # In float32 they differ by rounding, about 1e-5; another batch or noise makes them differ by
    # 7e-3 after these few steps.
    names = sorted(ours)
    first, second = (torch.cat([w[name].flatten() for name in names]) for w in (ours, theirs))
    assert float((second - first).norm()) < 1e-4 * float(first.norm())
    logs = [(folder / "training.jsonl").read_text().splitlines() for folder in (one, two)]
    assert [json.loads(line)["images"] for line in logs[0]] == [
        json.loads(line)["images"] for line in logs[1]
    ]
    assert not list(tmp_path.glob(".*"))

    # A pause ends all processes without an error, and the same call goes on.
    out = tmp_path / "paused"
    paused = done(corpus, out, "--stop-after", "0.0000001")
    assert paused == {"paused": True, "images_seen": 4, "share": round(4 / 48, 4)}
    assert not out.exists()
    assert done(corpus, out)["fingerprint"] == shared["fingerprint"]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_fails_ends_the_run(corpus: Path, tmp_path: Path, rank: int) -> None:
    out = tmp_path / "generator"
    ran = train(corpus, out, fault=f"--fail={rank},5")
    assert ran.returncode == 1
    assert "error: the device's memory does not hold 4 images" in ran.stderr
    # The other one says that it did not fail itself; it may also have been ended before.
    assert ran.stderr.count("Traceback (most recent call last)") == 1, "the launcher's own"
    assert ran.stdout == ""
    assert not out.exists()
    assert partial_path(out).is_dir()


def test_a_process_that_is_killed_ends_the_run(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "generator"
    ran = train(corpus, out, fault="--die=1,5")
    assert ran.returncode == 1
    assert "error: another process of this run " in ran.stderr
    assert not out.exists()
