from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, load_dataset
from PIL import Image as Pillow
from torch.utils.data import DataLoader

import smearkit
from curation.codec import codec_of
from curation.errors import GeneratorError, SourceError, UnknownLabelError
from curation.pixels import Pixels, decode_rgb
from curation.vocabulary import LABELS
from synth import sample as sampling
from synth.config import SampleConfig
from synth.generator import Generator
from synth.plan import PlannedCell, planned_cells
from synth.provenance import Marker, fault_of_synthetic
from synth.sample import draw_cells
from synth.view import apply_view, view_through_codec
from tests.made import Made, disc

Augment = Callable[..., Dataset]
OWN = ["BA", "Mono", "typical lymphocyte"]


@pytest.fixture(scope="module")
def loaded(made: Made, tmp_path_factory: pytest.TempPathFactory) -> DatasetDict:
    cache = tmp_path_factory.mktemp("loaded")
    return load_dataset(str(made.real.path), cache_dir=str(cache))


@pytest.fixture
def augment(made: Made, tmp_path: Path) -> Augment:
    """`augment` in three steps and without selection, its cache in a folder of the test."""

    def call(dataset: Any, target: Any = "balanced", **options: Any) -> Dataset:
        settings = {"steps": 3, "select": False, "cache_dir": tmp_path / "cache", **options}
        return smearkit.augment(dataset, made.generator, target, **settings)

    return call


def own_dataset(counts: Sequence[int] = (6, 4, 2), **options: Any) -> Dataset:
    """Return discs under a user's own names of the classes, with a column of the user's own."""
    labels = ("basophil", "monocyte", "lymphocyte")
    rows = [(disc(label, 500 + n, 40), OWN[i], f"ward {n}")
            for i, label in enumerate(labels) for n in range(counts[i])]  # fmt: skip
    features = Features(image=Image(), label=ClassLabel(names=OWN), place=Value("string"))
    columns = dict(zip(features, map(list, zip(*rows, strict=True)), strict=True))
    return Dataset.from_dict(columns, features=features, **{"split": "train", **options})


def encoded(dataset: Dataset) -> list[bytes]:
    return [image["bytes"] for image in dataset.cast_column("image", Image(decode=False))["image"]]


def test_real_rows_come_first_and_drawn_ones_are_marked(
    made: Made, loaded: DatasetDict, augment: Augment
) -> None:
    real = loaded["train"]
    counts = made.real.manifest.classes["train"]
    both = augment(real, {"BA": counts["basophil"] + 3, "monocyte": counts["monocyte"] + 2}, seed=4)
    assert str(both.split) == "train"
    assert {k: v for k, v in both.features.items() if k in real.features} == real.features
    assert both["origin"][:] == ["real"] * len(real) + ["synthetic"] * 5
    assert both["image_id"][: len(real)] == real["image_id"][:]

    drawn = both.select(range(len(real), len(both)))
    cells = planned_cells({"basophil": 3, "monocyte": 2}, 4)
    assert [LABELS[label] for label in drawn["label"]] == [cell.label for cell in cells]
    assert drawn["seed"][:] == [cell.seed for cell in cells]
    assert set(drawn["generator"]) == {made.generator.info.fingerprint}
    # Of a corpus, the other columns say of a drawn cell what they say of one in a corpus.
    assert set(drawn["steps"]) == {3}
    assert set(drawn["training_corpus"]) == {made.real.fingerprint}
    assert set(both["generator"][: len(real)]) == set(both["seed"][: len(real)]) == {None}
    config = SampleConfig(steps=3, seed=4)
    expected = [pixels for _, pixels in draw_cells(made.generator, cells, config)]
    for data, pixels, cell in zip(encoded(drawn), expected, cells, strict=True):
        error = np.abs(decode_rgb(data).astype(int) - pixels)
        assert error.mean() < 12, "the codec moves colours, and it is the same picture"
        marker = Marker(made.generator.info.fingerprint, cell.label, cell.seed)
        assert fault_of_synthetic(data, marker) is None


def test_real_and_drawn_images_are_seen_alike(
    made: Made, loaded: DatasetDict, augment: Augment
) -> None:
    real, info = loaded["train"], made.generator.info
    both = augment(real, 1 + max(Counter(real["label"]).values()))
    data = encoded(both)
    assert {decode_rgb(one).shape for one in data} == {(info.view.side, info.view.side, 3)}
    assert {codec_of(one) for one in data} == {info.codec}
    for before, after in list(zip(encoded(real), data, strict=False))[:5]:
        viewed = view_through_codec(decode_rgb(before), info.view, info.codec)
        np.testing.assert_array_equal(decode_rgb(after), viewed)
    # Without it, the size alone tells which cell is real.
    plain = augment(real, 1 + max(Counter(real["label"]).values()), real_view=False)
    sizes = {row["image"].size: row["origin"] for row in plain}
    assert sizes == {(24, 24): "real", (16, 16): "synthetic"}
    assert encoded(plain)[: len(real)] == encoded(real)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("balanced", (6, 6, 6)), (5, (6, 5, 5)), ({"LY": 3}, (6, 4, 3)), (2, (6, 4, 2)),
     ({"BA": 1, "MO": 0}, (6, 4, 2))],
)  # fmt: skip
def test_targets_count_the_real_cells(
    augment: Augment, target: Any, expected: tuple[int, ...]
) -> None:
    both = augment(own_dataset(), target)
    assert tuple(Counter(both["label"])[i] for i in range(3)) == expected
    assert both["origin"][:12] == ["real"] * 12
    assert both["place"][:] == own_dataset()["place"][:] + [None] * (len(both) - 12)
    assert list(both.features) == ["image", "label", "place", "origin", "generator", "seed"]
    assert both.features["label"].names == OWN


def test_class_names_may_be_text_and_images_grey_or_files(augment: Augment, tmp_path: Path) -> None:
    files = [str(tmp_path / f"{n}.png") for n in range(3)]
    for n, file in enumerate(files):
        disc("basophil", n, 30).convert("L" if n else "RGB").save(file)
    both = augment(
        Dataset.from_dict(
            {"cell": files, "kind": ["BA", "BA", "LY"]},
            features=Features(cell=Image(), kind=Value("string")), split="train",
        ),
        label_column="kind", image_column="cell",
    )  # fmt: skip
    assert both["kind"][:] == ["BA", "BA", "LY", "LY"]
    assert {image.size for image in both["cell"]} == {(16, 16)}
    assert {image.mode for image in both["cell"]} == {"RGB"}


def test_it_feeds_a_torch_loader(augment: Augment) -> None:
    both = augment(own_dataset().with_format("torch"))
    numbers = both.select_columns(["image", "label"]).with_format("torch")
    batches = list(DataLoader(numbers, batch_size=9))
    assert [tuple(batch["image"].shape) for batch in batches] == [(9, 3, 16, 16)] * 2
    assert sorted(int(label) for batch in batches for label in batch["label"]) == sorted(
        [0, 1, 2] * 6
    )


def test_the_same_call_draws_nothing(augment: Augment, monkeypatch: pytest.MonkeyPatch) -> None:
    first = augment(own_dataset())

    def refuse(*arguments: Any) -> Iterator[Any]:
        raise AssertionError("drawn again")

    monkeypatch.setattr(sampling, "draw_cells", refuse)
    again = augment(own_dataset())
    assert again._fingerprint == first._fingerprint
    assert encoded(again) == encoded(first)
    for change in ({"seed": 1}, {"target": 7}, {"steps": 2}, {"guidance": 1.0}):
        with pytest.raises(Exception, match="dataset") as caught:
            augment(own_dataset(), **change)
        assert "drawn again" in repr(caught.value.__cause__)


def test_splits_that_are_not_training_are_refused(loaded: DatasetDict, augment: Augment) -> None:
    for split in ("test", "validation"):
        with pytest.raises(SourceError, match=f"this is the split '{split}': synthetic cells"):
            augment(loaded[split])
        with pytest.raises(SourceError, match=f"this is the split '{split}'"):
            augment(loaded[split], split="train")
    for split in ("train+test", "test[:50%]", "all", "train[:5]+test"):
        with pytest.raises(SourceError, match="synthetic cells belong into training only"):
            augment(own_dataset(split=split))
    with pytest.raises(SourceError, match=r'does not say which split .* state split="train"'):
        augment(own_dataset(split=None))
    with pytest.raises(SourceError, match="split='test' was stated"):
        augment(own_dataset(split=None), split="test")
    assert len(augment(own_dataset(split=None), 2, split="train")) == 12
    assert len(augment(own_dataset(split="train[:50%]"), 2)) == 12


def test_what_is_no_training_split_at_all(loaded: DatasetDict, augment: Augment) -> None:
    with pytest.raises(
        SourceError, match=r'splits train, validation, test.*Next: take \["train"\]'
    ):
        augment(loaded)
    with pytest.raises(SourceError, match="without streaming=True"):
        augment(own_dataset().to_iterable_dataset())
    with pytest.raises(SourceError, match=r"a datasets.Dataset is needed, not list"):
        augment([])


def test_synthetic_rows_are_not_augmented_again(augment: Augment) -> None:
    with pytest.raises(SourceError, match="some rows are synthetic already"):
        augment(augment(own_dataset()))
    real = augment(own_dataset()).filter(lambda row: row["origin"] == "real")
    assert len(augment(real, 6)) == 18


@pytest.mark.parametrize(
    ("name", "values"),
    [("origin", ["biopsy"] * 12), ("generator", ["a pump"] * 12), ("seed", ["7"] * 12),
     ("seed", [7] * 12)],
)  # fmt: skip
def test_a_column_in_the_place_of_a_mark(augment: Augment, name: str, values: list[Any]) -> None:
    with pytest.raises(SourceError, match=f"has a column '{name}' of its own.*rename_column"):
        augment(own_dataset().add_column(name, values))


def test_classes_that_nobody_knows(augment: Augment) -> None:
    unknown = own_dataset().cast_column("label", ClassLabel(names=["BA", "basofil", "LY"]))
    with pytest.raises(UnknownLabelError, match="'basofil': nearest known: basophil"):
        augment(unknown)
    unseen = own_dataset().cast_column("label", ClassLabel(names=["BA", "EO", "LY"]))
    with pytest.raises(GeneratorError, match=r"never saw EO; it was trained on basophil \(20\)"):
        augment(unseen)
    # Nothing has to be drawn of it.
    assert len(augment(unseen, {"LY": 3})) == 13
    twice = own_dataset().cast_column("label", ClassLabel(names=["BA", "Basophil", "LY"]))
    with pytest.raises(SourceError, match="'BA' and 'Basophil' both mean basophil"):
        augment(twice)


def test_targets_that_cannot_be(augment: Augment) -> None:
    for target, said in (
        ({"basofil": 3}, "'basofil'"), ({"EO": 3}, "has no class 'EO'; it has BA, Mono"),
        ("even", "neither"), (-1, "-1; a number"), ({"LY": 2.5}, "2.5; a number"),
        ({"LY": 3, "lymphocyte": 4}, "lymphocyte twice"),
    ):  # fmt: skip
        with pytest.raises((SourceError, UnknownLabelError), match=said):
            augment(own_dataset(), target)


def test_columns_that_are_not_there_or_hold_something_else(augment: Augment) -> None:
    data = own_dataset()
    for options, said in (
        ({"label_column": "class"}, "no column 'class'; there are: image, label, place"),
        ({"image_column": "place"}, "holds Value.*, not images"),
        ({"label_column": "image"}, "does not say what its classes are called"),
    ):
        with pytest.raises(SourceError, match=said):
            augment(data, **options)
    with pytest.raises(SourceError, match="2 cells have no class"):
        augment(data.cast_column("label", Value("int64")).map(
            lambda row, n: {"label": -1 if n < 2 else row["label"]}, with_indices=True,
        ).cast_column("label", ClassLabel(names=OWN)))  # fmt: skip


def test_an_image_that_cannot_be_read_is_named_by_its_row(augment: Augment) -> None:
    rows: list[dict[str, Any]] = [{"bytes": data, "path": None} for data in encoded(own_dataset())]
    rows[7] = {"bytes": b"\xff\xd8\xff no picture", "path": "Quill_Adalbert.jpg"}
    data = own_dataset().remove_columns("image").add_column("image", rows)
    with pytest.raises(SourceError, match="the image of row 7 cannot be used") as caught:
        augment(data.cast_column("image", Image()))
    assert "Quill" not in str(caught.value)


def draw_discs(
    generator: Generator, cells: Sequence[PlannedCell], config: SampleConfig, guide: None
) -> Iterator[tuple[PlannedCell, Pixels]]:
    """Draw as a good generator would, but one monocyte in two is a basophil."""
    for cell in cells:
        wrong = cell.label == "monocyte" and cell.seed % 2
        picture = disc("basophil" if wrong else cell.label, cell.seed % 2**32)
        yield cell, apply_view(np.asarray(picture), generator.info.view)


def is_blue_as_basophils(image: Pillow.Image) -> bool:
    red, _, blue = np.asarray(image)[6:10, 6:10].reshape(-1, 3).mean(axis=0)
    return bool(red < 80 and blue < 145)


def test_selection_drops_what_the_real_cells_speak_against(
    augment: Augment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "draw_cells", draw_discs)
    data = own_dataset((40, 30, 40))
    wrong = {}
    for select in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both = augment(data, {"Mono": 50}, select=select)
        drawn = both.select(range(len(data), len(both)))
        wrong[select] = sum(map(is_blue_as_basophils, drawn["image"]))
        if select:
            assert len(drawn) >= 15, "others were drawn in their place"
    assert wrong[False] >= 6
    assert wrong[True] <= 1


def test_classes_with_too_few_cells_to_be_judged_are_told(augment: Augment) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        augment(own_dataset((30, 30, 2)), {"LY": 4}, select=True)
    said = [str(one.message) for one in told]
    assert any("under 10 real cells (typical lymphocyte 2)" in text for text in said), said


def test_fewer_cells_than_asked_for_are_told(
    augment: Augment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_nothing(
        generator: Generator, cells: Sequence[PlannedCell], config: SampleConfig, guide: None
    ) -> Iterator[tuple[PlannedCell, Pixels]]:
        for cell in cells:
            level = 0 if cell.seed % 2 else 255
            noise = np.random.default_rng(cell.seed).integers(0, 255, (16, 16, 3), np.uint8)
            yield cell, noise if cell.label == "monocyte" else np.full_like(noise, level)

    monkeypatch.setattr(sampling, "draw_cells", draw_nothing)
    with pytest.warns(UserWarning, match="dropped: typical lymphocyte 4 lacking"):
        both = augment(own_dataset())
    assert Counter(both["label"]) == {0: 6, 1: 6, 2: 2}


def test_a_test_set_in_the_generators_view(made: Made, loaded: DatasetDict, tmp_path: Path) -> None:
    viewed = smearkit.match_view(loaded["test"], made.generator, cache_dir=tmp_path)
    assert (str(viewed.split), viewed.features) == ("test", loaded["test"].features)
    info = made.generator.info
    for before, after in zip(encoded(loaded["test"]), encoded(viewed), strict=True):
        expected = view_through_codec(decode_rgb(before), info.view, info.codec)
        np.testing.assert_array_equal(decode_rgb(after), expected)
    unnamed = smearkit.match_view(own_dataset(split=None), made.generator, cache_dir=tmp_path)
    assert unnamed.split is None
    with pytest.raises(SourceError, match=r'take \["train"\]'):
        smearkit.match_view(loaded, made.generator, cache_dir=tmp_path)
