from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.measure import coverage, half_samples
from synth.measure.config import EvaluateConfig
from synth.measure.coverage import measure_coverage
from synth.measure.neighbours import NAMES, neighbours, squared_distances
from synth.measure.sides import Found
from tests.synth.measure.made_features import made_sides, measured

Array = NDArray[np.float32]
SIZES = {"basophil": 60, "monocyte": 60}


def _draw(seed: int, rows: NDArray[np.integer] | None = None) -> Array:
    """Two classes with three far apart kinds each."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(120) // 20 if rows is None else rows
    return np.asarray(10 * np.eye(6, 12)[kinds] + rng.standard_normal((120, 12)), dtype=np.float32)


def _found(drawn: Array, **options: int) -> Found:
    config = EvaluateConfig(floor_splits=20, **options)  # type: ignore[arg-type]
    return measure_coverage(*made_sides(_draw(0), _draw(1), drawn, SIZES, config=config))


def test_what_is_measured_is_that_of_each_class_with_floor_interval_and_counts() -> None:
    drawn = _draw(2)
    found = _found(drawn)
    names = (*NAMES, "vendi_ratio")
    assert [(m.name, m.label) for m in found.measurements] == [
        (name, label) for label in ("all", "basophil", "monocyte") for name in names
    ]
    pool = squared_distances(np.concatenate([_draw(0)[60:], drawn[60:]]))
    plain = neighbours(pool, np.arange(60), np.arange(60, 120), 5)
    for name in NAMES:
        one = measured(found, name, "monocyte")
        assert one.value == getattr(plain, name)
        assert (one.n_real, one.n_synthetic, one.family) == (60, 60, "coverage")
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high
        assert one.floor_low is not None
        assert one.floor_high is not None
        assert one.floor_low <= one.floor_high
    for name in ("precision", "recall", "coverage"):
        for one in (measured(found, name, label) for label in ("all", *SIZES)):
            assert one.low is not None
            assert one.high is not None
            assert 0 <= one.low < one.high <= 1
    assert not found.skipped


def test_a_generator_as_good_as_real_cells_misses_no_goal() -> None:
    verdicts = [one.verdict for seed in range(3, 8) for one in _found(_draw(seed)).measurements]
    assert verdicts.count("met") > 0.8 * len(verdicts)
    assert verdicts.count("missed") < 0.02 * len(verdicts)


def test_a_missing_mode_is_missed_by_recall_and_coverage_and_not_by_precision() -> None:
    kinds = np.concatenate([np.repeat([0, 1], 30), np.repeat([3, 4, 5], 20)])
    found = _found(_draw(2, kinds))
    for label in ("all", "basophil"):
        assert measured(found, "coverage", label).verdict == "missed"
        assert measured(found, "recall", label).verdict == "missed"
        assert measured(found, "precision", label).verdict != "missed"
    assert measured(found, "coverage", "monocyte").verdict != "missed"


def test_a_collapsed_generator_moves_vendi() -> None:
    drawn = _draw(2)
    collapsed = np.concatenate([np.repeat(drawn[:1], 60, axis=0), drawn[60:]])
    found = _found(collapsed)
    assert measured(found, "vendi_ratio", "basophil").verdict == "missed"
    assert measured(found, "vendi_ratio", "basophil").value < 0.7
    assert measured(found, "vendi_ratio", "monocyte").verdict == "met"


def test_halves_that_all_agree_still_leave_an_interval() -> None:
    far = _draw(2) + 1_000
    one = measured(_found(far), "coverage")
    assert (one.value, one.low) == (0, 0)
    # By hand, Wilson's upper end of 0 in 120: z^2 / (120 + z^2).
    assert one.high == pytest.approx(3.8415 / 123.8415, rel=1e-4)


def test_cells_too_few_for_neighbours_are_skipped_by_name() -> None:
    sizes = {"basophil": 11, "monocyte": 109}
    sides, context = made_sides(_draw(0), _draw(1), _draw(2), sizes)
    found = measure_coverage(sides, context)
    reason = "11 cells a side; 12 are needed for 5 neighbours"
    assert found.skipped == {"neighbours of basophil": reason}
    assert measured(found, "vendi_ratio", "basophil").n_real == 11


def test_features_that_are_not_finite_or_have_no_direction_are_skipped_by_name() -> None:
    drawn = _draw(2)
    drawn[70, 0] = np.inf
    drawn[3] = 0
    found = _found(drawn)
    broken = "features hold values that are not finite"
    assert found.skipped == {
        "neighbours of all": broken, "vendi_ratio of all": broken,
        "neighbours of monocyte": broken, "vendi_ratio of monocyte": broken,
        "vendi_ratio of basophil": "features of zero length have no cosine",
    }  # fmt: skip


def test_images_that_are_all_alike_cover_nothing() -> None:
    found = _found(np.ones((120, 12), np.float32))
    assert measured(found, "coverage").verdict == "missed"
    assert measured(found, "vendi_ratio").verdict == "missed"


def test_many_cells_are_thinned_class_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MOST", 60)
    monkeypatch.setattr(half_samples, "HALVES", 5)
    found = _found(_draw(2))
    assert measured(found, "coverage").n_real == 60
    assert measured(found, "coverage", "basophil").n_real == 60
    rows = np.r_[0:30, 60:90]
    pool = squared_distances(np.concatenate([_draw(0)[rows], _draw(2)[rows]]))
    plain = neighbours(pool, np.arange(60), np.arange(60, 120), 5)
    assert measured(found, "coverage").value == plain.coverage
