from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from synth.measure import fid_infinity
from synth.measure.cmmd import cmmd
from synth.measure.config import EvaluateConfig
from synth.measure.distances import measure_distances
from synth.measure.frechet import frechet_distance
from synth.measure.kernel import kernel_distance
from synth.measure.sides import Found
from tests.synth.measure.made_features import made_sides, measured

Array = NDArray[np.float32]
SIZES = {"basophil": 30, "monocyte": 40}
SIZE = 24


@pytest.fixture(autouse=True)
def _few_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fid_infinity, "_HALVES", 5)


def _draw(seed: int, shift: float = 0.0) -> Array:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((70, SIZE))
    x[:30] += 2  # the classes differ
    return np.asarray(x + shift, dtype=np.float32)


def _found(drawn: Array, train: Array | None = None, extractor: str = "inception") -> Found:
    held, train = _draw(0), _draw(1) if train is None else train
    return measure_distances(*made_sides(held, train, drawn, SIZES, extractor=extractor))


def test_each_distance_is_that_of_its_class_with_floor_interval_and_counts() -> None:
    drawn = _draw(2, 0.5)
    found = _found(drawn)
    assert [(m.name, m.label) for m in found.measurements] == [
        ("kid", "all"), ("fid", "all"), ("fid_infinity", "all"),
        ("kid", "basophil"), ("fid", "basophil"), ("kid", "monocyte"), ("fid", "monocyte"),
    ]  # fmt: skip
    held = _draw(0)
    for label, rows in (("all", slice(70)), ("basophil", slice(30)), ("monocyte", slice(30, 70))):
        kid, fid = measured(found, "kid", label), measured(found, "fid", label)
        assert kid.value == pytest.approx(kernel_distance(held[rows], drawn[rows]).value)
        assert fid.value == pytest.approx(frechet_distance(held[rows], drawn[rows]))
        count = len(held[rows])
        for one in (kid, fid):
            assert (one.n_real, one.n_synthetic) == (count, count)
            assert one.low is not None
            assert one.high is not None
            assert one.floor_low is not None
            assert one.floor is not None
            assert one.floor_high is not None
            assert one.low <= one.value <= one.high
            assert one.floor_low <= one.floor <= one.floor_high < one.value
            assert (one.family, one.direction, one.reference) == ("distance", "lower", "real test")
    assert not found.skipped


def test_a_generator_as_good_as_real_cells_meets_the_goal_and_one_that_is_off_misses_it() -> None:
    good = [measured(_found(_draw(seed)), "kid") for seed in range(3, 11)]
    assert [one.verdict for one in good].count("met") >= 6
    assert "missed" not in [one.verdict for one in good]
    assert measured(_found(_draw(2, 0.5)), "kid").verdict == "missed"


def test_classes_that_changed_places_show_in_each_class_and_not_in_all() -> None:
    drawn = _draw(2)
    swapped = np.concatenate([drawn[40:], drawn[:40]])
    found = _found(swapped)
    assert measured(found, "kid", "basophil").verdict == "missed"
    assert measured(found, "kid", "monocyte").verdict == "missed"
    assert measured(found, "kid").verdict == "met"


def test_fid_of_few_images_meets_and_misses_nothing() -> None:
    found = _found(_draw(2, 3.0))
    for name in ("fid", "fid_infinity"):
        assert not measured(found, name).reliable
        assert measured(found, name).verdict == "no goal"
    note = measured(found, "fid_infinity").note
    assert note is not None
    assert "under 1,500 images" in note


def test_fid_of_enough_images_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.measure.distances.FID_NEEDS", 70)
    monkeypatch.setattr("synth.measure.distances.INFINITY_NEEDS", 70)
    off = _found(_draw(2, 4.0))
    assert measured(off, "fid").verdict == "missed"
    assert measured(off, "fid_infinity").verdict == "missed"
    assert measured(_found(_draw(2)), "fid").verdict == "met"


def test_held_out_cells_that_differ_from_training_cells_are_named_and_raise_the_goal() -> None:
    train = _draw(1, 0.5)
    found = measured(_found(_draw(2, 0.5), train), "kid")
    assert found.floor_high is not None
    assert found.goal_high is not None
    assert found.goal_high > 3 * found.floor_high
    assert found.note is not None
    assert "as they are" in found.note


def test_features_of_clip_or_dinov2_give_cmmd_too() -> None:
    drawn = _draw(2, 0.5)
    found = measured(_found(drawn, extractor="DINOv2 small sha256:0"), "cmmd")
    assert found.value == pytest.approx(cmmd(_draw(0), drawn).value)
    assert found.verdict == "missed"
    assert found.extractor == "DINOv2 small sha256:0"


def test_too_few_images_for_a_fid_are_skipped_by_name_and_kid_is_still_there() -> None:
    sizes = {"basophil": 5, "monocyte": 65}
    sides, context = made_sides(_draw(0), _draw(1), _draw(2), sizes)
    found = measure_distances(sides, context)
    assert found.skipped == {"fid of basophil": "5 images a side; at least 8 are needed"}
    assert measured(found, "kid", "basophil").n_real == 5


def test_features_that_are_not_finite_are_skipped_by_name() -> None:
    drawn = _draw(2)
    drawn[35, 3] = np.nan
    found = _found(drawn)
    reason = "features hold values that are not finite"
    assert found.skipped == {
        f"{name} of {label}": reason for name in ("kid", "fid") for label in ("all", "monocyte")
    }
    assert {m.label for m in found.measurements} == {"basophil"}


def test_images_that_are_all_alike_are_measured() -> None:
    found = _found(np.full((70, SIZE), 1.0, np.float32))
    assert not found.skipped
    assert measured(found, "kid").verdict == "missed"


def test_the_seed_decides() -> None:
    config = EvaluateConfig(floor_splits=20, seed=3)
    one, again, other = (
        measure_distances(*made_sides(_draw(0), _draw(1), _draw(2), SIZES, config=chosen))
        for chosen in (config, config, EvaluateConfig(floor_splits=20, seed=4))
    )
    assert one == again
    assert one != other
    assert measured(one, "kid").value == measured(other, "kid").value
