from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curation.errors import TrainingPaused
from smearkit import cli
from synth.chosen_average import ChosenAverage
from synth.config import PRESETS
from synth.generator import Generator
from synth.processes import Ranks
from tests.made import Made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture
def told(made: Made, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let training end at once; returns what it was told."""
    found: dict[str, Any] = {}

    def train(corpus: Path, out: Path, config: Any, **options: Any) -> Generator:
        found.update(options, config=config)
        return made.generator

    monkeypatch.setattr("synth.train.train", train)
    return found


def test_the_presets_are_listed() -> None:
    result = run("train", "--list-presets")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["preset", "for", "px", "parameters", "images", "batch", "minutes"]
    assert [row.split()[0] for row in rows] == list(PRESETS)
    row = next(row for row in rows if row.split()[0] == "smoke")
    assert row.split()[-6:] == ["16", "0.6", "M", "2,000", "16", "–"]
    help_text = run("train", "--help").stdout
    assert all(name in help_text for name in PRESETS)


def test_the_parameters_listed_are_those_of_the_generator(made: Made) -> None:
    from synth.denoiser import parameters_of

    assert parameters_of(made.generator.info.config) == made.generator.info.parameters


def test_a_person_reads_which_average_was_chosen_and_why_it_stopped(
    made: Made, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = made.generator.info
    lines = run("train", made.real.path, "--out", "x", "--preset", "smoke").stdout.splitlines()
    assert "  stopped at its end" in lines
    assert "  average of relative width 0.1, chosen by: only one was tried" in lines
    average = ChosenAverage(width=0.05, by="KID to validation cells", cells=192, tried=())
    other = info.model_copy(update={"stopped": "no_gain", "average": average})
    generator = Generator(made.generator.path, other, made.generator.pipeline)
    monkeypatch.setattr("synth.train.train", lambda *args, **kwargs: generator)
    text = run("train", made.real.path, "--out", "x").stdout
    assert "  stopped early: held-out cells were no longer drawn better\n" in text
    assert "width 0.05, chosen by: KID to validation cells, 192 cells\n" in text


def test_what_flags_say_reaches_the_training(made: Made, told: dict[str, Any]) -> None:
    result = run(
        "train", made.real.path, "--out", "x", "--preset", "smoke", "--images", 64, "--minutes", 3,
        "--batch", 4, "--learning-rate", 0.001, "--seed", 7, "--stop-after", 1.5,
        "--inception", "weights", "--log-to", "tensorboard", "--log-to", "trackio", "--json",
    )  # fmt: skip
    assert result.exit_code == 0
    config = told["config"]
    assert (config.images, config.minutes, config.batch) == (64, 3, 4)
    assert (config.learning_rate, config.seed) == (0.001, 7)
    assert (told["stop_after_minutes"], told["inception"]) == (1.5, Path("weights"))
    assert told["trackers"] == ["tensorboard", "trackio"]
    found = json.loads(result.stdout)
    assert (found["stopped"], found["average"]["width"], found["paused"]) == (
        "at its end", 0.1, False
    )  # fmt: skip


def test_a_pause_is_no_failure(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "generator"
    arguments = ["train", made.real.path, "--out", out, "--preset", "smoke", "--images", 48]
    result = run(*arguments, "--stop-after", 1e-9, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"paused": True, "images_seen": 16, "share": 0.3333}
    assert "paused after 16 images, 33% of the training. Next: the same command" in result.stderr
    result = run(*arguments, "--stop-after", 1e-9)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "paused after 32 images" in result.stderr
    assert not out.exists()
    assert run(*arguments, "--json").exit_code == 0
    assert out.is_dir()


@pytest.mark.parametrize("pauses", [False, True])
def test_of_several_processes_one_speaks(
    made: Made, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, pauses: bool
) -> None:
    if pauses:

        def pause(*args: Any, **options: Any) -> None:
            raise TrainingPaused("paused")

        monkeypatch.setattr("synth.train.train", pause)
    for rank, speaks in ((0, True), (1, False)):
        monkeypatch.setattr("synth.processes.ranks_of_run", lambda r=rank: Ranks(r, 2, r))
        result = run("train", made.real.path, "--out", "x", "--preset", "smoke", "--json")
        assert result.exit_code == 0
        assert bool(result.output) == speaks


def test_a_tracker_that_is_not_there(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth.training_processes.find_spec", lambda name: None)
    out = tmp_path / "generator"
    for name, said in (
        ("trackio", "not installed. Next: pip install trackio"),
        ("wandb", "there is no tracker 'wandb'; choose one of tensorboard, trackio"),
    ):
        result = run("train", made.real.path, "--out", out, "--log-to", name)
        assert result.exit_code == 1
        assert said in result.stderr
        assert list(tmp_path.iterdir()) == []
