from __future__ import annotations

import numpy as np
import pytest
import torch

from curation.errors import MeasurementError
from synth.measure import cell_classifier
from synth.measure.cell_classifier import ClassifierConfig, Lesson, train_classifier
from synth.measure.ladder import codes_of
from synth.measure.sides import Cells
from tests.synth.measure.made_ladder import CLASSES, FAST, SIDE, made_cells


def lesson(cells: Cells, *, balanced: bool = True, augmented: bool = False) -> Lesson:
    return Lesson(cells.images, codes_of(cells, CLASSES), len(CLASSES), balanced, augmented)


TRAIN = made_cells("train", dict.fromkeys(CLASSES, 30), 0)
TEST = made_cells("test", dict.fromkeys(CLASSES, 30), 1)


def accuracy(found: cell_classifier.CellClassifier, cells: Cells = TEST) -> float:
    said = found.probabilities(cells.images).argmax(1)
    return float((said == codes_of(cells, CLASSES)).mean())


@pytest.mark.parametrize("augmented", [False, True])
def test_it_learns_to_tell_cells_apart(augmented: bool) -> None:
    found = train_classifier(lesson(TRAIN, augmented=augmented), 0, FAST)
    assert accuracy(found) > 0.9


def test_wrong_labels_teach_nothing() -> None:
    shuffled = np.random.default_rng(0).permutation(TRAIN.labels)
    wrong = Cells(TRAIN.images, tuple(shuffled.tolist()), TRAIN.ids, TRAIN.subjects)
    assert accuracy(train_classifier(lesson(wrong), 0, FAST)) < 0.6


def test_probabilities_add_up_and_do_not_depend_on_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = train_classifier(lesson(TRAIN), 0, FAST)
    together = found.probabilities(TEST.images)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-5)
    monkeypatch.setattr(cell_classifier, "_AT_ONCE", 7)
    np.testing.assert_allclose(found.probabilities(TEST.images), together, atol=1e-5)


@pytest.mark.parametrize("augmented", [False, True])
def test_the_seed_decides(augmented: bool) -> None:
    told = lesson(TRAIN, augmented=augmented)
    torch.manual_seed(5)
    first = train_classifier(told, 3, FAST).probabilities(TEST.images)
    torch.manual_seed(6)
    again = train_classifier(told, 3, FAST).probabilities(TEST.images)
    np.testing.assert_array_equal(first, again)
    other = train_classifier(told, 4, FAST).probabilities(TEST.images)
    assert np.abs(first - other).max() > 1e-3


def test_the_state_that_others_draw_from_stays() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_classifier(lesson(TRAIN), 0, FAST)
    assert torch.equal(torch.rand(3), expected)


def test_balanced_lessons_show_classes_equally_often() -> None:
    uneven = made_cells("uneven", {"basophil": 3, "lymphocyte": 60, "monocyte": 17}, 4)
    codes = codes_of(uneven, CLASSES)
    shares = np.bincount(codes, lesson(uneven, balanced=True).weights())
    np.testing.assert_allclose(shares, 1 / 3)
    shares = np.bincount(codes, lesson(uneven, balanced=False).weights())
    np.testing.assert_allclose(shares, np.array([3, 60, 17]) / 80)


def test_a_batch_comes_in_every_orientation() -> None:
    mark = torch.zeros(16, 3, 4, 4)
    mark[:, :, 0, 1] = 1
    turned = cell_classifier._augmented(mark, np.random.default_rng(0), jitter=0.0)
    # By hand: a mark beside a corner comes to lie at 8 places, each in two of 16 images.
    places = turned[:, 0].reshape(16, -1).argmax(1).tolist()
    assert sorted(set(places)) == [1, 2, 4, 7, 8, 11, 13, 14]
    assert all(places.count(place) == 2 for place in places)


def test_the_rate_rises_and_falls_to_almost_nothing() -> None:
    rates = [cell_classifier._rate(step, 400) for step in range(400)]
    assert max(rates) == pytest.approx(1, abs=1e-3)
    assert rates[0] < 0.02
    assert rates[-1] < 1e-4
    assert np.argmax(rates) == pytest.approx(60, abs=1)


def test_odd_and_small_sides_are_taken() -> None:
    for side in (5, 9, SIDE):
        images = np.random.default_rng(0).integers(0, 256, (8, side, side, 3), dtype=np.uint8)
        told = Lesson(images, np.arange(8) % 2, 2, balanced=True, augmented=True)
        config = ClassifierConfig(channels=(8, 8, 8), steps=2, batch=8)
        assert train_classifier(told, 0, config).probabilities(images).shape == (8, 2)


def test_refuses_one_class_and_labels_that_are_not_there() -> None:
    one = made_cells("one", {"basophil": 5}, 0)
    with pytest.raises(MeasurementError, match="its cells are of 1"):
        train_classifier(lesson(one), 0, FAST)
    told = Lesson(TRAIN.images[:5], np.arange(6), 6, balanced=True, augmented=False)
    with pytest.raises(MeasurementError, match="5 images come with 6 labels"):
        train_classifier(told, 0, FAST)


def test_a_loss_that_is_not_finite_stops_it() -> None:
    config = FAST.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(MeasurementError, match="loss is not finite at step"):
        train_classifier(lesson(TRAIN), 0, config)
