from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import pixel_shuffle

from curation.curate import CurateConfig, curate
from curation.manifest import Codec, View
from curation.pixels import decode_rgb
from curation.progress import silent
from curation.vocabulary import LABEL_IDS
from synth.config import preset
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable
from synth.training_pixels import (
    BatchSource,
    TrainingPixels,
    held_out_pixels,
    oriented,
    prepare_pixels,
)
from synth.view import apply_view, view_through_codec
from tests.made import Made, disc, jpeg

CONFIG = preset("smoke").model_copy(update={"batch": 12, "patch": 2})


CPU = torch.device("cpu")


def some_pixels(side: int = 16, count: int = 6) -> TrainingPixels:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    ids = np.array([4, 4, 4, 4, 4, 6][:count], dtype=np.int64)
    return TrainingPixels(images, ids, np.arange(count) % 2, 2)


def turned(image: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """One of the eight orientations: quarter turns against the clock, then mirrored."""
    rotated = np.rot90(image, turn % 4)
    return rotated[:, ::-1] if turn >= 4 else rotated


def test_oriented_gives_the_eight_orientations() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    x = torch.from_numpy(image).permute(2, 0, 1).expand(8, 3, 3, 3).float()
    shown = oriented(x, torch.arange(8)).permute(0, 2, 3, 1).to(torch.uint8).numpy()
    assert len({one.tobytes() for one in shown}) == 8
    for turn in range(8):
        np.testing.assert_array_equal(shown[turn], turned(image, turn))
    # Each image of a batch has its own.
    turns = torch.tensor([3, 0, 3, 6, 5, 5, 1, 7])
    mixed = oriented(x, turns).permute(0, 2, 3, 1).to(torch.uint8).numpy()
    np.testing.assert_array_equal(mixed, shown[turns.numpy()])


def test_batches_are_the_same_for_the_same_seed_and_step() -> None:
    source = BatchSource(some_pixels(), CONFIG, CPU)
    first, second, other = source.draw(1), source.draw(1), source.draw(2)
    for name in ("images_BCHW", "class_ids_B", "acquisition_ids_B", "jitter_BA"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert not torch.equal(first.images_BCHW, other.images_BCHW)
    reseeded = BatchSource(some_pixels(), CONFIG.model_copy(update={"seed": 1}), CPU).draw(1)
    assert not torch.equal(first.images_BCHW, reseeded.images_BCHW)
    assert first.images_BCHW.shape == (12, 12, 8, 8)
    assert first.images_BCHW.dtype == torch.float32
    assert float(first.images_BCHW.abs().max()) <= 1


@pytest.mark.parametrize("augment", [0.0, 0.5])
def test_processes_draw_parts_of_one_batch(augment: float) -> None:
    source = BatchSource(some_pixels(), CONFIG.model_copy(update={"augment": augment}), CPU)
    whole = source.draw(7)
    parts = [source.draw(7, slice(0, 6)), source.draw(7, slice(6, 12))]
    for name in ("images_BCHW", "class_ids_B", "acquisition_ids_B", "jitter_BA"):
        both = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(both, getattr(whole, name))


def test_a_batch_shows_the_images_with_what_is_told_of_them() -> None:
    pixels = some_pixels()
    batch = BatchSource(pixels, CONFIG.model_copy(update={"class_balance": 1.0}), CPU).draw(0)
    unfolded = pixel_shuffle(batch.images_BCHW, CONFIG.patch)
    levels = ((unfolded + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    known = {
        turned(image, turn).tobytes(): told
        for image, *told in zip(
            pixels.images, pixels.class_ids, pixels.acquisition_ids, strict=True
        )
        for turn in range(8)
    }
    found = [known[image.tobytes()] for image in levels]
    told = torch.stack([batch.class_ids_B, batch.acquisition_ids_B], dim=1)
    assert found == told.tolist()
    assert len({tuple(one) for one in found}) > 1


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
    config = config.model_copy(update={"class_balance": balance})
    tiny = TrainingPixels(pixels.images[:, :2, :2], pixels.class_ids, pixels.acquisition_ids)
    batch = BatchSource(tiny, config, CPU).draw(0)
    drawn = (batch.class_ids_B == LABEL_IDS["monocyte"]).float().mean()
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acquisitions.npy", "pixels.npy"]
    assert (pixels.acquisitions, set(pixels.acquisition_ids.tolist())) == (1, {0})
    assert set(pixels.acquisition_shares()) == set(pixels.counts())
    assert all(shares == [1.0] for shares in pixels.acquisition_shares().values())


GROUNDS = ((232, 222, 226), (150, 165, 190))
"""Two backgrounds, as two laboratories have them."""


def write_two_grounds(folder: Path) -> Path:
    """Basophils on the first ground, monocytes on the second, of lymphocytes a third on it."""
    for label, second in (("basophil", 0.0), ("lymphocyte", 1 / 3), ("monocyte", 1.0)):
        (folder / label).mkdir(parents=True)
        for seed in range(24):
            pixels = np.asarray(disc(label, seed, 32)).astype(int)
            if seed < 24 * second:
                pixels += np.array(GROUNDS[1]) - GROUNDS[0]
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            (folder / label / f"{seed}.jpg").write_bytes(jpeg(image))
    return folder


def test_two_acquisitions_are_found_and_counted_by_class(tmp_path: Path) -> None:
    config = CurateConfig(train=0.9, validation=0.05, test=0.05)
    corpus = curate([write_two_grounds(tmp_path / "source")], tmp_path / "corpus", config)
    folder = tmp_path / "prepared"
    folder.mkdir()
    view = View(side=16, crop=1.0)
    pixels = prepare_pixels(corpus, view, folder, silent, acquisitions=True)
    assert pixels.acquisitions == 2
    # The corner of a cell tells its ground; the larger acquisition is the first.
    blue = np.array([decode_rgb(data)[0, 0, 0] < 190 for data in corpus.images(["train"])])
    assert blue.sum() < len(blue) / 2
    np.testing.assert_array_equal(pixels.acquisition_ids, blue.astype(int))
    shares = pixels.acquisition_shares()
    assert shares["basophil"] == [1, 0]
    assert shares["monocyte"] == [0, 1]
    of_lymphocytes = blue[pixels.class_ids == LABEL_IDS["lymphocyte"]].mean()
    assert shares["lymphocyte"] == pytest.approx([1 - of_lymphocytes, of_lymphocytes], abs=1e-4)
    # Taken up, they are the same; not asked for, they are one.
    again = prepare_pixels(corpus, view, folder, silent, acquisitions=True)
    np.testing.assert_array_equal(again.acquisition_ids, pixels.acquisition_ids)
    other = tmp_path / "other"
    other.mkdir()
    assert prepare_pixels(corpus, view, other, silent).acquisitions == 1


def test_an_interrupted_preparation_starts_anew(made: Made, tmp_path: Path) -> None:
    view = View(side=16, crop=1.0)

    def stop(what: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_pixels(made.real, view, tmp_path, stop)
    pixels = prepare_pixels(made.real, view, tmp_path, silent)
    assert pixels.images.shape[0] == made.real.manifest.splits["train"]
    assert len(pixels.acquisition_ids) == len(pixels.images)


def test_held_out_cells_take_the_classes_in_turn(made: Made) -> None:
    view = View(side=16, crop=1.0)
    held_out = held_out_pixels(made.real, view, 6)
    assert held_out.images.shape == (6, 16, 16, 3)
    assert held_out.counts() == dict.fromkeys(made.real.manifest.classes["validation"], 2)
    data = list(made.real.images(["validation"]))
    table = made.real.rows(["label"], ["validation"])["label"].to_pylist()
    first = table.index(int(held_out.class_ids[0]))
    np.testing.assert_array_equal(held_out.images[0], apply_view(decode_rgb(data[first]), view))
    everything = held_out_pixels(made.real, view, 10_000)
    assert everything.counts() == made.real.manifest.classes["validation"]


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
