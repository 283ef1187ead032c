from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curation.errors import CorpusError, GeneratorError, SmearkitError
from curation.vocabulary import LABELS
from synth.generator import Generator, load_generator, read_info
from tests.made import Made

DRAWN = ["basophil", "monocyte", "lymphocyte"]
SEEDS = [5, 2**40 + 1, 17]


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """A generator folder of one's own, to be damaged."""
    return shutil.copytree(made.generator.path, tmp_path / "generator")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def draw(generator: Generator, labels: list[str] = DRAWN, seeds: list[int] = SEEDS,
         steps: int = 3, guidance: float = 1.5) -> np.ndarray[Any, Any]:  # fmt: skip
    return generator.pipeline.draw(labels, seeds, steps, guidance)


def test_a_generator_comes_back_as_it_was(made: Made, copied: Path) -> None:
    again = load_generator(copied)
    assert again.info == made.generator.info
    assert again.pipeline.config.labels == list(LABELS)
    assert again.pipeline.config.trained == sorted(made.real.manifest.classes["train"])
    np.testing.assert_array_equal(draw(again), draw(made.generator))
    assert draw(again).shape == (3, 16, 16, 3)
    shares = made.generator.pipeline.config.own_acquisitions
    assert shares == {label: [1.0] for label in made.real.manifest.classes["train"]}
    assert again.pipeline.config.own_acquisitions == shares


def test_a_generator_holds_safetensors_and_no_pickle(made: Made) -> None:
    names = {path.suffix for path in made.generator.path.rglob("*") if path.is_file()}
    assert names == {".json", ".jsonl", ".py", ".safetensors"}


@pytest.mark.parametrize("name", ["unet/extra.bin", "weights.PT", "unet/model.ckpt", "a.pkl"])
def test_a_pickle_inside_is_refused(copied: Path, name: str) -> None:
    (copied / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(GeneratorError, match=rf"holds {Path(name).name}, a pickle"):
        load_generator(copied)


@pytest.mark.parametrize("network", ["unet", "conditioner"])
def test_changed_weights_are_refused(copied: Path, network: str) -> None:
    weights = copied / network / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


@pytest.mark.parametrize(
    "name", ["unet/config.json", "conditioner/config.json", "model_index.json"]
)
def test_a_changed_configuration_is_refused(copied: Path, name: str) -> None:
    edit(copied / name, sample_size=99)
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


@pytest.mark.parametrize(
    "name",
    ["unet/config.json", "conditioner/config.json", "model_index.json",
     "scheduler/scheduler_config.json"],
)  # fmt: skip
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(GeneratorError, match=f"no complete generator: {name} is missing"):
        load_generator(copied)


@pytest.mark.parametrize("network", ["unet", "conditioner"])
def test_missing_weights_are_refused(copied: Path, network: str) -> None:
    (copied / network / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


def test_another_vocabulary_is_refused(copied: Path) -> None:
    labels = [*LABELS[:4], "thrombophil", *LABELS[5:]]
    edit(copied / "generator.json", labels=labels)
    with pytest.raises(GeneratorError, match="class 4 is 'thrombophil' there and 'basophil' here"):
        load_generator(copied)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (LABELS[:-1], f"class {len(LABELS) - 1} is 'nothing' there and '{LABELS[-1]}' here"),
        ((*LABELS, "new"), f"class {len(LABELS)} is 'new' there and 'nothing' here"),
    ],
)
def test_a_longer_or_shorter_vocabulary_is_refused(
    copied: Path, labels: tuple[str, ...], text: str
) -> None:
    edit(copied / "generator.json", labels=labels)
    with pytest.raises(GeneratorError, match=text):
        load_generator(copied)


def test_a_newer_format_is_refused(copied: Path) -> None:
    edit(copied / "generator.json", format_version=3, tastes="new")
    with pytest.raises(GeneratorError, match="generator format 3; this smearkit reads 2.*upgrade"):
        load_generator(copied)


def test_an_older_format_is_refused(copied: Path) -> None:
    shutil.rmtree(copied / "conditioner")
    edit(copied / "generator.json", format_version=1)
    with pytest.raises(
        GeneratorError, match=r"format 1; this smearkit reads 2\. Next: train it ag"
    ):
        load_generator(copied)


@pytest.mark.parametrize("version", ["2", None, 2.5, [2]])
def test_a_format_that_is_no_number_is_refused(copied: Path, version: object) -> None:
    edit(copied / "generator.json", format_version=version)
    with pytest.raises(GeneratorError, match="this smearkit reads 2"):
        load_generator(copied)


def test_no_generator_json(copied: Path, tmp_path: Path) -> None:
    (copied / "generator.json").unlink()
    with pytest.raises(GeneratorError, match="no complete generator: it has no generator.json"):
        load_generator(copied)
    with pytest.raises(GeneratorError, match="no complete generator"):
        load_generator(tmp_path / "nothing")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"7"])
def test_an_unreadable_generator_json(copied: Path, text: bytes) -> None:
    (copied / "generator.json").write_bytes(text)
    with pytest.raises(GeneratorError, match=r"generator\.json cannot be read"):
        read_info(copied)


def test_a_field_too_many_is_refused(copied: Path) -> None:
    edit(copied / "generator.json", patient="x")
    with pytest.raises(CorpusError, match="patient") as refused:
        read_info(copied)
    assert isinstance(refused.value, SmearkitError)


def test_loading_in_several_threads_leaves_torch_as_it_was(made: Made) -> None:
    # While it loads, diffusers replaces how parameters are registered and initialised.
    before = (torch.nn.Module.register_parameter, torch.nn.init.normal_, torch.nn.init.uniform_)
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: load_generator(made.generator.path), range(8)))
    after = (torch.nn.Module.register_parameter, torch.nn.init.normal_, torch.nn.init.uniform_)
    assert after == before
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
    for one in loaded:
        np.testing.assert_array_equal(draw(one), draw(made.generator))
