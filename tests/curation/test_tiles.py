"""A shortcut to tiles makes what OpenCV makes, to the bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import tiles
from curation.pixels import Pixels
from curation.tiles import TILE_PX, averaged, channels, shrink
from curation.validate.checks import fine_detail

Size = tuple[int, int]


def made(shape: tuple[int, ...], sigma: float = 0.0) -> Pixels:
    pixels = np.random.default_rng(shape[0]).integers(0, 256, shape, np.uint8)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8) if sigma else pixels


def small_size(height: int, width: int) -> Size:
    scale = TILE_PX / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def assert_as_opencv(pixels: Pixels) -> None:
    size = small_size(*pixels.shape[:2])
    expected = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(averaged(pixels, *size), expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    longer=st.integers(97, 700), share=st.floats(0.01, 1), wide=st.booleans(),
    grey=st.booleans(), smooth=st.booleans(),
)  # fmt: skip
def test_areas_are_averaged_as_opencv_does(
    longer: int, share: float, wide: bool, grey: bool, smooth: bool
) -> None:
    shorter = max(1, round(longer * share))
    size = (shorter, longer) if wide else (longer, shorter)
    assert_as_opencv(made(size if grey else (*size, 3), 3.0 if smooth else 0.0))


@pytest.mark.parametrize(
    "shape", [(360, 363, 3), (192, 192, 3), (288, 360), (1100, 1000, 3), (97, 97), (700, 1, 3)]
)
def test_every_way_of_averaging_is_opencvs(shape: tuple[int, ...]) -> None:
    assert_as_opencv(made(shape))


def test_weights_are_made_once_a_size() -> None:
    tiles._areas.cache_clear()
    for _ in range(3):
        shrink(made((200, 150, 3)))
    assert tiles._areas.cache_info().misses == 2


@pytest.mark.parametrize("shape", [(360, 363, 3), (300, 200), (50, 60, 3)])
def test_channels_that_are_there_already_change_nothing(shape: tuple[int, ...]) -> None:
    pixels = made(shape, 2.0)
    planes = channels(pixels)
    np.testing.assert_array_equal(np.dstack(planes), np.atleast_3d(pixels))
    np.testing.assert_array_equal(shrink(pixels, planes), shrink(pixels))
    assert fine_detail(pixels, planes) == fine_detail(pixels)
    assert fine_detail(pixels, planes[::-1]) == fine_detail(pixels)
    if len(planes) == 3:
        assert fine_detail(pixels, planes[1:] + planes[:1]) != fine_detail(pixels)


@pytest.mark.parametrize("shape", [(96, 96, 3), (50, 96, 3), (40, 30), (96, 1)])
def test_small_pictures_are_enlarged_or_stay(shape: tuple[int, ...]) -> None:
    pixels = made(shape)
    across, down = small_size(*shape[:2])
    whole = cv2.resize(pixels, (across, down)) if max(shape[:2]) < TILE_PX else pixels
    colour = whole if whole.ndim == 3 else cv2.cvtColor(whole, cv2.COLOR_GRAY2RGB)
    left, top = (TILE_PX - across) // 2, (TILE_PX - down) // 2
    tile = shrink(pixels)
    assert tile.shape == (TILE_PX, TILE_PX, 3)
    np.testing.assert_array_equal(tile[top : top + down, left : left + across], colour)
    assert (tile[:top] == tile[top]).all()
