"""The tables of a generator, on the tiny one with features that stand in for Inception's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts import measure_generator as module
from scripts.generator_tables import score
from synth.measure.kernel import kernel_distance
from tests.made import Made
from tests.synth.test_pipeline_bench import WEIGHTS, counted


def run(made: Made, out: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    monkeypatch.setattr(module, "find_inception", lambda folder: WEIGHTS)
    monkeypatch.setattr(module, "STEPS", (2, 3))
    monkeypatch.setattr(module, "INTERVALS", ((0.2, 1.0),))
    arguments = ["measure", str(made.generator.path), str(made.real.path), "-n", "9", "--final",
                 "27", "--steps", "2", "--out", str(out), *more]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    module.main()
    found: dict[str, Any] = json.loads((out / "generator.json").read_text())
    return found


@pytest.mark.e2e
def test_every_table(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    found = run(made, tmp_path, monkeypatch, "--guide", str(made.generator.path))
    tables = [one["table"] for one in found["scores"]]
    assert tables == ["steps"] * 2 + ["guidance"] * 4 + ["interval"] * 2 + ["guide"] * 3
    assert {(one["n_real"], one["n_drawn"]) for one in found["scores"]} == {(9, 9)}
    assert (found["final"]["n_real"], found["final"]["n_drawn"]) == (27, 27)
    assert [one["n_drawn"] for one in found["floors"]] == [9, 27]
    assert found["guide"] == found["generator"] == made.generator.info.fingerprint
    assert [one["name"] for one in found["classes"]] == [
        name for name in ("basophil", "lymphocyte", "monocyte") for _ in range(2)
    ]
    by_name = {(one["table"], one["name"]): one["kid"] for one in found["scores"]}
    plain = by_name["guidance", "1"]
    # A generator that guides itself draws as without guidance.
    for scale in ("1.25", "1.5", "2"):
        assert by_name["guide", f"{scale} by the weaker generator"] == plain
    assert by_name["guidance", "2"] != plain
    assert found["copies"]["n"] == 27
    assert found["copies"]["training_cells"] == made.real.manifest.splits["train"]
    assert found["cost"]["measured"] == sum(calls) > 0
    text = (tmp_path / "generator.md").read_text()
    for title in ("Steps", "Guidance by a weaker", "Average of the weights", "Classes", "Copies"):
        assert f"### {title}" in text
    again = run(made, tmp_path, monkeypatch, "--guide", str(made.generator.path))
    assert again["cost"]["measured"] == again["cost"]["drawn"] == 0
    assert {**again, "cost": 0} == {**found, "cost": 0}


def test_what_shows_real_cells_lies_apart(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(monkeypatch)
    found = run(made, tmp_path, monkeypatch, "--tables", "steps", "--interval", "0.2", "1")
    assert {one["table"] for one in found["scores"]} == {"steps"}
    assert found["final"]["name"] == "2 steps, guidance 1.5 in 0.2 to 1"
    pictures = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg")}
    assert pictures == {"synthetic.jpg", "private/real_over_synthetic.jpg"}
    heights = []
    for name in sorted(pictures):
        with Image.open(tmp_path / name) as image:
            heights.append(image.height)
    assert heights[0] > 1.8 * heights[1], "every class has two rows, of real and of drawn cells"


def test_a_score_is_the_distance_of_its_sides() -> None:
    rng = np.random.default_rng(0)
    real, drawn = (rng.normal(size=(n, 5)).astype(np.float32) for n in (12, 9))
    found = score("steps", "6", real, drawn + 1)
    assert (found.n_real, found.n_drawn) == (12, 9)
    assert found.kid == kernel_distance(real, drawn + 1).value > 0
    assert found.low <= found.kid <= found.high
    assert found.fid > score("steps", "6", real, drawn).fid
