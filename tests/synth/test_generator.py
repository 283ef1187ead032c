from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from curation.errors import CorpusError, GeneratorError, SmearkitError
from curation.vocabulary import LABELS
from synth import pipeline as pipeline_module
from synth.denoiser import NULL_LABEL
from synth.generator import Generator, build_pipeline, load_generator, read_info
from tests.made import TRAINING, Made

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


def test_a_generator_holds_safetensors_and_no_pickle(made: Made) -> None:
    names = {path.suffix for path in made.generator.path.rglob("*") if path.is_file()}
    assert names == {".json", ".jsonl", ".py", ".safetensors"}


@pytest.mark.parametrize("name", ["unet/extra.bin", "weights.PT", "unet/model.ckpt", "a.pkl"])
def test_a_pickle_inside_is_refused(copied: Path, name: str) -> None:
    (copied / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(GeneratorError, match=rf"holds {Path(name).name}, a pickle"):
        load_generator(copied)


def test_changed_weights_are_refused(copied: Path) -> None:
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(data)
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


@pytest.mark.parametrize("name", ["unet/config.json", "model_index.json"])
def test_a_changed_configuration_is_refused(copied: Path, name: str) -> None:
    edit(copied / name, sample_size=99)
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_generator(copied)


@pytest.mark.parametrize(
    "name", ["unet/config.json", "model_index.json", "scheduler/scheduler_config.json"]
)
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(GeneratorError, match=f"no complete generator: {name} is missing"):
        load_generator(copied)


def test_missing_weights_are_refused(copied: Path) -> None:
    (copied / "unet" / "diffusion_pytorch_model.safetensors").unlink()
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
    edit(copied / "generator.json", format_version=2, tastes="new")
    with pytest.raises(GeneratorError, match="generator format 2; this smearkit reads 1.*upgrade"):
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


# The pipeline, as it travels in the folder


def test_the_pipeline_imports_nothing_of_this_project() -> None:
    tree = ast.parse(Path(pipeline_module.__file__).read_text())
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
import numpy as np
from diffusers import DiffusionPipeline
pipeline = DiffusionPipeline.from_pretrained(sys.argv[1], trust_remote_code=True)
pipeline.set_progress_bar_config(disable=True)
images = pipeline(["basophil", "monocyte", "lymphocyte"], seeds=[5, 2**40 + 1, 17],
                  num_inference_steps=3).images
np.save(sys.argv[2], np.stack([np.asarray(image) for image in images]))
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


def test_unknown_classes_are_refused(made: Made) -> None:
    with pytest.raises(ValueError, match="never trained on eosinophil; trained on basophil, lymph"):
        draw(made.generator, ["basophil", "eosinophil"], [1, 2])
    with pytest.raises(ValueError, match="never trained on no such"):
        draw(made.generator, ["no such"], [1])


def test_as_many_seeds_as_labels(made: Made) -> None:
    with pytest.raises(ValueError, match="3 labels, but 2 seeds"):
        draw(made.generator, DRAWN, SEEDS[:2])


def test_guidance_of_a_model_that_saw_every_label(made: Made) -> None:
    config = TRAINING.model_copy(update={"label_dropout": 0.0})
    unguided = build_pipeline(made.generator.pipeline.unet, config, ["basophil"])
    with pytest.raises(ValueError, match="nothing to guide against; use a guidance of 1"):
        unguided.draw(["basophil"], [1], 3, 1.5)
    assert unguided.draw(["basophil"], [1], 3, 1.0).shape == (1, 16, 16, 3)


def test_noise_does_not_depend_on_the_batch(made: Made) -> None:
    pipeline = made.generator.pipeline
    together = pipeline._noise(SEEDS)
    for row, seed in enumerate(SEEDS):
        assert torch.equal(pipeline._noise([seed])[0], together[row])


def test_an_image_does_not_depend_on_the_batch(made: Made) -> None:
    together = draw(made.generator).astype(int)
    for row, (label, seed) in enumerate(zip(DRAWN, SEEDS, strict=True)):
        alone = draw(made.generator, [label], [seed])[0].astype(int)
        assert np.abs(alone - together[row]).max() <= 1
    assert np.abs(together[0] - together[1]).max() > 20


class Counting:
    """Counts the images that pass through the network, with their labels."""

    def __init__(self, unet: Any) -> None:
        self.unet, self.ids = unet, []  # type: ignore[var-annotated]

    def __call__(self, x: Tensor, timestep: Tensor, ids: Tensor, **options: Any) -> Any:
        self.ids.append(ids.tolist())
        return self.unet(x, timestep, ids, **options)


@pytest.mark.parametrize(("guidance", "images"), [(1.0, 1), (2.0, 2)])
def test_without_guidance_the_network_runs_once(
    made: Made, monkeypatch: pytest.MonkeyPatch, guidance: float, images: int
) -> None:
    pipeline = made.generator.pipeline
    counting = Counting(pipeline.unet)
    monkeypatch.setattr(pipeline, "unet", counting)
    pipeline.draw(["basophil"], [1], 4, guidance)
    ids = LABELS.index("basophil")
    assert counting.ids == [[ids, NULL_LABEL][:images]] * 4


def test_guidance_goes_away_from_no_label(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = made.generator.pipeline

    def network(x: Tensor, timestep: Tensor, ids: Tensor) -> Tensor:
        values = torch.where(ids == NULL_LABEL, 1.0, 3.0)
        return values.view(-1, 1, 1, 1) * torch.ones_like(x)

    monkeypatch.setattr(pipeline, "_network", network)
    ids = torch.tensor([4, 6])
    for guidance, expected in ((1.0, 3.0), (0.0, 1.0), (2.0, 5.0), (1.5, 4.0)):
        out = pipeline._predict(torch.zeros(2, 3, 4, 4), torch.tensor(0.1), ids, guidance)
        assert torch.equal(out, torch.full_like(out, expected))


def test_calling_it_as_diffusers_does(made: Made) -> None:
    found = made.generator.pipeline(["basophil", "monocyte"], num_inference_steps=3)
    assert [image.size for image in found.images] == [(16, 16)] * 2
    array = made.generator.pipeline(["basophil", "monocyte"], num_inference_steps=3,
                                    output_type="np").images  # fmt: skip
    np.testing.assert_array_equal(np.asarray(found.images[1]), array[1])
    np.testing.assert_array_equal(array, draw(made.generator, ["basophil", "monocyte"], [0, 1]))
