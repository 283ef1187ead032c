"""Selection on real cells with known faults: what docs/selection.md says, on a smaller sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from curation.cells import Split
from curation.manifest import View
from curation.pixels import Limits, decode_any
from curation.vocabulary import canonical_label
from synth.select import broken, fit_selector, select
from synth.selector import Selector
from synth.view import view_through_codec
from tests.made_selection import PNG, write_corpus

pytestmark = [pytest.mark.real, pytest.mark.e2e]
EASY = ("basophil", "eosinophil", "lymphocyte", "platelet")
HARD = ("neutrophil_band", "neutrophil_segmented")
VIEW = View(side=64, crop=2 / 3)
SHARES: dict[Split, slice] = {
    "train": slice(0, 150), "validation": slice(150, 230), "test": slice(230, 330),
}  # fmt: skip
Cells = dict[str, NDArray[np.uint8]]


@pytest.fixture(scope="module")
def cells(shared_data: Path) -> Cells:
    """330 cells of each class at 128 px, drawn at random."""
    path = shared_data / "pbc128.parquet"
    if not path.is_file():
        pytest.skip("needs pbc128.parquet in ../shared/data")
    table = pq.read_table(path, columns=["image", "label"])
    labels = np.array([canonical_label(name) for name in table["label"].to_pylist()], dtype=str)
    generator = np.random.default_rng(0)
    found: Cells = {}
    for label in (*EASY, *HARD):
        rows = generator.permutation(np.flatnonzero(labels == label))[:330]
        data = [image["bytes"].as_py() for image in table["image"].take(rows)]
        found[label] = np.stack([decode_any(one, Limits()) for one in data])
    return found


@pytest.fixture(scope="module")
def selector(cells: Cells, tmp_path_factory: pytest.TempPathFactory) -> Selector:
    splits = {
        split: {label: images[rows] for label, images in cells.items()}
        for split, rows in SHARES.items()
    }
    corpus = write_corpus(tmp_path_factory.mktemp("real") / "corpus", splits)
    return fit_selector(corpus, VIEW, PNG)


def viewed(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([view_through_codec(image, VIEW, PNG) for image in images])


def test_held_out_cells_are_kept(selector: Selector) -> None:
    loss = selector.real_loss
    assert loss.n == 600
    for rule, most in (("label", 0.08), ("unreal", 0.08), ("copy", 0.005), ("blank", 0.005)):
        lost = sum(entry.broken[rule] for entry in loss.classes)
        assert lost / loss.n <= most, rule
    assert loss.lost / loss.n <= 0.13
    for entry in loss.classes:
        assert entry.any / entry.n <= 0.25, entry.label


def test_wrong_labels_are_dropped(selector: Selector, cells: Cells) -> None:
    for label in EASY:
        images = viewed(cells[label][SHARES["test"]])
        for asked in EASY:
            if asked != label:
                scores = selector.scores(images, [asked] * len(images))
                found = broken(scores, selector.limits)
                assert found["label"].mean() >= 0.9, (label, asked)


def test_neighbours_in_maturation_are_not_wiped_out(selector: Selector, cells: Cells) -> None:
    for label in HARD:
        images = viewed(cells[label][SHARES["test"]])
        reasons = select(selector.scores(images, [label] * len(images)), selector.limits)
        assert reasons.count("") >= 0.75 * len(images), label


def test_turned_training_cells_are_copies(selector: Selector, cells: Cells) -> None:
    images = viewed(cells["basophil"][SHARES["train"]][:40])
    turned = np.stack([np.rot90(image, place % 4)[:, ::-1] for place, image in enumerate(images)])
    found = broken(selector.scores(turned, ["basophil"] * 40), selector.limits)
    assert found["copy"].all()
    held = viewed(cells["basophil"][SHARES["test"]])
    assert not broken(selector.scores(held, ["basophil"] * len(held)), selector.limits)[
        "copy"
    ].any()


def test_noise_is_not_real(selector: Selector, cells: Cells) -> None:
    images = viewed(cells["eosinophil"][SHARES["test"]])
    noise = np.random.default_rng(0).normal(0, 20, images.shape)
    noisy = (images + noise).clip(0, 255).astype(np.uint8)
    found = broken(selector.scores(noisy, ["eosinophil"] * len(noisy)), selector.limits)
    assert found["unreal"].mean() >= 0.95
