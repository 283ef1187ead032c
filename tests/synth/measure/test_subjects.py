from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from curation.errors import MeasurementError
from synth.measure.measurement import Measurement
from synth.measure.sides import Found, Sides
from synth.measure.subjects import favour, measure_subjects, nearest_subjects
from tests.synth.measure.made_blots import blots, cells, made_context, made_sides, with_drawn

NAMES = ("pseudonym-quill", "pseudonym-roth", "pseudonym-zweig", "pseudonym-adler")


def _with_subjects(sides: Sides, names: tuple[str | None, ...] = NAMES) -> Sides:
    count = len(sides.train)
    owners = tuple(names[row // 2 % len(names)] for row in range(count))
    return replace(sides, train=replace(sides.train, subjects=owners))


def _copying_one(sides: Sides, share: float) -> Sides:
    """Plant: so much of what is drawn is near to the cells of the first subject."""
    theirs = [row for row, name in enumerate(sides.train.subjects) if name == NAMES[0]]
    images = sides.drawn.images.copy()
    for row in range(round(share * len(images))):
        # Of the same class: rows of both sides have it in turn.
        own = [one for one in theirs if one % 2 == row % 2]
        noise = np.random.default_rng(row).normal(0, 12, images[row].shape)
        near = sides.train.images[own[row % len(own)]] + noise
        images[row] = np.clip(near, 0, 255).astype(np.uint8)
    return with_drawn(sides, images)


def _of(found: Found, name: str) -> Measurement:
    (one,) = [m for m in found.measurements if m.name == name]
    return one


def _sides() -> Sides:
    return _with_subjects(made_sides(held=120, drawn=120, side=32))


def test_a_generator_that_favours_nobody_is_at_the_floor() -> None:
    found = measure_subjects(_sides(), made_context())
    assert [m.name for m in found.measurements] == ["subject_imbalance", "subject_max_ratio"]
    for one in found.measurements:
        assert one.verdict == "met", one
        assert one.family == "subjects"
        assert (one.n_real, one.n_synthetic) == (120, 120)
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high
        assert one.floor is not None
        assert "4 subjects" in (one.note or "")


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_generator_that_copies_one_subject_is_seen(share: float) -> None:
    found = measure_subjects(_copying_one(_sides(), share), made_context())
    imbalance, ratio = _of(found, "subject_imbalance"), _of(found, "subject_max_ratio")
    assert imbalance.verdict == "missed"
    assert ratio.verdict == "missed"
    # One in four is due to each of four subjects.
    assert ratio.value == pytest.approx(4 * (share + (1 - share) / 4), abs=0.5)
    assert imbalance.value > 0.75 * share - 0.1


def test_no_pseudonym_leaves() -> None:
    found = measure_subjects(_copying_one(_sides(), 1.0), made_context())
    texts = " ".join(m.model_dump_json() for m in found.measurements) + str(found.skipped)
    assert "pseudonym" not in texts
    assert not found.pictures


def test_unknown_subjects_are_skipped_with_the_reason() -> None:
    none = measure_subjects(made_sides(side=32), made_context())
    assert none.skipped == {
        "subjects": "the subject of 0 of 120 training cells is known: whom a generator favours "
        "cannot be told"
    }
    some = _with_subjects(made_sides(side=32), (NAMES[0], None, None, None))
    assert (
        "of 30 of 120 training cells" in measure_subjects(some, made_context()).skipped["subjects"]
    )
    one = _with_subjects(made_sides(side=32), NAMES[:1])
    assert measure_subjects(one, made_context()).skipped == {
        "subjects": "all training cells are of one subject"
    }
    few = replace(_with_subjects(made_sides(side=32)), sizes={"basophil": 4})
    small = replace(few, drawn=few.drawn.take(np.arange(8)))
    assert (
        "4 cells a side; 20 are needed"
        in measure_subjects(small, made_context()).skipped["subjects"]
    )


def test_a_subject_is_due_its_share_of_the_class_not_of_all() -> None:
    # All basophils are of one subject: as many drawn basophils are near to it, and that is right.
    classes = np.array([0] * 70 + [1] * 30, np.int64)
    shares = np.array([[1.0, 0, 0], [0, 0.5, 0.5]])
    rng = np.random.default_rng(0)
    drawn, held = (
        np.where(classes == 0, 0, rng.integers(1, 3, 100)).astype(np.int64) for _ in range(2)
    )
    found = favour(drawn, held, classes, shares)
    assert found.imbalance.value < 0.1
    assert found.most is not None
    assert found.most.value < 1.5
    favoured = np.where(classes == 0, 0, 1).astype(np.int64)
    again = favour(favoured, held, classes, shares)
    assert again.imbalance.value == pytest.approx(0.15)
    assert again.imbalance.low > again.imbalance.chance_high
    assert again.most is not None
    assert again.most.value == pytest.approx(2)


def test_many_small_subjects_have_no_ratio() -> None:
    rng = np.random.default_rng(1)
    classes = np.zeros(60, np.int64)
    found = favour(
        rng.integers(0, 50, 60), rng.integers(0, 50, 60), classes, np.full((1, 50), 0.02)
    )
    assert found.most is None
    assert found.imbalance.held > 0.2, "few cells a subject are uneven by chance"
    assert found.imbalance.chance_low <= found.imbalance.value <= found.imbalance.chance_high


def test_the_nearest_cell_is_sought_in_its_class() -> None:
    sides = _sides()
    images = sides.drawn.images.copy()
    images[0] = sides.train.images[3]  # a monocyte's picture, drawn as a basophil
    drawn, held, classes, shares = nearest_subjects(
        with_drawn(sides, images), sides.train, made_context()
    )
    assert len(drawn) == len(held) == len(classes) == 120
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    empty = replace(sides, drawn=cells(blots(0, 0, 32), "none"))
    with pytest.raises(MeasurementError, match="no class has training cells"):
        nearest_subjects(empty, sides.train, made_context())
