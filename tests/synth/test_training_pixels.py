from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pixel_shuffle

from curation.manifest import Codec, View
from curation.pixels import decode_rgb
from curation.progress import silent
from curation.vocabulary import LABEL_IDS
from synth.config import preset
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable
from synth.training_pixels import TrainingPixels, draw_batch, prepare_pixels, turned
from synth.view import apply_view, view_through_codec
from tests.made import Made

CONFIG = preset("smoke").model_copy(update={"batch": 12, "patch": 2})


def some_pixels(side: int = 16, count: int = 6) -> TrainingPixels:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return TrainingPixels(images, np.array([4, 4, 4, 4, 4, 6][:count], dtype=np.int64))


def test_turned_gives_the_eight_orientations() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    shown = [turned(image, turn) for turn in range(8)]
    assert len({one.tobytes() for one in shown}) == 8
    np.testing.assert_array_equal(shown[0], image)
    np.testing.assert_array_equal(shown[4], image[:, ::-1])
    # Every orientation of an orientation is one of the eight.
    again = {turned(one, turn).tobytes() for one in shown for turn in range(8)}
    assert again == {one.tobytes() for one in shown}


def test_batches_are_the_same_for_the_same_generator() -> None:
    pixels = some_pixels()
    cumulative = np.cumsum(pixels.weights(0.5))
    first, second, other = (
        draw_batch(pixels, cumulative, CONFIG, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (12, 12, 8, 8)
    assert first[0].dtype == torch.float32
    assert float(first[0].abs().max()) <= 1


def test_a_batch_shows_the_images_with_their_labels() -> None:
    pixels = some_pixels()
    cumulative = np.cumsum(pixels.weights(1.0))
    batch, ids = draw_batch(pixels, cumulative, CONFIG, np.random.default_rng(0))
    unfolded = pixel_shuffle(batch, CONFIG.patch)
    levels = ((unfolded + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    known = {
        turned(image, turn).tobytes(): label
        for image, label in zip(pixels.images, pixels.class_ids, strict=True)
        for turn in range(8)
    }
    assert [known[image.tobytes()] for image in levels] == ids.tolist()


@pytest.mark.parametrize(
    ("balance", "share"), [(0.0, 1 / 6), (1.0, 1 / 2), (0.5, 1 / (1 + 5**0.5))]
)
def test_class_balance(balance: float, share: float) -> None:
    pixels = some_pixels()
    weights = pixels.weights(balance)
    assert weights.sum() == pytest.approx(1)
    assert weights[5] == pytest.approx(share)
    assert pixels.counts() == {"basophil": 5, "monocyte": 1}
    config = CONFIG.model_copy(update={"batch": 4_000, "patch": 1})
    tiny = TrainingPixels(pixels.images[:, :2, :2], pixels.class_ids)
    _, ids = draw_batch(tiny, np.cumsum(weights), config, np.random.default_rng(0))
    drawn = (ids == LABEL_IDS["monocyte"]).float().mean()
    assert float(drawn) == pytest.approx(share, abs=0.03)


def test_the_training_split_and_nothing_else(made: Made, tmp_path: Path) -> None:
    view = View(side=16, crop=1.0)
    pixels = prepare_pixels(made.real, view, tmp_path, silent)
    assert pixels.images.shape == (made.real.manifest.splits["train"], 16, 16, 3)
    assert pixels.counts() == made.real.manifest.classes["train"]
    data = list(made.real.images(["train"]))
    np.testing.assert_array_equal(pixels.images[7], apply_view(decode_rgb(data[7]), view))
    taken_up = prepare_pixels(made.real, view, tmp_path, silent)
    np.testing.assert_array_equal(taken_up.images, pixels.images)
    assert [path.name for path in tmp_path.iterdir()] == ["pixels.npy"]


def test_the_view_is_the_centre() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:40] = (200, 100, 50)
    inner = apply_view(pixels, View(side=16, crop=0.5))
    assert inner.shape == (16, 16, 3)
    # The filter reaches over the edge of what it shows, but not to its middle.
    middle = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    np.testing.assert_array_equal(inner[4:-4, 4:-4], middle)
    assert inner[..., 0].min() > 150
    # A wider view shows the ground around the square in its corners.
    outer = apply_view(pixels, View(side=20, crop=1.0))
    assert outer[0, 0].tolist() == [0, 0, 0]
    assert outer[10, 10].tolist() == [200, 100, 50]


@pytest.mark.parametrize("shape", [(24, 24, 3), (7, 90, 3), (200, 31, 3)])
def test_the_view_has_its_side_whatever_the_image(shape: tuple[int, int, int]) -> None:
    grey = np.full(shape, 77, np.uint8)
    viewed = apply_view(grey, View(side=16, crop=2 / 3))
    np.testing.assert_array_equal(viewed, np.full((16, 16, 3), 77, np.uint8))


def test_real_cells_go_through_the_codec_of_the_synthetic(made: Made) -> None:
    pixels = decode_rgb(next(made.real.images()))
    view = View(side=16, crop=1.0)
    plain = view_through_codec(pixels, view, Codec(format="png"))
    np.testing.assert_array_equal(plain, apply_view(pixels, view))
    coded = view_through_codec(pixels, view, made.generator.info.codec)
    assert coded.shape == plain.shape
    assert 0 < np.abs(coded.astype(int) - plain).max() < 60


def test_contact_sheet_is_as_large_as_its_rows() -> None:
    cell = np.full((20, 20, 3), (1, 99, 3), np.uint8)
    sheet = contact_sheet([("a\nb", [cell] * 3), ("c", [cell])], cell_px=30, label_px=50)
    assert sheet.size == (50 + 3 * 32 + 2, 2 * 32 + 2)
    assert sheet.getpixel((50 + 2 * 32 + 15, 17)) == (1, 99, 3)
    assert sheet.getpixel((50 + 2 * 32 + 15, 32 + 17)) == (255, 255, 255)
    assert contact_sheet([], label_px=50).size == (52, 2)


def test_a_contact_sheet_is_encoded_under_a_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    sheet = contact_sheet([("noise", [noise])], cell_px=300)
    whole = jpeg_bytes(sheet)
    assert whole[:2] == b"\xff\xd8"
    assert len(jpeg_bytes(sheet, limit_bytes=len(whole) // 2)) <= len(whole) // 2


def test_captions() -> None:
    assert readable("plasma_cell") == "plasma cell"
    assert readable("lymphocyte_large_granular") == "lymphocyte\nlarge granular"
