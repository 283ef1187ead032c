"""What makes signatures fast changes nothing about them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from curation.dedupe import invariants, turned
from curation.dedupe.invariants import RINGS, sample_rings
from curation.dedupe.keypoints import find_all_keypoints, find_keypoints
from curation.dedupe.stain import stain_map
from curation.tiles import TILE_PX, Tile

# In the middle, at each edge, and of every size that occurs.
KEYPOINTS = np.array(
    [[48, 48, 5.2], [3, 4, 7], [92, 90.5, 10], [50, 2, 14], [2, 60, 20], [30, 70, 25]], np.float32
)


def made_tile(seed: int) -> Tile:
    """Return blobs with noise: both large and fine structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 250, (12, 12, 3), np.uint8)
    tile = cv2.resize(coarse, (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(tile, rng.integers(0, 9, tile.shape, np.uint8)), np.uint8)


def rings_of_the_whole(tile: Tile, keypoint: np.ndarray) -> np.ndarray:
    """Return what the rings are when the whole tile is blurred by OpenCV."""
    x, y, radius = keypoint
    wanted = 0.2 * float(radius)
    sigma = min((1.0, 1.4, 2.0, 2.8, 4.0, 5.6), key=lambda one: abs(np.log(one / wanted)))
    theta = (np.arange(32) * (2 * np.pi / 32)).astype(np.float32)
    reach = radius * RINGS[:, None]
    return cv2.remap(
        cv2.GaussianBlur(np.ascontiguousarray(tile[:, :, :2]), (0, 0), sigma),
        x + reach * np.cos(theta), y + reach * np.sin(theta),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    ).transpose(2, 0, 1).astype(np.float32)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_rings_are_those_of_the_whole_blurred_tile(seed: int) -> None:
    tile = made_tile(seed)
    expected = np.stack([rings_of_the_whole(tile, one) for one in KEYPOINTS])
    np.testing.assert_array_equal(sample_rings(tile, KEYPOINTS), expected)


def test_a_window_too_narrow_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    tile, keypoint = made_tile(0), KEYPOINTS[:1]
    monkeypatch.setattr(invariants, "_REACH", 1.0)
    assert (sample_rings(tile, keypoint)[0] != rings_of_the_whole(tile, keypoint[0])).any()


@pytest.mark.parametrize("sigma", invariants._BLURS_PX)
@pytest.mark.parametrize("levels", [(0, 255), (250, 256), (0, 256)])
def test_a_window_is_blurred_as_opencv_blurs_it(sigma: float, levels: tuple[int, int]) -> None:
    window = np.random.default_rng(1).integers(*levels, (51, 60, 2), np.uint8)
    window[:20] = levels[1] - 1
    blurred = invariants._blurred(window, invariants._kernel(sigma))
    np.testing.assert_array_equal(blurred, cv2.GaussianBlur(window, (0, 0), sigma))


def test_keypoints_do_not_depend_on_the_cells_beside_them() -> None:
    stains = [stain_map(made_tile(seed)) for seed in range(11)]
    alone = np.stack([find_keypoints(stain) for stain in stains])
    assert not np.isnan(alone).all()
    np.testing.assert_allclose(find_all_keypoints(stains), alone, atol=1e-4)
    assert find_all_keypoints([]).shape == (0, 3, 3)


@pytest.mark.parametrize("which", range(len(turned.ORIENTATIONS)))
@pytest.mark.parametrize("shape", [(7, 9, 3), (8, 11), (6, 6, 3)])
def test_orientations_are_those_of_numpy(which: int, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    expected = turned.ORIENTATIONS[which](pixels)
    np.testing.assert_array_equal(turned._oriented(pixels, which), expected)
