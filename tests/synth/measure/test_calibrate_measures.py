from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts import calibrate_measures, kept_work
from scripts.calibrate_measures import Entry, Row, coverage_of_zero, entries, markdown
from scripts.calibrate_measures import main as calibrate
from synth.measure.inception import InceptionWeights
from synth.measure.kernel import Estimate
from synth.measure.measurement import Measurement
from tests.made import Made, fake_features


def _measurement(name: str, label: str, value: float, goal: float) -> Measurement:
    return Measurement(
        name=name, label=label, value=value, floor=0.1, n_real=9, n_synthetic=9, direction="lower",
        extractor="e", pipeline="p", reference="r", goal_high=goal, reliable=False,
    )  # fmt: skip


def test_zero_is_covered_between_draws_of_one_pool_as_often_as_said() -> None:
    pool = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    found = coverage_of_zero(pool, 60, 100)
    assert found.covered + found.above + found.below == 100
    assert 88 <= found.covered <= 99
    assert found == coverage_of_zero(pool, 60, 100)


def test_intervals_off_zero_are_counted_on_their_side(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = np.zeros((20, 2), np.float32)

    def planted(a: object, b: object, *, seed: int) -> Estimate:
        return (
            Estimate(0, 1, 2)
            if seed < 3
            else Estimate(0, -2, -1)
            if seed < 5
            else Estimate(0, -1, 1)
        )

    monkeypatch.setattr(calibrate_measures, "kernel_distance", planted)
    found = coverage_of_zero(pool, 5, 20)
    assert (found.covered, found.above, found.below) == (15, 3, 2)
    # Wilson's interval of 15 in 20, from tables.
    assert found.text == "| 5 | 20 | 0.750 (0.531 to 0.888) | 3 | 2 |"


def test_an_entry_counts_the_classes_that_miss_their_goal_also_where_greyed_out() -> None:
    found = [
        _measurement("kid", "all", 0.5, 1.0),
        _measurement("kid", "basophil", 2.0, 1.0),
        _measurement("kid", "monocyte", 0.5, 1.0),
        _measurement("another", "all", 2.0, 1.0),
        _measurement("fid", "basophil", 2.0, 1.0),
    ]
    assert entries(found) == {"kid": Entry(0.5, 0.1, "met", 1, 2)}
    over_floor = entries([_measurement("fid", "all", 0.5, 1.0)])["fid"].value
    assert over_floor == pytest.approx(5)


def test_the_matrix_is_bold_where_a_goal_is_missed_and_open_where_a_measure_is_not_there() -> None:
    rows = [
        Row("none", "", {"kid": Entry(0.001, 0, "met", 0, 2)}),
        Row("blur", "1 px", {"kid": Entry(0.2, 0, "missed", 2, 2),
                             "fid": Entry(3.4, 9, "missed", 0, 0)}),
    ]  # fmt: skip
    lines = markdown([], rows, 30, 20).splitlines()
    assert "| none | 0.001 · 0 | – |" in lines
    assert "| blur 1 px | **0.200** · 2 | **3.400** |" in lines


@pytest.mark.e2e
def test_the_script_writes_both_tables(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = InceptionWeights(Path("none"), "f" * 64, "a test")
    monkeypatch.setattr(calibrate_measures, "find_inception", lambda *args: weights)
    monkeypatch.setattr(kept_work, "inception_features", fake_features)
    monkeypatch.setattr(calibrate_measures, "FEWEST_OF_CLASS", 8)
    command = ["calibrate", str(made.real.path), "--per-class", "3", "--draws", "5",
               "--sizes", "4", "400", "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    calibrate()
    found = json.loads((tmp_path / "calibration.json").read_text())
    assert found["cells_a_side"] == 9
    assert [each["n"] for each in found["covered"]] == [4]  # of 400 there are too few
    kinds = [row["kind"] for row in found["matrix"]]
    assert kinds[0] == "none"
    of_pixels, of_sets = {"blur", "JPEG", "hue"}, {"classes missing", "collapse", "copies"}
    assert set(kinds) == {"none", "class swap"} | of_pixels | of_sets
    assert (tmp_path / "calibration.md").read_text() in capsys.readouterr().out
    values = {
        (row["kind"], row["level"]): row["entries"]["kid"]["value"] for row in found["matrix"]
    }
    # Swapped classes are the same cells pooled; a turned hue is not.
    assert values["class swap", "100%"] == pytest.approx(values["none", ""])
    assert values["hue", "36°"] > values["none", ""] + 1e-3
