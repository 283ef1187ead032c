from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.errors import GeneratorError
from curation.vocabulary import LABELS
from synth.config import SampleConfig
from synth.denoiser import build_denoiser
from synth.generator import Generator, build_pipeline
from synth.plan import planned_cells
from synth.sample import draw_cells, sample
from synth.synthetic_row import acquisition_of
from tests.made import FAST, TRAINING, Made

SHARES = {"basophil": [0.0, 1.0], "monocyte": [0.5, 0.5]}
PLAN = {"basophil": 6, "monocyte": 12}


@pytest.fixture
def two_acquisitions(made: Made) -> Generator:
    """A generator that knows two acquisitions, with random weights."""
    torch.manual_seed(0)
    network = build_denoiser(TRAINING, acquisitions=2).eval()
    torch.nn.init.normal_(network.unet.conv_out.weight, std=0.1)
    return replace(made.generator, pipeline=build_pipeline(network, TRAINING, SHARES))


def drawn(generator: Generator, config: SampleConfig) -> dict[int, bytes]:
    """Return seed -> pixels, drawn one by one."""
    alone = config.model_copy(update={"batch": 1})
    cells = planned_cells(PLAN, config.seed)
    return {cell.seed: pixels.tobytes() for cell, pixels in draw_cells(generator, cells, alone)}


def test_a_row_says_in_which_acquisition_it_was_drawn(
    two_acquisitions: Generator, tmp_path: Path
) -> None:
    corpus = sample(two_acquisitions, PLAN, tmp_path / "out", FAST)
    rows = corpus.rows(["label", "seed", "acquisition"]).to_pylist()
    basophils = {row["acquisition"] for row in rows if LABELS[row["label"]] == "basophil"}
    assert basophils == {1}
    assert {row["acquisition"] for row in rows} == {0, 1}
    own = drawn(two_acquisitions, FAST)
    forced = [drawn(two_acquisitions, FAST.model_copy(update={"acquisition": n})) for n in (0, 1)]
    for row in rows:
        seed, used = row["seed"], row["acquisition"]
        assert own[seed] == forced[used][seed]
        assert own[seed] != forced[1 - used][seed]


def test_one_acquisition_for_all(two_acquisitions: Generator, tmp_path: Path) -> None:
    config = FAST.model_copy(update={"acquisition": 0})
    corpus = sample(two_acquisitions, PLAN, tmp_path / "out", config)
    assert set(corpus.rows(["acquisition"])["acquisition"].to_pylist()) == {0}
    beyond = FAST.model_copy(update={"acquisition": 2})
    with pytest.raises(GeneratorError, match="knows no acquisition 2; it knows 0 to 1"):
        sample(two_acquisitions, PLAN, tmp_path / "more", beyond)


def test_a_generator_of_one_acquisition_names_none(made: Made) -> None:
    cell = planned_cells(PLAN, 0)[0]
    assert acquisition_of(made.generator, cell, FAST) is None


def test_a_row_says_where_guidance_acted_and_what_guided(made: Made, tmp_path: Path) -> None:
    config = FAST.model_copy(update={"guidance": 2.0, "guidance_interval": (0.3, 3.0)})
    guide = replace(
        made.generator, info=made.generator.info.model_copy(update={"fingerprint": "f" * 32})
    )
    corpus = sample(made.generator, {"basophil": 3}, tmp_path / "out", config, guide=guide)
    columns = ["guidance", "guidance_low", "guidance_high", "autoguidance"]
    assert {tuple(row.values()) for row in corpus.rows(columns).to_pylist()} == {
        (2.0, 0.3, 3.0, "f" * 32)
    }
    assert corpus.manifest.parents["guide"] == "f" * 32
    plain = made.synthetic.rows(columns).to_pylist()[0]
    assert plain == {
        "guidance": 1.5, "guidance_low": None, "guidance_high": None, "autoguidance": None,
    }  # fmt: skip


def test_the_interval_reaches_the_pipeline(made: Made) -> None:
    cells = planned_cells({"basophil": 2}, 0)

    def pixels(**changes: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        config = SampleConfig.model_validate({"steps": 6, "guidance": 3.0, **changes})
        return np.stack([found for _, found in draw_cells(made.generator, cells, config)])

    nowhere = pixels(guidance_interval=(500.0, 600.0))
    assert np.array_equal(nowhere, pixels(guidance=1.0))
    assert not np.array_equal(nowhere, pixels())
