from __future__ import annotations

import numpy as np
import pytest

from curation.errors import MeasurementError
from scripts.damaged_cells import (
    COPIED_SHARES,
    SWAPPED_SHARES,
    blurred,
    collapsed,
    copied,
    damages,
    recompressed,
    swapped,
    turned_hue,
    without_classes,
)
from synth.measure.sides import Cells

LABELS = ("basophil", "lymphocyte", "monocyte")


def _cells(side: str, per_class: int = 4, seed: int = 0) -> Cells:
    rng = np.random.default_rng(seed)
    labels = tuple(label for label in LABELS for _ in range(per_class))
    images = rng.integers(0, 256, (len(labels), 16, 16, 3), dtype=np.uint8)
    ids = tuple(f"{side} {row}" for row in range(len(labels)))
    return Cells(images, labels, ids, (None,) * len(labels))


def test_every_damage_has_as_many_cells_of_the_same_labels_and_changes_them() -> None:
    source = _cells("source", per_class=14)
    train, spare = (_cells(side, per_class=14, seed=1) for side in ("train", "spare"))
    found = damages(source, train, spare)
    assert [damage.kind for damage in found].count("none") == 1
    assert len(found) == 1 + 6 * 3 + 1  # of three classes, only one can be missing of 1, 3, 5 and 8
    for damage in found:
        assert damage.cells.labels == source.labels
        same = (damage.cells.images == source.images).all()
        assert same == (damage.kind == "none")


def test_blur_jpeg_and_hue_grow_with_their_level() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(60, 200, (32, 32, 3), dtype=np.uint8)

    def far(other: np.ndarray) -> float:
        return float(np.abs(other.astype(float) - image).mean())

    blur = [far(blurred(image, radius)) for radius in (0.5, 1, 2)]
    jpeg = [far(recompressed(image, quality)) for quality in (90, 60, 30)]
    hue = [far(turned_hue(image, turn)) for turn in (4, 12, 36)]
    for levels in (blur, jpeg, hue):
        assert 0 < levels[0] < levels[1] < levels[2]


def test_a_turned_hue_keeps_grey_and_brightness() -> None:
    grey = np.full((4, 4, 3), 77, np.uint8)
    assert (turned_hue(grey, 50) == grey).all()
    image = np.random.default_rng(4).integers(80, 160, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(turned_hue(image, 36).sum(axis=2), image.sum(axis=2), atol=2)
    red = np.full((1, 1, 3), (120, 60, 60), np.uint8)
    assert turned_hue(red, 120).tolist() == [[[60, 120, 60]]]


@pytest.mark.parametrize("share", SWAPPED_SHARES)
def test_swapped_classes_are_the_same_cells_pooled(share: float) -> None:
    source = _cells("source", per_class=10)
    found = swapped(source, share)
    assert sorted(found.ids) == sorted(source.ids)
    of = dict(zip(source.ids, source.labels, strict=True))
    moved = [of[name] != label for name, label in zip(found.ids, found.labels, strict=True)]
    assert np.mean(moved) == pytest.approx(share)


def test_a_missing_class_is_replaced_by_other_cells_of_the_rest() -> None:
    source, spare = _cells("source"), _cells("spare", per_class=3, seed=2)
    found = without_classes(source, spare, 1)
    gone = found.rows("basophil")
    names = [found.ids[row] for row in gone]
    assert len(set(found.ids)) == len(found.ids)
    of = dict(zip(spare.ids, spare.labels, strict=True))
    assert {of[name] for name in names} == {"lymphocyte", "monocyte"}
    assert found.ids[4:] == source.ids[4:]
    with pytest.raises(MeasurementError, match="too few spare cells to stand in for 2 classes"):
        without_classes(source, spare, 2)


@pytest.mark.parametrize("share", COPIED_SHARES)
def test_copies_are_training_cells_of_the_class(share: float) -> None:
    source, train = _cells("source", per_class=10), _cells("train", per_class=10, seed=1)
    found = copied(source, train, share)
    of = dict(zip(train.ids, train.labels, strict=True))
    places = [row for row, name in enumerate(found.ids) if name.startswith("train")]
    assert len(places) == 30 * share
    assert all(of[found.ids[row]] == found.labels[row] for row in places)
    first = int(found.ids[places[0]].split()[1])
    assert (found.images[places[0]] == train.images[first]).all()


def test_a_collapse_leaves_so_many_different_cells_of_each_class() -> None:
    source = _cells("source", per_class=10)
    found = collapsed(source, 3)
    for label in LABELS:
        names = [found.ids[row] for row in found.rows(label)]
        assert set(names) == {source.ids[row] for row in source.rows(label)[:3]}
    assert (found.images[3] == source.images[0]).all()


def test_too_few_training_cells_to_copy_are_refused() -> None:
    with pytest.raises(MeasurementError, match="2 training basophil cells; 4 are needed"):
        copied(_cells("source"), _cells("train", per_class=2), 1.0)
