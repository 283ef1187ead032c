from __future__ import annotations

import numpy as np
import pytest

from synth.measure import features_pair, floors, kernel
from synth.measure.floors import floor_of, frechet_floors, halves, kernel_floors
from synth.measure.frechet import frechet_distance
from synth.measure.kernel import kernel_distance, kernel_mean


def test_halves_have_as_many_cells_of_every_class_and_the_first_is_the_sides_as_they_are() -> None:
    parted = halves([3, 5], 40, seed=0)
    assert parted.shape == (41, 16)
    classes = np.array([0] * 3 + [1] * 5 + [0] * 3 + [1] * 5)
    for first in parted:
        assert [first[classes == label].sum() for label in (0, 1)] == [3, 5]
    assert parted[0].tolist() == [True] * 8 + [False] * 8
    # Training cells come into the first half as often as held-out ones.
    assert parted[1:, :8].mean() == pytest.approx(0.5, abs=0.06)
    assert (halves([3, 5], 40, seed=0) == parted).all()
    assert (halves([3, 5], 40, seed=1) != parted).any()


def test_the_floor_is_a_median_with_quantiles_and_knows_sides_of_another_kind() -> None:
    floor = floor_of([9.0, *np.arange(101.0)])
    assert (floor.low, floor.median, floor.high, floor.splits) == (2.5, 50, 97.5, 101)
    assert (floor.least, floor.most) == (2.5, 97.5)
    assert "as they are" not in floor.note
    apart = floor_of([120.0, *np.arange(101.0)])
    assert apart.most == 120
    assert "come to 120" in apart.note
    below = floor_of([-7.0, *np.arange(101.0)])
    assert below.least == -7


@pytest.mark.parametrize("block", [5, 512])
def test_kernel_floors_are_the_distances_of_the_halves(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "_KERNEL_BLOCK", block)
    pool = np.random.default_rng(1).random((28, 10)).astype(np.float32)
    parted = halves([4, 10], 4, 0)
    expected = [kernel_distance(pool[first], pool[~first]).value for first in parted]
    assert kernel_floors(pool, parted) == pytest.approx(expected, abs=1e-12)


def test_kernel_floors_in_blocks_are_unbiased_and_spread_like_the_distance_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "ALL_PAIRS", 50)
    monkeypatch.setattr(kernel, "BLOCK_IMAGES", 20)
    rng = np.random.default_rng(2)
    found = kernel_floors(rng.standard_normal((400, 16)), halves([200], 200, 0))
    others = [
        kernel_distance(rng.standard_normal((200, 16)), rng.standard_normal((200, 16))).value
        for _ in range(200)
    ]
    assert abs(found.mean()) < 4 * np.std(others) / np.sqrt(200)
    assert found.std() == pytest.approx(np.std(others), rel=0.2)


@pytest.mark.parametrize("size", [40, 6])
def test_frechet_floors_are_the_distances_of_the_halves(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_pair, "BLOCK_ROWS", 5)
    pool = np.random.default_rng(3).random((28, size)).astype(np.float32)
    parted = halves([14], 7, 0)
    expected = [frechet_distance(pool[first], pool[~first]) for first in parted]
    # Where images outnumber features, a split takes seconds: there are fewer.
    expected = expected if size == 40 else expected[: 1 + floors.LARGE_SPLITS]
    assert frechet_floors(pool, parted) == pytest.approx(expected, rel=1e-9)


def test_a_perfect_generator_lies_under_the_floors_high_end_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    under = []
    for seed in range(200):
        held, train, drawn = rng.standard_normal((3, 20, 8))
        floor = floor_of(kernel_floors(np.concatenate([held, train]), halves([20], 40, seed)))
        under.append(kernel_mean(held, drawn) <= floor.high)
    # 97.5 % quantiles of 40 values, by interpolation, lie near the 95 % one.
    assert 0.90 <= np.mean(under) <= 0.99


def test_held_out_cells_of_another_kind_show_as_they_are_and_not_in_the_splits() -> None:
    rng = np.random.default_rng(5)
    pool = np.concatenate([rng.standard_normal((30, 8)), rng.standard_normal((30, 8)) + 0.8])
    floor = floor_of(kernel_floors(pool, halves([30], 20, 0)))
    assert floor.as_they_are > 3 * floor.high
    assert floor.most == floor.as_they_are
    assert "held-out and training cells; as they are" in floor.note
