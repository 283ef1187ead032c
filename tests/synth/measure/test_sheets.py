"""Sheets of cells, the map of features and the worst cells: what they show and what they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.errors import MeasurementError
from synth.measure.feature_map import embed, feature_map
from synth.measure.sheets import CELL_PX, class_sheets, picked
from synth.measure.sides import Cells
from synth.measure.worst import WORST_CELLS, neighbour_distances, worst_picture

Features = NDArray[np.float32]


def cells(labels: list[str], greys: list[int] | None = None) -> Cells:
    """Return a flat cell of 8 px for each label; `greys` are their colours."""
    shades = greys or list(range(len(labels)))
    images = np.stack([np.full((8, 8, 3), shade, np.uint8) for shade in shades])
    return Cells(images, tuple(labels), tuple(map(str, shades)), (None,) * len(labels))


def cloud(n: int, shift: float, seed: int) -> Features:
    return (np.random.default_rng(seed).normal(size=(n, 12)) + shift).astype(np.float32)


# --- sheets ---


def test_a_sheet_shows_the_picked_real_cells_above_the_picked_drawn_ones() -> None:
    held = cells(["basophil"] * 30 + ["monocyte"])
    drawn = cells(["basophil"] * 30, list(range(100, 130)))
    (sheet,) = class_sheets(held, drawn, seed=3)
    assert sheet.name == "cells_basophil"
    assert sheet.shows_real
    pixels = np.asarray(sheet.image)
    middle = CELL_PX // 2
    step = CELL_PX + 3
    upper = [int(pixels[middle, middle + step * i, 0]) for i in range(8)]
    lower = [int(pixels[middle + step, middle + step * i, 0]) for i in range(8)]
    assert upper == picked(held, "basophil", 8, 3).tolist()
    assert [shade - 100 for shade in lower] == picked(drawn, "basophil", 8, 3).tolist()
    assert upper != list(range(8)), "picked, not the first ones"
    assert "seed 3" in sheet.caption


def test_another_seed_picks_other_cells_and_the_same_seed_the_same() -> None:
    held = cells(["basophil"] * 60)
    assert picked(held, "basophil", 8, 0).tolist() == picked(held, "basophil", 8, 0).tolist()
    assert picked(held, "basophil", 8, 0).tolist() != picked(held, "basophil", 8, 1).tolist()


def test_a_class_without_held_out_cells_shows_no_real_one() -> None:
    (sheet,) = class_sheets(cells(["monocyte"]), cells(["basophil"] * 3), seed=0)
    assert not sheet.shows_real
    assert "no held-out real one" in sheet.caption
    assert sheet.image.height == CELL_PX


# --- the map ---


def test_groups_that_lie_apart_stay_apart_on_the_map() -> None:
    points = embed(np.concatenate([cloud(30, 0, 0), cloud(30, 9, 1)]), seed=0)
    assert points.min() >= 0
    assert points.max() <= 1
    centres = points[:30].mean(axis=0), points[30:].mean(axis=0)
    spread = max(points[:30].std(), points[30:].std())
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
    nearest = np.argsort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 1]
    same = (nearest < 30) == (np.arange(60) < 30)
    assert same.mean() > 0.95


def test_the_map_is_the_same_for_the_same_seed() -> None:
    features = cloud(40, 0, 0)
    assert np.array_equal(embed(features, 1), embed(features, 1))


@pytest.mark.parametrize("features", [np.ones((20, 5), np.float32), cloud(12, 0, 0)[:, :1]])
def test_features_of_no_or_one_dimension_have_a_map(features: Features) -> None:
    points = embed(features, seed=0)
    assert points.shape == (len(features), 2)
    assert np.isfinite(points).all()


def test_the_map_has_a_panel_for_all_and_for_each_class() -> None:
    labels = ["basophil"] * 10 + ["immature_granulocyte_unspecified"] * 10
    picture = feature_map(cloud(20, 0, 0), cloud(20, 1, 1), labels, labels)
    assert not picture.shows_real
    assert picture.alt.startswith("3 panels")
    pixels = np.asarray(picture.image).reshape(-1, 3)
    for colour in ((0, 114, 178), (213, 94, 0), (224, 224, 230)):
        assert (pixels == colour).all(axis=1).sum() > 100, colour


# --- the worst cells ---


def test_distances_are_those_to_the_kth_neighbour() -> None:
    held, drawn = cloud(600, 0, 0), cloud(530, 0.5, 1)
    found = neighbour_distances(held, drawn, 3)
    by_hand = np.linalg.norm(drawn[:, None].astype(float) - held[None].astype(float), axis=2)
    assert found == pytest.approx(np.sort(by_hand, axis=1)[:, 2], rel=1e-9)


def test_a_planted_bad_cell_stands_first() -> None:
    held, features = cloud(50, 0, 0), cloud(40, 0, 1)
    features[17] += 30
    drawn = cells(["basophil"] * 20 + ["monocyte"] * 20)
    picture = worst_picture(drawn, neighbour_distances(held, features, 5), 5, len(held))
    pixels = np.asarray(picture.image)
    assert int(pixels[CELL_PX // 2, CELL_PX // 2, 0]) == 17
    assert not picture.shows_real
    assert f"The {WORST_CELLS} of 40 synthetic cells" in picture.caption


@pytest.mark.parametrize("neighbours", [0, 51])
def test_neighbours_that_are_not_there_are_refused(neighbours: int) -> None:
    with pytest.raises(MeasurementError, match="neighbours among 50 held-out cells"):
        neighbour_distances(cloud(50, 0, 0), cloud(4, 0, 1), neighbours)


def test_features_that_are_no_numbers_are_refused() -> None:
    features = cloud(4, 0, 1)
    features[0, 0] = np.nan
    with pytest.raises(MeasurementError, match="not finite"):
        neighbour_distances(cloud(50, 0, 0), features, 5)
