"""Every fault is planted in drawn cells, and the check that is there for it must see it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.errors import SmearkitError
from curation.glance import Glance, side_by_side
from curation.tiles import TILE_PX, shrink
from curation.validate.checks import (
    CHECK_NAMES,
    CHECKS,
    Checked,
    Measures,
    calibrate,
    check_scores,
    chosen_checks,
    fine_detail,
    flag_reasons,
)
from curation.vocabulary import LABEL_IDS
from scripts.planted_faults import FAULTS, Picture
from smearkit.demo_cells import CLASSES, draw_cell, random_stain

Raw = dict[str, NDArray[np.float32]]
SIDE, PER_CLASS = 160, 20
FAULTY = np.arange(0, PER_CLASS * len(CLASSES), 15)


@cache
def drawn() -> tuple[tuple[Picture, ...], NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    stain = random_stain(rng)
    labels = [label for label in CLASSES for _ in range(PER_CLASS)]
    cells = tuple(draw_cell(label, rng, stain, SIDE) for label in labels)
    return cells, np.array([LABEL_IDS[label] for label in labels])


def measured(pictures: list[Picture]) -> Raw:
    glances = [Glance(shrink(p), p.shape[1], p.shape[0], "png") for p in pictures]
    fine = np.array([fine_detail(picture) for picture in pictures], np.float32)
    return check_scores(side_by_side(glances), fine)


@cache
def clean() -> Raw:
    return measured(list(drawn()[0]))


def judge(raw: Raw) -> Checked:
    labels = drawn()[1]
    return calibrate(raw, np.zeros(len(labels), np.int64), labels)


def with_fault(name: str) -> Checked:
    """Judge the drawn cells with a fault planted in each of `FAULTY`."""
    cells, rng = drawn()[0], np.random.default_rng(1)
    others = np.random.default_rng(2).permutation(len(cells))
    made = measured([FAULTS[name][1](cells[i], cells[others[i]], rng) for i in FAULTY.tolist()])
    raw = {column: values.copy() for column, values in clean().items()}
    for column, values in raw.items():
        values[FAULTY] = made[column]
    return judge(raw)


def test_drawn_cells_without_a_fault_are_hardly_flagged() -> None:
    found = judge(clean())
    assert {r.check: r.flagged for r in found.report.checks if r.share > 0.03} == {}
    assert found.report.flagged == np.logical_or.reduce(list(found.flags.values())).sum()


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_flagged(name: str) -> None:
    found = with_fault(name)
    rest = np.setdiff1d(np.arange(len(drawn()[0])), FAULTY)
    for check in FAULTS[name][0]:
        scores, flags = found.scores[check], found.flags[check]
        assert flags[FAULTY].mean() >= 0.7, f"{check}: {scores[FAULTY]}"
        assert np.median(scores[FAULTY]) < 0.5 < np.median(scores[rest])
        assert flags[rest].mean() <= 0.05


def test_every_check_has_a_planted_fault() -> None:
    assert {check for checks, _ in FAULTS.values() for check in checks} == set(CHECK_NAMES)


def test_what_fills_a_tile_up_is_not_looked_at() -> None:
    """A tile repeats the edge of an image that is not square: nothing of it is measured."""
    cell = drawn()[0][0]
    for low in (cell[30:130], np.ascontiguousarray(cell[:, 40:120])):
        before = measured([low])
        tile = shrink(low)
        height, width = (round(side * TILE_PX / max(low.shape)) for side in low.shape[:2])
        top, left = (TILE_PX - height) // 2, (TILE_PX - width) // 2
        marked = np.zeros_like(tile)
        marked[top : top + height, left : left + width] = tile[
            top : top + height, left : left + width
        ]
        glances = side_by_side([Glance(marked, low.shape[1], low.shape[0], "png")])
        after = check_scores(glances, np.array([fine_detail(low)], np.float32))
        assert {name: values.tolist() for name, values in after.items()} == {
            name: values.tolist() for name, values in before.items()
        }


def test_raw_columns_do_not_depend_on_the_other_cells() -> None:
    cells = list(drawn()[0])
    alone = [measured([cell]) for cell in cells[:5]]
    for name, values in measured(cells[:5]).items():
        assert values.dtype == np.float32
        assert values.tolist() == [float(one[name][0]) for one in alone]


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 300, 3), (5, 40), (1, 1, 3), (200, 7)])
def test_flat_and_odd_images_are_measured(level: int, shape: tuple[int, ...]) -> None:
    raw = measured([np.full(shape, level, np.uint8)])
    assert tuple(raw) == Measures._fields
    assert all(np.isfinite(values).all() for values in raw.values())
    assert raw["diameter_px"][0] == raw["contact"][0] == raw["core"][0] == 0
    assert raw["filled"][0] == (level != 255)
    assert raw["clipped"][0] == (level != 128)


def test_blocks_are_found_wherever_their_grid_begins() -> None:
    from scripts.planted_faults import compressed

    cell, chance = drawn()[0][0], np.random.default_rng(0)
    made = compressed(cell, cell, chance, quality=5)
    whole = fine_detail(made).blockiness
    assert whole > 2 * fine_detail(cell).blockiness
    for start in range(1, 8):
        assert fine_detail(made[start:, 9 - start :]).blockiness > 0.8 * whole


def test_one_light_for_grey_and_colour() -> None:
    """A grey image is measured as its three equal channels are."""
    grey = drawn()[0][0][..., 1]
    assert fine_detail(grey) == fine_detail(np.repeat(grey[..., None], 3, axis=2))


def test_fine_details_that_do_not_fit_are_refused() -> None:
    glances = side_by_side([Glance(shrink(drawn()[0][0]), SIDE, SIDE, "png")])
    with pytest.raises(ValueError, match=r"shape \(1, 3\); expected \(1, 2\)"):
        check_scores(glances, np.zeros((1, 3), np.float32))


def test_flags_drop_only_what_was_chosen() -> None:
    flags = {name: np.zeros(4, np.bool_) for name in CHECK_NAMES}
    flags["focus"][[0, 1]] = True
    flags["empty"][[1, 2]] = True
    flags["cut"][3] = True
    assert chosen_checks(" empty, focus,") == ("focus", "empty")
    assert flag_reasons(flags, chosen_checks("empty,focus"), 4).tolist() == [
        "check_focus", "check_focus", "check_empty", ""
    ]  # fmt: skip
    assert flag_reasons(flags, (), 4).tolist() == ["", "", "", ""]


@pytest.mark.parametrize(("text", "found"), [("focus,blur", "'blur'"), (" , ", "nothing")])
def test_checks_that_are_not_there_cannot_drop(text: str, found: str) -> None:
    with pytest.raises(SmearkitError, match=f"truncated,blocks,focus.*found {found}"):
        chosen_checks(text)


def test_names_are_unique() -> None:
    assert len(set(CHECK_NAMES)) == len(CHECKS)
