from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.errors import MeasurementError
from synth.measure.memorisation import (
    COPY_CORRELATION,
    blank,
    copies,
    nearest_correlation,
    prepare,
)

Images = NDArray[np.uint8]


def _cells(seed: int, count: int, side: int = 64) -> Images:
    """Smooth random blots on a bright background, different in every image."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, side)
    images = np.full((count, side, side, 3), 220.0)
    for image in images:
        for _ in range(6):
            x, y = rng.uniform(-0.7, 0.7, 2)
            width = rng.uniform(0.05, 0.3)
            blot = np.exp(-((grid[:, None] - y) ** 2 + (grid[None] - x) ** 2) / (2 * width**2))
            image -= blot[..., None] * rng.uniform(10, 110, 3)
    return np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)


def _oriented(images: Images, orientation: int) -> Images:
    turned = np.rot90(images, orientation % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if orientation >= 4 else turned)


TRAINING = _cells(0, 40)


@pytest.mark.parametrize("orientation", range(8))
def test_a_planted_copy_is_found_in_every_orientation(orientation: int) -> None:
    query = _oriented(TRAINING[5:15], orientation)
    best, index = nearest_correlation(prepare(query), prepare(TRAINING))
    assert index.tolist() == list(range(5, 15))
    assert best.min() > 0.9999
    assert best.dtype == np.float32
    assert index.dtype == np.int64


@pytest.mark.parametrize("change", ["brighter", "flatter", "noisy", "tinted"])
def test_a_changed_copy_is_found(change: str) -> None:
    pixels = _oriented(TRAINING[:10], 6).astype(np.float64)
    noise = np.random.default_rng(1).normal(0, 8, pixels.shape)
    changed = {
        "brighter": pixels * 0.8 + 50,
        "flatter": pixels * 0.5 + 30,
        "noisy": pixels + noise,
        "tinted": pixels + np.array([8.0, 0.0, -8.0]),
    }[change]
    query = np.clip(changed, 0, 255).astype(np.uint8)
    best, index = nearest_correlation(prepare(query), prepare(TRAINING))
    assert index.tolist() == list(range(10))
    assert best.min() > COPY_CORRELATION


def test_different_cells_are_not_copies() -> None:
    training = prepare(TRAINING)
    held_out, _ = nearest_correlation(prepare(_cells(1, 60)), training)
    fresh, _ = nearest_correlation(prepare(_cells(2, 60)), training)
    planted, _ = nearest_correlation(prepare(_oriented(TRAINING[:3], 5)), training)
    assert held_out.max() < COPY_CORRELATION
    synthetic = np.concatenate([fresh, planted])
    assert np.flatnonzero(copies(synthetic, held_out)).tolist() == [60, 61, 62]


def test_the_blocks_change_nothing() -> None:
    query, training = prepare(_cells(3, 23)), prepare(TRAINING)
    best, index = nearest_correlation(query, training)
    for query_block, training_block in ((1, 1), (7, 11), (23, 40), (5, 1000)):
        again, places = nearest_correlation(
            query, training, query_block=query_block, training_block=training_block
        )
        np.testing.assert_allclose(again, best, atol=1e-5)
        np.testing.assert_array_equal(places, index)


def test_agrees_with_numpys_correlation_of_turned_images() -> None:
    query, training = _cells(4, 5, 32), TRAINING[:6, ::2, ::2]  # 32 px: nothing is shrunk
    best, index = nearest_correlation(prepare(query), prepare(training))
    for row in range(5):
        table = [
            [
                np.corrcoef(_oriented(query[row : row + 1], o).ravel(), cell.ravel())[0, 1]
                for o in range(8)
            ]
            for cell in training
        ]
        assert best[row] == pytest.approx(np.max(table), abs=1e-5)
        assert index[row] == np.argmax(np.max(table, axis=1))


def test_shrinking_is_the_mean_over_the_area() -> None:
    image = _cells(5, 1, 96)
    means = image.reshape(1, 32, 3, 32, 3, 3).mean(axis=(2, 4)).ravel()
    centred = means - means.mean()
    expected = centred / np.linalg.norm(centred)
    np.testing.assert_allclose(prepare(image)[0], expected, atol=1e-6)


@pytest.mark.parametrize("side", [32, 50, 64, 100])
def test_prepared_rows_are_centred_and_of_unit_norm(side: int) -> None:
    rows = prepare(_cells(6, 4, side))
    assert rows.shape == (4, 3072)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_turned_copy_is_found_at_a_side_that_does_not_divide() -> None:
    cells = _cells(7, 4, 50)
    best, _ = nearest_correlation(prepare(_oriented(cells, 7)), prepare(cells))
    assert best.min() > 0.9999


def test_an_even_image_is_flagged_and_near_nothing() -> None:
    even = np.full((2, 50, 50, 3), 217, dtype=np.uint8)
    rows = prepare(np.concatenate([even, _cells(8, 1, 50)]))
    assert blank(rows).tolist() == [True, True, False]
    best, index = nearest_correlation(rows, rows)
    assert best.tolist() == [0, 0, pytest.approx(1, abs=1e-5)]
    assert index.tolist() == [0, 0, 2]


def test_a_copy_must_beat_the_threshold_and_every_held_out_cell() -> None:
    synthetic = np.array([0.94, 0.95, 0.97, 0.98, 0.99])
    assert copies(synthetic, np.array([0.5, 0.8])).tolist() == [False, True, True, True, True]
    assert copies(synthetic, np.array([0.5, 0.98])).tolist() == [False] * 4 + [True]
    assert copies(synthetic, np.array([0.5]), threshold=0.98).tolist() == [False] * 3 + [True] * 2


def test_refusals() -> None:
    rows = prepare(TRAINING[:2])
    with pytest.raises(MeasurementError, match="no training cell"):
        nearest_correlation(rows, rows[:0])
    with pytest.raises(MeasurementError, match="3072 and of 12"):
        nearest_correlation(rows, rows[:, :12])
    with pytest.raises(MeasurementError, match="no held-out cell"):
        copies(np.ones(2), np.empty(0))
    with pytest.raises(MeasurementError, match="not finite"):
        copies(np.array([np.nan]), np.ones(2))
    with pytest.raises(MeasurementError, match="square RGB images"):
        prepare(np.zeros((2, 8, 9, 3), dtype=np.uint8))
    with pytest.raises(MeasurementError, match="uint8"):
        prepare(np.zeros((2, 8, 8, 3), dtype=np.float32))


def test_no_query_gives_nothing_and_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    rows = prepare(TRAINING)
    best, index = nearest_correlation(rows[:0], rows)
    assert best.shape == index.shape == (0,)
    nearest_correlation(
        rows, rows, query_block=15, progress=lambda _, done, total: seen.append((done, total))
    )
    assert seen == [(15, 40), (30, 40), (40, 40)]
