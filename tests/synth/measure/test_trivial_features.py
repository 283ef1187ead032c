from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from curation.errors import MeasurementError
from curation.pixels import Pixels
from scripts.altered_cells import jpeg, levels
from synth.measure.trivial_features import TRIVIAL, trivial_features
from synth.measure.two_sample import curved_scores, told_apart
from tests.synth.measure.made_blots import blots

COUNT = 60
LABELS = ["a", "b"] * (COUNT // 2)


def _framed(pixels: Pixels) -> Pixels:
    return np.pad(pixels[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), mode="edge")


FAULTS: dict[str, tuple[Callable[[Pixels], Pixels], str, str | None]] = {
    # what is done to one side -> the family that must see it, and one that must not
    "another codec": (lambda p: jpeg(p, 60), "jpeg_grid", "border"),
    "a repeated edge": (_framed, "border", "colour"),
    "a colour cast": (lambda p: levels(p, (1.06, 1.0, 0.94)), "colour", "jpeg_grid"),
    "a blur": (lambda p: np.asarray(cv2.GaussianBlur(p, (0, 0), 0.6)), "sharpness", None),
    "half the levels": (lambda p: np.asarray(p // 2 * 2, np.uint8), "levels", "border"),
    "a wave": (
        lambda p: np.asarray(
            np.clip(p + 4.0 * np.sin(np.arange(64) * 2.1)[None, :, None], 0, 255), np.uint8
        ),
        "spectrum", None,
    ),
    "noise that does not compress": (
        lambda p: np.asarray(
            np.clip(p + np.random.default_rng(int(p.sum())).normal(0, 3, p.shape), 0, 255), np.uint8
        ),
        "file_size", "border",
    ),
}  # fmt: skip


def _told(family: str, first: np.ndarray, second: np.ndarray) -> float:
    tables = [TRIVIAL[family](images) for images in (first, second)]
    return told_apart(tables[0], tables[1], LABELS, LABELS, curved_scores).value


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_told_by_its_family(fault: str) -> None:
    change, family, other = FAULTS[fault]
    real, clean = blots(0, COUNT), blots(1, COUNT)
    damaged = np.stack([change(image) for image in clean])
    assert _told(family, real, damaged) > 0.9
    assert _told(family, real, clean) < 0.68, "without the fault there is nothing to tell"
    if other:
        assert _told(other, real, damaged) < 0.75, "what has nothing to do with the fault"


def test_a_grid_is_seen_where_it_lies_and_no_smoothing_is_a_grid() -> None:
    image = blots(2, 1)[0].astype(np.float64)
    image[:, 8::8] += 6
    even = blots(2, 1)
    grid = np.clip(image, 0, 255).astype(np.uint8)[None]
    steps = TRIVIAL["jpeg_grid"](grid)[0, :8]
    assert steps.argmax() in (0, 7), "into the line and out of it"
    assert TRIVIAL["jpeg_grid"](even)[0, :8].max() < steps.max()
    np.testing.assert_allclose(TRIVIAL["jpeg_grid"](even)[0, :8].mean(), 1, atol=1e-3)


@pytest.mark.parametrize("side", [16, 24, 33, 64])
def test_features_of_any_size_are_finite_rows(side: int) -> None:
    images = np.concatenate(
        [np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8),
         np.full((2, side, side, 3), 217, np.uint8), np.zeros((1, side, side, 3), np.uint8)]
    )  # fmt: skip
    found = trivial_features(images)
    assert list(found) == list(TRIVIAL)
    for name, rows in found.items():
        assert rows.shape[0] == 6, name
        assert rows.ndim == 2, name
        assert rows.dtype == np.float64, name
        assert np.isfinite(rows).all(), name
        assert not np.ptp(rows[3:5], axis=0).any(), "equal images, equal features"


def test_other_images_are_refused() -> None:
    with pytest.raises(MeasurementError, match="square RGB images of one size"):
        trivial_features(np.zeros((2, 16, 24, 3), np.uint8))
    with pytest.raises(MeasurementError, match="uint8, are needed.*float32"):
        trivial_features(np.zeros((2, 16, 16, 3), np.float32))
    with pytest.raises(MeasurementError, match="images of 8 px show no grid; 16 px"):
        trivial_features(np.zeros((2, 8, 8, 3), np.uint8))
