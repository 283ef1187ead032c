from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import kept_work
from scripts import measure_solvers as module
from synth.measure.inception import InceptionWeights
from tests.made import Made, fake_features


def test_every_solver_draws_other_cells(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = InceptionWeights(Path("none"), "f" * 64, "a test")
    monkeypatch.setattr(module, "find_inception", lambda folder: weights)
    monkeypatch.setattr(kept_work, "inception_features", fake_features)
    few = (module.Solver(False, 3, 0.04), module.Solver(True, 3, 0.04), module.Solver(True, 3, 0.2))
    monkeypatch.setattr(module, "SOLVERS", few)
    argv = ["measure_solvers", str(made.generator.path), str(made.real.path), "-n", "8"]
    monkeypatch.setattr(sys, "argv", [*argv, "--out", str(tmp_path / "kept")])
    own: Any = made.generator.pipeline.scheduler.config.algorithm_type
    module.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| DPM-Solver++", "| stochastic DPM-Solver++", "| stochastic DPM-Solver++",
        "| DDIM (diffusers)",
    ]  # fmt: skip
    assert len({line.split(" | ")[3] for line in lines[2:]}) == 4, "four solvers, four distances"
    assert made.generator.pipeline.scheduler.config.algorithm_type == own
