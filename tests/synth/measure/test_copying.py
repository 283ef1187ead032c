from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from curation.pixels import Pixels
from scripts.altered_cells import jpeg, levels
from synth.measure.altered_copies import altered_copies, signatures_of
from synth.measure.copying import measure_copying
from synth.measure.measurement import Measurement
from synth.measure.memorisation import COPY_CORRELATION
from synth.measure.nearest_pixels import find_copies
from synth.measure.sides import Found, Sides
from synth.measure.turned import nearest_orientations, turned_image
from tests.synth.measure.made_blots import (
    CLASSES,
    Images,
    blots,
    made_context,
    made_sides,
    with_drawn,
)


def _shifted(pixels: Pixels, px: int) -> Pixels:
    warp = np.array([[1, 0, px], [0, 1, -px]], np.float32)
    moved = cv2.warpAffine(pixels, warp, pixels.shape[:2], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


ALTERED: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda p: p,
    "turned": lambda p: turned_image(p, 3),
    "mirrored": lambda p: turned_image(p, 5),
    "recompressed": lambda p: jpeg(p, 70),
    "shifted 2 px": lambda p: _shifted(p, 2),
    "shifted 4 px": lambda p: _shifted(p, 4),
    "coloured": lambda p: levels(p, (1.08, 0.95, 0.9), 4),
    "all at once": lambda p: jpeg(levels(_shifted(turned_image(p, 6), 2), (1.05, 1, 0.93)), 75),
}


def planted(sides: Sides, share: float, alter: Callable[[Pixels], Pixels]) -> Sides:
    """Return the sides with a share of what was drawn replaced by altered training cells."""
    images = sides.drawn.images.copy()
    for row in range(round(share * len(images))):
        images[row] = alter(sides.train.images[2 * row % len(sides.train)])
    return with_drawn(sides, images)


def named(found: Found, name: str, label: str = "all", arm: str | None = None) -> Measurement:
    (one,) = [m for m in found.measurements if (m.name, m.label, m.arm) == (name, label, arm)]
    return one


@pytest.mark.parametrize("name", ALTERED)
def test_planted_copies_are_found_however_they_were_altered(name: str) -> None:
    alter = ALTERED[name]
    train, held, fresh = blots(2, 60), blots(1, 40), blots(3, 30)
    drawn = np.concatenate([np.stack([alter(image) for image in train[10:30]]), fresh])
    found = find_copies(drawn, train, held)
    caught = np.flatnonzero(found.copied[:20])
    # Far from their place, a few have too little of the cell left to lie on it.
    assert len(caught) >= (18 if name == "shifted 4 px" else 20)
    assert found.drawn.copied_from[caught].tolist() == (10 + caught).tolist()
    assert not found.copied[20:].any()
    assert not found.held.like_a_copy.any()


def test_the_correlation_alone_misses_what_is_shifted() -> None:
    train = blots(2, 60)
    drawn = np.stack([_shifted(image, 4) for image in train[:20]])
    found = find_copies(drawn, train, blots(1, 20))
    assert (found.drawn.correlation < COPY_CORRELATION).mean() > 0.8
    assert found.drawn.altered.all(), "registration finds them"


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.02, 1), (0.1, 6), (0.5, 30)])
def test_the_share_of_copies_and_the_goal(share: float, count: int) -> None:
    sides = planted(made_sides(), share, ALTERED["all at once"])
    found = measure_copying(sides, made_context())
    copied = named(found, "copied_share")
    assert copied.value == pytest.approx(count / 60)
    assert copied.low is not None
    assert copied.high is not None
    assert copied.low <= copied.value < copied.high
    assert (copied.n_real, copied.n_synthetic, copied.floor) == (120, 60, 0)
    assert copied.verdict == ("missed" if count else "met")
    per_class = [named(found, "copied_share", label) for label in CLASSES]
    assert sum(round(m.value * m.n_synthetic) for m in per_class) == count


def test_what_is_measured_of_cells_that_copy_nothing() -> None:
    found = measure_copying(made_sides(), made_context())
    assert [m.name for m in found.measurements if m.label == "all"] == [
        "copied_share", "nearest_train", "nearest_train_held_out", "nearest_train_features",
        "nearer_than_held_out_share", "membership_auc", "membership_auc",
    ]  # fmt: skip
    assert {m.family for m in found.measurements} == {"copying"}
    assert not found.skipped
    for one in found.measurements:
        assert one.low is not None, one
        if one.name != "nearest_train_held_out":
            assert one.floor is not None, one
        assert "train" in one.reference
    (picture,) = found.pictures
    assert picture.name == "closest_training_pairs"
    assert picture.shows_real


def test_every_cell_a_copy_moves_every_measure() -> None:
    clean, copies = made_sides(), planted(made_sides(), 1.0, ALTERED["mirrored"])
    before, after = (measure_copying(sides, made_context()) for sides in (clean, copies))
    assert named(after, "copied_share").value == 1
    for name in ("nearest_train", "nearest_train_features", "nearer_than_held_out_share"):
        assert named(before, name).verdict != "missed", name
        assert named(after, name).verdict == "missed", name
    for arm in ("pixels", "features"):
        assert named(before, "membership_auc", arm=arm).verdict != "missed"
    assert named(after, "membership_auc", arm="pixels").verdict == "missed"


def test_membership_sees_copies_that_only_some_cells_have() -> None:
    sides = planted(made_sides(), 1.0, ALTERED["recompressed"])
    area = named(measure_copying(sides, made_context()), "membership_auc", arm="pixels")
    # Every second training cell of both classes was copied: these are told, the others not.
    assert area.value == pytest.approx(0.75, abs=0.1)
    assert area.low is not None
    assert area.low > 0.55
    assert area.floor == pytest.approx(0.5, abs=0.06), "other training cells tell nothing"


def test_held_out_cells_that_are_copies_are_spoken_of() -> None:
    clean = measure_copying(made_sides(), made_context())
    note = named(clean, "copied_share").note or ""
    assert "pass the threshold" not in note
    assert "two splits" not in note
    sides = made_sides()
    images = sides.held.images.copy()
    images[:3] = sides.train.images[:3]
    trap = replace(sides, held=replace(sides.held, images=images))
    copied = named(
        measure_copying(planted(trap, 0.5, ALTERED["turned"]), made_context()), "copied_share"
    )
    assert "held-out cells pass the threshold themselves" in (copied.note or "")
    assert "3 held-out cells lie on training cells when registered" in (copied.note or "")
    assert copied.floor == pytest.approx(3 / 60)
    assert copied.value == 0.5, "registration needs no held-out cell to know a copy"


def test_a_search_of_some_training_cells_says_so() -> None:
    most = named(measure_copying(made_sides(), made_context(max_train=120)), "copied_share")
    assert "120 training cells were searched, the most that max_train allows" in (most.note or "")
    fewer = named(measure_copying(made_sides(), made_context()), "copied_share")
    assert "max_train" not in (fewer.note or "")


def test_small_images_are_compared_without_registration_and_it_says_so() -> None:
    sides = made_sides(side=32)
    images = sides.drawn.images.copy()
    images[:6] = sides.train.images[:6]
    copied = named(measure_copying(with_drawn(sides, images), made_context()), "copied_share")
    assert copied.value == 0.1
    assert "too small to be registered" in (copied.note or "")
    assert "registration" not in copied.extractor


def test_even_images_and_one_held_out_cell_are_no_crash() -> None:
    sides = made_sides()
    even = with_drawn(sides, np.full_like(sides.drawn.images, 217))
    assert named(measure_copying(even, made_context()), "copied_share").value == 0
    few = replace(sides, held=sides.held.take(np.array([0, 1])), sizes={"basophil": 1})
    found = measure_copying(few, made_context())
    assert "membership inference" in found.skipped
    none = replace(sides, held=sides.held.take(np.array([], np.int64)))
    assert "no held-out cell" in measure_copying(none, made_context()).skipped["copies"]


def test_nothing_searched_finds_nothing() -> None:
    some, none = signatures_of(blots(0, 3)), signatures_of(blots(0, 3)[:0])
    assert altered_copies(none, some).found.shape == (0,)
    assert altered_copies(some, none).found.tolist() == [False] * 3
    assert altered_copies(some, none).train.tolist() == [-1] * 3


@pytest.mark.parametrize("way", range(8))
def test_the_orientation_of_a_match(way: int) -> None:
    matches = blots(4, 3)
    queries: Images = np.stack([turned_image(image, way) for image in matches])
    assert nearest_orientations(queries, matches).tolist() == [way] * 3


def test_the_same_sides_measure_the_same() -> None:
    one, other = (measure_copying(made_sides(), made_context()) for _ in range(2))
    assert one.measurements == other.measurements


def test_a_class_without_a_side_is_measured_pooled_only() -> None:
    sides = replace(made_sides(), sizes={"basophil": 30})
    labels = {m.label for m in measure_copying(sides, made_context()).measurements}
    assert labels == {"all", "basophil"}
