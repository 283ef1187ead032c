"""Guidance by a weaker generator (autoguidance)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from curation.errors import GeneratorError
from synth.generator import Generator, build_pipeline, load_generator, load_guide
from synth.pipeline import CellDiffusionPipeline
from tests.made import TRAINING, Made
from tests.synth.test_pipeline import DRAWN, SEEDS, SHARES, lively


def built(seed: int = 0, shares: dict[str, list[float]] = SHARES, acquisitions: int = 2,
          **changes: Any) -> CellDiffusionPipeline:  # fmt: skip
    config = TRAINING.model_copy(update=changes)
    return build_pipeline(lively(config, acquisitions, seed), config, shares)


def drawn(pipeline: CellDiffusionPipeline, guidance: float, guide: CellDiffusionPipeline | None,
          interval: tuple[float, float] | None = None) -> NDArray[np.int64]:  # fmt: skip
    return pipeline.draw(DRAWN, SEEDS, 4, guidance, interval, None, guide).astype(int)


def test_guidance_by_itself_is_scale_1() -> None:
    one = built()
    np.testing.assert_array_equal(drawn(one, 3.0, one), drawn(one, 1.0, None))
    np.testing.assert_array_equal(drawn(one, 1.0, built(1)), drawn(one, 1.0, None))
    assert (drawn(one, 3.0, None) != drawn(one, 1.0, None)).any()


def test_the_weaker_network_is_gone_away_from(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = built(), built(1)
    for pipeline, value in ((one, 3.0), (other, 2.0)):

        def network(x: Tensor, timestep: Tensor, told: Tensor, value: float = value) -> Tensor:
            return torch.full_like(x, value)

        monkeypatch.setattr(pipeline, "_network", network)
    for guidance, expected in ((1.0, 3.0), (0.0, 2.0), (2.0, 4.0), (1.5, 3.5)):
        told = torch.zeros(2, 1)
        out = one._predict(torch.zeros(2, 3, 4, 4), torch.tensor(0.1), told, told, guidance, other)
        assert torch.equal(out, torch.full_like(out, expected))


def test_the_weaker_network_is_told_the_label_and_the_acquisition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = built(), built(1)
    seen: list[Tensor] = []
    plain = other._network

    def network(x: Tensor, timestep: Tensor, told: Tensor) -> Tensor:
        seen.append(told)
        return plain(x, timestep, told)

    monkeypatch.setattr(other, "_network", network)
    one.draw(["basophil", "lymphocyte"], [1, 2], 3, 1.5, None, None, other)
    ids = [other.config.labels.index(label) for label in ("basophil", "lymphocyte")]
    expected = other.conditioner(torch.tensor(ids), torch.tensor([1, 0]))
    assert len(seen) == 3
    torch.testing.assert_close(seen[0], expected)


def test_it_acts_inside_the_interval_only() -> None:
    one, other = built(), built(1)
    np.testing.assert_array_equal(drawn(one, 3.0, other, (90, 99)), drawn(one, 1.0, None))
    assert (drawn(one, 3.0, other, (0.1, 2.0)) != drawn(one, 1.0, None)).any()
    assert (drawn(one, 3.0, other, (0.1, 2.0)) != drawn(one, 3.0, other)).any()


def test_a_model_without_label_dropout_can_be_guided() -> None:
    one, other = built(label_dropout=0.0), built(1, label_dropout=0.0)
    with pytest.raises(ValueError, match="a guidance of 1, or a guide"):
        drawn(one, 3.0, None)
    assert (drawn(one, 3.0, other) != drawn(one, 1.0, None)).any()


@pytest.mark.parametrize(("patch", "other"), [(1, 2), (2, 1)])
def test_a_network_that_folds_its_pixels_otherwise_sees_the_same_image(
    monkeypatch: pytest.MonkeyPatch, patch: int, other: int
) -> None:
    one, guide = built(patch=patch), built(1, patch=other)
    seen: list[Tensor] = []

    def network(x: Tensor, timestep: Tensor, told: Tensor) -> Tensor:
        seen.append(x)
        return x

    monkeypatch.setattr(one, "_network", lambda x, timestep, told: x)
    monkeypatch.setattr(guide, "_network", network)
    # Each gives back what it was given, so what comes back is unfolded rightly, too.
    np.testing.assert_array_equal(drawn(one, 3.0, guide), drawn(one, 1.0, None))
    # At first it sees the noise that it would begin with itself.
    scheduler = guide.scheduler
    scheduler.set_timesteps(4)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    noise = guide._noise(generators) * scheduler.init_noise_sigma
    expected = scheduler.precondition_inputs(noise, scheduler.sigmas[0])
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"side": 32}, "it draws 32 px and this generator 16 px"),
        ({"acquisitions": 3}, "it knows 3 acquisitions and this generator 2"),
        ({"sigma_data": 0.4}, "its sigma_data is 0.4 and that of this generator 0.5"),
        ({"shares": {"basophil": [1.0, 0.0]}}, "never trained on lymphocyte, monocyte"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused(other: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"the guide does not fit: .*{text}"):
        drawn(built(), 1.5, built(**other))


def test_a_guide_of_another_vocabulary_is_refused() -> None:
    other = built()
    other.register_to_config(labels=list(reversed(other.config.labels)))
    with pytest.raises(ValueError, match="the guide does not fit: its class ids mean other labels"):
        drawn(built(), 1.5, other)


# Folders


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """A second generator of the same corpus."""
    return shutil.copytree(made.generator.path, tmp_path / "guide")


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "generator.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_guide_is_loaded_from_a_folder(made: Made, copied: Path) -> None:
    guide = load_guide(made.generator, copied)
    assert guide.info.fingerprint == made.generator.info.fingerprint
    pipeline = made.generator.pipeline
    np.testing.assert_array_equal(drawn(pipeline, 2.0, guide.pipeline), drawn(pipeline, 1.0, None))


def test_a_guide_of_another_view_is_refused(made: Made, copied: Path) -> None:
    edit_config(copied, view={"side": 16, "crop": 0.5})
    text = "it draws the central 0.5 at 16 px, and the generator 1 at 16 px. Next: give a generator"
    with pytest.raises(GeneratorError, match=text) as refused:
        load_guide(made.generator, copied)
    assert "cannot guide" in str(refused.value)


def test_a_guide_of_another_corpus_is_refused(made: Made, copied: Path) -> None:
    edit_config(copied, training_corpus="f" * 32)
    with pytest.raises(GeneratorError, match="it was trained on corpus ffff.*, and the generator"):
        load_guide(made.generator, copied)


def test_a_guide_with_fewer_classes_is_refused(
    made: Made, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_generator

    def fewer(path: str | Path, *, device: Any = None) -> Generator:
        guide = plain(path, device=device)
        guide.pipeline.register_to_config(trained=["basophil"])
        return replace(guide)

    monkeypatch.setattr("synth.generator.load_generator", fewer)
    with pytest.raises(GeneratorError, match="it was never trained on lymphocyte, monocyte. Next"):
        load_guide(made.generator, copied)


def test_a_damaged_guide_is_refused(made: Made, copied: Path) -> None:
    edit_config(copied, fingerprint="0" * 32)
    with pytest.raises(GeneratorError, match="was changed after training"):
        load_guide(made.generator, copied)
