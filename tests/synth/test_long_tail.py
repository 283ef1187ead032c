"""The long-tail experiment on the tiny generator and corpus."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.errors import MeasurementError
from scripts import long_tail as module
from scripts.long_tail_tables import markdown
from synth.measure.cell_classifier import ClassifierConfig
from synth.measure.corpus_cells import corpus_cells
from synth.measure.ladder import Rung
from tests.made import LABELS, Made

ARMS = [
    "real", "real oversampled", "real augmented", "real oversampled + 6 selected",
    "real augmented + 3 selected", "real augmented + 6 selected", "real augmented + 6 unselected",
    "real augmented + 6 selected, half real", "real augmented + every class, half real",
    "real augmented, nothing cut",
]  # fmt: skip


def run(made: Made, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    monkeypatch.setattr(
        sys, "argv",
        ["long_tail", str(made.generator.path), str(made.real.path), "--whole",
         str(made.real.path), "--rare", "basophil", "monocyte", "--pool", "8", "--others", "4",
         "--doses", "3", "6", "--seeds", "2", "--steps", "2", "--classifier-steps", "3",
         "--out", str(out), *more],
    )  # fmt: skip
    module.main()
    found: dict[str, Any] = json.loads((out / "long-tail.json").read_text())
    return found


@pytest.fixture(autouse=True)
def few_cells_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    # Selection keeps none of what the tiny generator draws: every other cell is kept here.
    monkeypatch.setattr(module, "select", lambda scores, _: ["", "label"] * (len(scores) // 2))
    monkeypatch.setattr(module, "FEWEST_TESTED", 1)


def test_the_experiment_has_its_arms_and_goes_on(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(made, tmp_path / "out", monkeypatch)
    assert [one["arm"] for one in found["arms"]] == ARMS
    # The corpus that nothing was cut from is the same here, and so are its answers.
    assert found["cost"]["taught"] == 2 * (len(ARMS) - 1)
    assert set(found["tested"]) == set(LABELS)
    assert found["rare"]["basophil"]["drawn"] == 8
    real = made.real.manifest.classes["train"]
    assert found["rare"]["basophil"]["train"] == real["basophil"]
    by_name = {one["arm"]: one for one in found["arms"]}
    # As many that were not selected as selected ones, which may be fewer than asked for.
    kept = sum(min(6, entry["kept"]) for entry in found["rare"].values())
    assert by_name["real augmented + 6 selected"]["synthetic"] == kept
    assert by_name["real augmented + 6 unselected"]["synthetic"] == kept
    assert by_name["real augmented + 6 selected, half real"]["synthetic"] == kept
    assert by_name["real augmented + every class, half real"]["synthetic"] == kept + 4
    assert {one["real"] for one in found["arms"]} == {sum(real.values())}
    again = run(made, tmp_path / "out", monkeypatch)
    assert again["cost"]["taught"] == 0
    assert again["arms"] == found["arms"]
    assert markdown(found).splitlines()[2:] == markdown(again).splitlines()[2:]
    assert "real augmented + 6 selected | real augmented" in capsys.readouterr().out


def test_synthetic_arms_are_compared_with_the_control_that_differs_in_them_alone(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(made, tmp_path / "out", monkeypatch)
    over = [(one["arm"], one["over"]) for one in found["comparisons"]]
    assert ("real oversampled + 6 selected", "real oversampled") in over
    assert ("real oversampled + 6 selected", "real augmented") in over
    assert ("real augmented + 3 selected", "real augmented") in over
    assert ("real augmented + 3 selected", "real oversampled") not in over
    assert ("real augmented, nothing cut", "real augmented") in over
    assert ("real oversampled", "real augmented") in over
    assert ("real augmented", "real augmented") not in over
    by_name = {one["arm"]: one["scores"] for one in found["arms"]}
    for one in found["comparisons"]:
        gain = by_name[one["arm"]]["balanced_accuracy"][0]
        gain -= by_name[one["over"]]["balanced_accuracy"][0]
        assert one["gains"]["balanced_accuracy"][0] == pytest.approx(gain, abs=1e-9)


def test_a_generator_of_another_corpus_is_refused(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "argv",
        ["long_tail", str(made.generator.path), str(made.synthetic.path), "--out", str(tmp_path)],
    )  # fmt: skip
    with pytest.raises(MeasurementError, match="was trained on corpus"):
        module.main()


def test_cells_that_were_drawn_otherwise_are_not_taken_up(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(made, tmp_path / "out", monkeypatch, "--only", "real oversampled")
    assert [one["arm"] for one in found["arms"]] == ["real oversampled"]
    with pytest.raises(MeasurementError, match="drawn otherwise"):
        run(made, tmp_path / "out", monkeypatch, "--guidance", "2")


def test_answers_are_kept_by_what_was_learned(made: Made, tmp_path: Path) -> None:
    view, codec = made.generator.info.view, made.generator.info.codec
    train = corpus_cells(made.real, "train", view, codec)
    exam = module.exam_of(made.real, view, codec, sorted(set(train.labels)))
    config = ClassifierConfig(steps=2)
    teacher = module.KeptAnswers(tmp_path, config)
    rung = Rung("a", train, 0, balanced=True, augmented=False)
    first = teacher(rung, exam, 0)
    np.testing.assert_array_equal(teacher(Rung("b", train, 0, True, False), exam, 0), first)
    assert teacher.taught == 1
    fewer = train.take(np.arange(len(train) - 1))
    teacher(Rung("a", fewer, 0, balanced=True, augmented=False), exam, 0)
    teacher(Rung("a", train, 0, balanced=False, augmented=False), exam, 0)
    teacher(rung, exam, 1)
    assert teacher.taught == 4
