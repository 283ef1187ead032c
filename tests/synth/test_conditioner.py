from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import Tensor

from curation.vocabulary import LABELS
from synth import conditioner as module
from synth.augment_jitter import JITTER_COLUMNS
from synth.conditioner import CellConditioner
from synth.config import preset
from synth.denoiser import build_denoiser
from synth.generator import build_pipeline

LABEL_IDS, ACQUISITION_IDS = torch.tensor([0, 2, 3]), torch.tensor([1, 2, 0])


def conditioner(augmentations: int = 2) -> CellConditioner:
    torch.manual_seed(0)
    made: CellConditioner = CellConditioner(
        labels=3, acquisitions=2, augmentations=augmentations, width=8
    )
    return made


def test_what_is_told_is_summed() -> None:
    made = conditioner()
    assert made.augment is not None
    jitter = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, -2.0]])
    out = made(LABEL_IDS, ACQUISITION_IDS, jitter)
    expected = (
        made.label.weight[LABEL_IDS]
        + made.acquisition.weight[ACQUISITION_IDS]
        + jitter @ made.augment.weight.T
    )
    torch.testing.assert_close(out, expected)
    assert out.shape == (3, 8)


def test_no_jitter_is_as_if_there_were_none() -> None:
    made = conditioner()
    plain = made(LABEL_IDS, ACQUISITION_IDS)
    assert torch.equal(plain, made(LABEL_IDS, ACQUISITION_IDS, torch.zeros(3, 2)))
    # One that knows no jitter ignores what batches carry anyway.
    without = conditioner(0)
    jitter = torch.ones(3, 2)
    assert torch.equal(
        without(LABEL_IDS, ACQUISITION_IDS, jitter), without(LABEL_IDS, ACQUISITION_IDS)
    )


def test_the_ids_after_the_last_mean_nothing_told() -> None:
    made = conditioner()
    assert (made.no_label, made.no_acquisition) == (3, 2)
    untold = made(torch.tensor([3]), torch.tensor([2]))
    torch.testing.assert_close(untold[0], made.label.weight[3] + made.acquisition.weight[2])


def test_it_comes_back_from_its_folder(tmp_path: Path) -> None:
    made = conditioner()
    made.save_pretrained(tmp_path)
    again = CellConditioner.from_pretrained(tmp_path)
    assert torch.equal(again(LABEL_IDS, ACQUISITION_IDS), made(LABEL_IDS, ACQUISITION_IDS))


def test_the_code_that_travels_imports_no_smearkit() -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [node.module or "."] if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        )
    }  # fmt: skip
    assert names == {"__future__", "diffusers", "torch"}


def test_a_denoiser_knows_the_vocabulary_its_acquisitions_and_its_jitter() -> None:
    plain = build_denoiser(preset("smoke"), 3).conditioner
    assert (plain.no_label, plain.no_acquisition, plain.augment) == (len(LABELS), 3, None)
    config = preset("smoke").model_copy(update={"augment": 0.1})
    jitter = build_denoiser(config).conditioner.augment
    assert jitter is not None
    assert jitter.in_features == len(JITTER_COLUMNS)


def test_samples_are_told_no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("smoke").model_copy(update={"augment": 1.0, "side": 8})
    network = build_denoiser(config).eval()
    seen: list[Tensor | None] = []
    plain = CellConditioner.forward

    def forward(
        self: CellConditioner, labels: Tensor, acquisitions: Tensor, augment: Tensor | None = None
    ) -> Tensor:
        seen.append(augment)
        told: Tensor = plain(self, labels, acquisitions, augment)
        return told

    monkeypatch.setattr(CellConditioner, "forward", forward)
    pipeline = build_pipeline(network, config, {"basophil": [1.0]})
    pipeline.draw(["basophil"], [1], 2, 1.5)
    assert seen
    assert all(augment is None for augment in seen)
