from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from curation.errors import MeasurementError
from synth.measure import usefulness
from synth.measure.config import EvaluateConfig
from synth.measure.ladder import (
    AUGMENTED,
    AUGMENTED_TOO,
    CONTROLS,
    OVERSAMPLED,
    SYNTHETIC_ONLY,
    WITH_SYNTHETIC,
    joined,
)
from synth.measure.measurement import Measurement
from synth.measure.sides import Found, Sides
from synth.measure.usefulness import measure_usefulness
from tests.synth.measure.made_ladder import CLASSES, FAST, made_cells, made_context, made_sides

TRAIN = {"basophil": 12, "lymphocyte": 15, "monocyte": 10}
SIDES = made_sides(train=TRAIN, drawn=dict.fromkeys(CLASSES, 11))
CONTEXT = made_context()


@pytest.fixture(scope="module")
def found() -> Found:
    return measure_usefulness(SIDES, CONTEXT, FAST)


def named(found: Found, name: str, arm: str, label: str = "all") -> Measurement:
    (one,) = [m for m in found.measurements if (m.name, m.arm, m.label) == (name, arm, label)]
    return one


def test_every_rung_is_measured(found: Found) -> None:
    arms = (*CONTROLS, WITH_SYNTHETIC, AUGMENTED_TOO, SYNTHETIC_ONLY)
    for arm in arms:
        for name in ("balanced_accuracy", "macro_f1", "calibration_error"):
            one = named(found, name, arm)
            assert 0 <= one.low <= one.value <= one.high <= 1  # type: ignore[operator]
            assert (one.direction == "lower") == (name == "calibration_error")
        for label in CLASSES:
            assert named(found, "recall", arm, label).n_real == 20
    assert {m.arm for m in found.measurements} == set(arms)
    assert {m.family for m in found.measurements} == {"usefulness"}
    assert not found.skipped


def test_it_says_how_it_was_measured(found: Found) -> None:
    one = named(found, "balanced_accuracy", AUGMENTED_TOO)
    assert (one.n_real, one.n_synthetic) == (60, 33)
    assert one.pipeline == "16 px, png"
    assert one.extractor == "convolutional classifier, 60 steps of 16 cells"
    assert one.note is not None
    assert "trained on 37 real and 33 synthetic cells with 2 seeds" in one.note
    assert "over seeds and cells of each class" in one.note
    assert named(found, "recall", OVERSAMPLED, "basophil").n_synthetic == 0


def test_small_corpora_take_fewer_steps() -> None:
    assert [usefulness.steps_for(n) for n in (40, 3_000, 9_000)] == [200, 300, 800]


def test_gains_are_paired_and_have_the_goal(found: Found) -> None:
    for arm in (WITH_SYNTHETIC, AUGMENTED_TOO):
        gain = named(found, "gain", arm)
        assert gain.goal_low == 0.0
        assert gain.verdict in ("met", "open", "missed")
        control = max(CONTROLS, key=lambda name: named(found, "balanced_accuracy", name).value)
        assert gain.note is not None
        assert gain.note.startswith(f"over {control}, the best control; paired by seed")
        own = named(found, "balanced_accuracy", arm).value
        assert gain.value == pytest.approx(
            own - named(found, "balanced_accuracy", control).value, abs=1e-9
        )
        assert named(found, "recall_gain", arm, "monocyte").goal_low is None


def test_synthetic_only_has_as_many_real_cells_as_its_floor(found: Found) -> None:
    one = named(found, "balanced_accuracy", SYNTHETIC_ONLY)
    assert one.floor is not None
    assert one.floor_low is not None
    assert one.floor_low <= one.floor
    assert one.note is not None
    assert "floor: trained on as many real cells" in one.note
    assert named(found, "balanced_accuracy", AUGMENTED).floor is None
    rows = usefulness._as_many(SIDES.train, SIDES.drawn, 0)
    counted = SIDES.train.take(rows).labels
    assert [counted.count(label) for label in CLASSES] == [11, 11, 10]


def test_wrong_synthetic_cells_miss_the_goal() -> None:
    looks = {"basophil": "monocyte", "monocyte": "basophil"}
    sides = made_sides(train=TRAIN, drawn=dict.fromkeys(looks, 60), looks=looks)
    context = made_context(EvaluateConfig(ladder_seeds=3))
    gain = named(measure_usefulness(sides, context, FAST), "gain", WITH_SYNTHETIC)
    assert gain.value < -0.1
    assert gain.verdict == "missed"


def test_pictures_show_no_real_cell_and_name_every_rung(found: Found) -> None:
    ladder, calibration = found.pictures
    for picture in (ladder, calibration):
        assert not picture.shows_real
        for arm in (*CONTROLS, WITH_SYNTHETIC, AUGMENTED_TOO, SYNTHETIC_ONLY):
            assert arm in picture.alt
        colours = {colour for _, colour in picture.image.getcolors(1 << 24) or []}
        assert {(0, 114, 178), (213, 94, 0)} <= colours


@pytest.mark.parametrize("side", ["train", "drawn"])
def test_a_test_cell_that_was_trained_on_is_refused(side: str) -> None:
    row = getattr(SIDES, side).take(np.array([3]))
    with pytest.raises(MeasurementError, match="1 ids of the 61 cells to test on"):
        measure_usefulness(replace(SIDES, held=joined(SIDES.held, row)), CONTEXT, FAST)


def with_subjects(sides: Sides, names: Sequence[str]) -> Sides:
    def named_cells(cells: object, prefix: str) -> tuple[str, ...]:
        return tuple(f"{prefix}{names[row % len(names)]}" for row in range(len(cells)))  # type: ignore[arg-type]

    return replace(
        sides,
        held=replace(sides.held, subjects=named_cells(sides.held, "h")),
        train=replace(sides.train, subjects=named_cells(sides.train, "t")),
    )


def test_few_subjects_and_one_seed_are_not_relied_on() -> None:
    config = EvaluateConfig(ladder_seeds=1)
    one = measure_usefulness(with_subjects(SIDES, "abc"), made_context(config), FAST)
    measured = named(one, "balanced_accuracy", OVERSAMPLED)
    assert not measured.reliable
    assert measured.note is not None
    assert "over seeds and subjects" in measured.note
    assert "one seed: the interval lacks" in measured.note
    assert "under 10 subjects" in measured.note
    assert named(one, "gain", WITH_SYNTHETIC).verdict == "no goal"


def test_classes_with_few_cells_are_skipped_by_name() -> None:
    few = replace(
        SIDES, held=made_cells("held", {"basophil": 20, "lymphocyte": 20, "monocyte": 9}, 1)
    )
    found = measure_usefulness(few, made_context(EvaluateConfig(ladder_seeds=1)), FAST)
    assert found.skipped["usefulness of monocyte"] == (
        "10 training and 9 held-out cells; 10 of each are needed"
    )
    assert {m.label for m in found.measurements} == {"all", "basophil", "lymphocyte"}
    assert named(found, "balanced_accuracy", OVERSAMPLED).n_real == 40


def test_classes_on_one_side_only() -> None:
    drawn = made_cells("drawn", {"monocyte": 12}, 3)
    config = EvaluateConfig(ladder_seeds=1)
    found = measure_usefulness(replace(SIDES, drawn=drawn), made_context(config), FAST)
    assert found.skipped[SYNTHETIC_ONLY] == "no basophil, lymphocyte was drawn"
    assert SYNTHETIC_ONLY not in {m.arm for m in found.measurements}
    nothing = replace(SIDES, train=made_cells("train", {"monocyte": 30}, 2))
    found = measure_usefulness(nothing, CONTEXT, FAST)
    assert not found.measurements
    assert found.skipped["usefulness"] == "a classifier needs two classes with enough real cells"


def test_constant_images_are_measured_as_chance() -> None:
    def blank(sides: Sides) -> Sides:
        flat = np.full_like
        return replace(
            sides,
            held=replace(sides.held, images=flat(sides.held.images, 200)),
            train=replace(sides.train, images=flat(sides.train.images, 199)),
            drawn=replace(sides.drawn, images=flat(sides.drawn.images, 198)),
        )

    found = measure_usefulness(blank(SIDES), made_context(EvaluateConfig(ladder_seeds=1)), FAST)
    assert named(found, "balanced_accuracy", OVERSAMPLED).value == pytest.approx(1 / 3)
