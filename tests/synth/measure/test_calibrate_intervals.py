from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import calibrate_intervals
from scripts.calibrate_intervals import MEASURED, bias, covered, of_one, of_two
from synth.measure.frechet import frechet_distance


def test_the_draws_are_disjoint_or_of_both_populations() -> None:
    rng = np.random.default_rng(0)
    first, second = np.arange(40.0).reshape(20, 2), -np.arange(1, 41.0).reshape(20, 2)
    one = of_one(first)(rng, 8)
    assert len({*one[:, 0]}) == 16
    two = of_two(first, second)(rng, 8)
    assert (two[:8] >= 0).all()
    assert (two[8:] < 0).all()


def test_every_measure_has_a_row_with_the_shares_that_are_covered() -> None:
    rng = np.random.default_rng(1)
    rows = covered(of_one(rng.standard_normal((200, 8))), 24, 20)
    assert [row.split(" | ")[0] for row in rows] == list(MEASURED)
    halves = {row.split(" | ")[0]: float(row.split(" | ")[2]) for row in rows}
    assert all(share >= 0.7 for share in halves.values())
    assert float(rows[-1].split(" | ")[3]) <= 0.3  # a bootstrapped FID is another FID


def test_the_truth_is_the_distance_of_the_moments_and_infinity_is_nearer_to_it() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((90, 8)), rng.standard_normal((80, 8)) + 0.5
    truth, plain, infinity, _ = (
        float(each) for each in bias(first, second, 40, 12).rstrip(" |").split(" | ")
    )
    assert truth == pytest.approx(frechet_distance(first, second), abs=0.06)
    assert abs(infinity - truth) < abs(plain - truth)
    assert bias(first, first, 40, 2).startswith("0.0 | ")


def test_the_script_prints_both_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    for name in ("real", "drawn"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((60, 6)))
    command = ["calibrate", str(tmp_path / "real.npy"), str(tmp_path / "drawn.npy"), "--sizes",
               "16", "--draws", "4", "--infinity-sizes", "20", "--infinity-draws", "1"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    calibrate_intervals.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| 16 |") for line in lines) == 2 * len(MEASURED)
    assert sum(line.startswith("| 20 |") for line in lines) == 2
