from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.pixels import decode_rgb
from scripts import bench_measure
from scripts.bench_measure import Cost, ratios, table, write_sides
from tests.made_selection import COMMON, made_cells, write_corpus


def _cost(tool: str, cpu_s: float, features: float | None = None) -> Cost:
    return Cost(tool, 12.5, 0.01, cpu_s, features, 1.0, 100)


COSTS = [
    _cost("clean-fid", 100.0, 60.0),
    _cost("torch-fidelity", 40.0),
    _cost("cold", 20.0, 19.0),
    _cost("cached", 2.5, 1.0),
]


def test_the_ratios_are_of_processor_time() -> None:
    assert ratios(COSTS) == {
        "clean-fid / cold": 5.0,
        "clean-fid / cached": 40.0,
        "torch-fidelity / cold": 2.0,
        "torch-fidelity / cached": 16.0,
    }
    assert ratios(COSTS[1:3]) == {"torch-fidelity / cold": 2.0}


def test_a_missed_goal_is_written_as_missed() -> None:
    text = table(COSTS, 2_000)
    assert "2,000 against 2,000 cells" in text
    assert "clean-fid / cold: 5.0 (goal 5: met)" in text
    assert "clean-fid / cached: 40.0 (goal 50: missed)" in text
    assert "| clean-fid | 100.0 | 60.0 | 12.5000 | 0.010000 | 100 |" in text


def test_the_sides_are_disjoint_cells_of_one_view(tmp_path: Path) -> None:
    cells = {label: made_cells(label, 8, 3) for label in COMMON}
    corpus = write_corpus(tmp_path / "corpus", {"train": cells})
    write_sides(corpus, 10, 32, tmp_path)
    sides = [
        [decode_rgb(file.read_bytes()) for file in sorted((tmp_path / name).iterdir())]
        for name in "ab"
    ]
    assert [len(side) for side in sides] == [10, 10]
    assert {image.shape for side in sides for image in side} == {(32, 32, 3)}
    assert not {image.tobytes() for image in sides[0]} & {image.tobytes() for image in sides[1]}


def test_too_few_cells_are_refused(tmp_path: Path) -> None:
    cells = {label: made_cells(label, 8, 3) for label in COMMON}
    corpus = write_corpus(tmp_path / "corpus", {"train": cells})
    with pytest.raises(SystemExit, match="24 cells; 26 are needed"):
        write_sides(corpus, 13, 32, tmp_path)


def test_cold_and_cached_give_the_same_numbers_and_only_cold_extracts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the network, so that it takes a moment."""
    from synth.measure import features
    from synth.measure.inception import InceptionWeights
    from tests.synth.measure.fake_extractor import fake_extractor

    seen: list[int] = []
    weights = InceptionWeights(tmp_path, "ab" * 32, "a test")
    monkeypatch.setattr("synth.measure.inception.find_inception", lambda folder: weights)
    monkeypatch.setattr(features, "inception_extractor", lambda weights: fake_extractor(seen))
    cells = {label: made_cells(label, 8, 3) for label in COMMON}
    write_sides(write_corpus(tmp_path / "corpus", {"train": cells}), 10, 32, tmp_path)
    cold, cached = (
        bench_measure.TOOLS[name](tmp_path, tmp_path, tmp_path / "store")
        for name in ("cold", "cached")
    )
    assert sum(seen) == 20
    assert (cold.fid, cold.kid) == (cached.fid, cached.kid)
    assert np.isfinite(cold.fid)
    assert (cold.tool, cached.tool) == ("cold", "cached")


def test_a_tool_runs_in_a_process_of_its_own_and_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(
        "import json, os, sys\n"
        "print('chatter')\n"
        "print(json.dumps({'tool': sys.argv[-1], 'fid': 1.0, 'kid': 2.0, 'cpu_s': 3.0,\n"
        "  'features_cpu_s': None, 'wall_s': 4.0, 'peak_mb': int(os.environ['OMP_NUM_THREADS'])}))"
    )
    monkeypatch.setattr(bench_measure, "__file__", str(script))
    found = bench_measure._run("cold", tmp_path, tmp_path, tmp_path, 7)
    assert found == Cost("cold", 1.0, 2.0, 3.0, None, 4.0, 7)
