from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.pixels import pixel_id
from synth.measure import feature_store
from synth.measure.extractor import Extractor
from synth.measure.feature_piece import open_piece, pixel_hash
from synth.measure.feature_store import FeatureStore, default_folder, pipeline_key
from tests.synth.measure.fake_extractor import DIMENSIONS, fake_extractor

KEY = pipeline_key(View(side=16, crop=0.5), Codec(format="png"), "corpus-1")
Images = NDArray[np.uint8]


def _images(count: int, seed: int = 0) -> tuple[Images, list[str]]:
    images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return images, [pixel_id(image) for image in images]


def _filled(folder: Path, count: int = 6) -> tuple[FeatureStore, Images, list[str], Images]:
    images, ids = _images(count)
    store = FeatureStore(folder, fake_extractor(), KEY)
    return store, images, ids, store.features(images, ids).copy()  # type: ignore[return-value]


def _pieces(store: FeatureStore) -> list[Path]:
    return sorted(store.folder.glob("*.safetensors"))


def test_what_was_extracted_is_not_extracted_again(tmp_path: Path) -> None:
    images, ids = _images(6)
    seen: list[int] = []
    store = FeatureStore(tmp_path, fake_extractor(seen), KEY)
    first = store.features(images[:4], ids[:4])
    assert sum(seen) == 4
    # In another order, with two more, by another process' store.
    order = [5, 2, 0, 4]
    again = FeatureStore(tmp_path, fake_extractor(seen), KEY)
    rows = again.features(images[order], [ids[row] for row in order])
    assert sum(seen) == 6
    plain = fake_extractor().features(images, 6)
    np.testing.assert_array_equal(first, plain[:4])
    np.testing.assert_array_equal(rows, plain[order])
    assert rows.dtype == np.float32


def test_progress_counts_kept_cells_as_done(tmp_path: Path) -> None:
    store, images, ids, _ = _filled(tmp_path)
    more, more_ids = _images(4, seed=1)
    said: list[tuple[str, int, int]] = []
    store.features(
        np.concatenate([images, more]), ids + more_ids, batch=2,
        progress=lambda what, done, total: said.append((what, done, total)),
    )  # fmt: skip
    assert said == [("features", 8, 10), ("features", 10, 10)]


def test_long_runs_are_kept_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "PIECE_ROWS", 2)
    made = fake_extractor()
    seen: list[int] = []

    def failing() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        network = made.open_network()

        def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
            seen.append(len(images))
            if len(seen) == 3:
                raise KeyboardInterrupt
            return network(images)

        return run

    images, ids = _images(6)
    broken = Extractor(
        made.name, made.sha256, made.pipeline, DIMENSIONS, made.prepare, failing
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path, broken, KEY).features(images, ids)
    after: list[int] = []
    rows = FeatureStore(tmp_path, fake_extractor(after), KEY).features(images, ids)
    assert sum(after) == 2
    np.testing.assert_array_equal(rows, made.features(images, 6))


OTHERS = {
    "view": (pipeline_key(View(side=16, crop=0.6), Codec(format="png"), "corpus-1"), "ab" * 32),
    "codec": (
        pipeline_key(
            View(side=16, crop=0.5), Codec(format="jpeg", tables=((1,) * 64,)), "corpus-1"
        ),
        "ab" * 32,
    ),
    "tables": (
        pipeline_key(
            View(side=16, crop=0.5), Codec(format="jpeg", tables=((2,) * 64,)), "corpus-1"
        ),
        "ab" * 32,
    ),
    "corpus": (pipeline_key(View(side=16, crop=0.5), Codec(format="png"), "corpus-2"), "ab" * 32),
    "weights": (KEY, "ac" * 32),
}


@pytest.mark.parametrize("other", OTHERS)
def test_nothing_stale_is_found_under_another(tmp_path: Path, other: str) -> None:
    _, images, ids, _ = _filled(tmp_path)
    key, sha256 = OTHERS[other]
    seen: list[int] = []
    store = FeatureStore(tmp_path, fake_extractor(seen, sha256), key)
    # The pixels are another view's; were the key not looked at, the ids alone would find them.
    rows = np.zeros((6, DIMENSIONS), np.float32)
    assert store.lookup(ids, rows) == list(range(6))
    store.features(images, ids)
    assert sum(seen) == 6
    assert len({path.name for path in tmp_path.iterdir()}) == 2


def test_all_others_are_apart_from_each_other(tmp_path: Path) -> None:
    folders = {
        FeatureStore(tmp_path, fake_extractor(sha256=sha256), key).folder
        for key, sha256 in [*OTHERS.values(), (KEY, "ab" * 32)]
    }
    assert len(folders) == len(OTHERS) + 1


@pytest.mark.parametrize("field", ["name", "pipeline", "dimensions"])
def test_another_extractor_has_another_folder(tmp_path: Path, field: str) -> None:
    made = fake_extractor()
    plain = {
        "name": made.name, "sha256": made.sha256, "pipeline": made.pipeline,
        "dimensions": made.dimensions,
    }  # fmt: skip
    other = plain | {field: 9 if field == "dimensions" else "other"}
    folders = {
        FeatureStore(
            tmp_path,
            Extractor(prepare=made.prepare, open_network=made.open_network, **one),  # type: ignore[arg-type]
            KEY,
        ).folder
        for one in (plain, other)
    }
    assert len(folders) == 2


def test_other_pixels_under_a_kept_id_are_extracted(tmp_path: Path) -> None:
    _, images, ids, before = _filled(tmp_path)
    blurred = images.copy()
    blurred[2] = 255 - blurred[2]
    seen: list[int] = []
    rows = FeatureStore(tmp_path, fake_extractor(seen), KEY).features(blurred, ids)
    assert sum(seen) == 1
    np.testing.assert_array_equal(rows, fake_extractor().features(blurred, 6))
    assert not np.array_equal(rows[2], before[2])


def _flip(path: Path, needle: bytes) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(needle)
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("what", ["feature", "id", "pixels"])
def test_a_flipped_bit_costs_one_row_and_never_a_number(tmp_path: Path, what: str) -> None:
    store, images, ids, rows = _filled(tmp_path)
    (path,) = _pieces(store)
    needles = {
        "feature": rows[3].tobytes(),
        "id": ids[3].encode(),
        "pixels": pixel_hash(images[3]),
    }
    _flip(path, needles[what])
    seen: list[int] = []
    said: list[str] = []
    again = FeatureStore(tmp_path, fake_extractor(seen), KEY, tell=said.append)
    np.testing.assert_array_equal(again.features(images, ids), rows)
    assert sum(seen) == 1
    assert bool(said) == (what == "feature")
    # By the ids alone as well, as a corpus asks.
    found = np.zeros_like(rows, dtype=np.float32)
    assert FeatureStore(tmp_path, fake_extractor(), KEY, tell=said.append).lookup(ids, found) == []
    np.testing.assert_array_equal(found, rows)


def test_an_id_that_became_anothers_is_not_found(tmp_path: Path) -> None:
    """The worst damage: a row that now carries the id of another cell."""
    store, _, ids, _ = _filled(tmp_path)
    (path,) = _pieces(store)
    data = path.read_bytes()
    path.write_bytes(data.replace(ids[3].encode(), b"f" * len(ids[3])))
    rows = np.zeros((1, DIMENSIONS), np.float32)
    said: list[str] = []
    again = FeatureStore(tmp_path, fake_extractor(), KEY, tell=said.append)
    assert again.lookup(["f" * len(ids[3])], rows) == [0]
    assert "damaged" in said[0]


@pytest.mark.parametrize("keep", [0, 4, 200, -7])
def test_a_file_cut_short_is_extracted_again_with_a_message(tmp_path: Path, keep: int) -> None:
    store, images, ids, rows = _filled(tmp_path)
    (path,) = _pieces(store)
    path.write_bytes(path.read_bytes()[:keep])
    seen: list[int] = []
    again = FeatureStore(tmp_path, fake_extractor(seen), KEY)
    with pytest.warns(RuntimeWarning, match="are damaged"):
        np.testing.assert_array_equal(again.features(images, ids), rows)
    assert sum(seen) == 6
    assert path not in _pieces(store)
    assert len(_pieces(store)) == 1


def test_a_piece_of_another_size_is_damaged(tmp_path: Path) -> None:
    store, images, ids, _ = _filled(tmp_path)
    store.keep(ids[:2], [b"0" * 16] * 2, np.zeros((2, DIMENSIONS + 1), np.float32))
    said: list[str] = []
    seen: list[int] = []
    FeatureStore(tmp_path, fake_extractor(seen), KEY, tell=said.append).features(images, ids)
    assert len(said) == 1
    assert seen == []


def test_two_stores_fill_one_folder_at_once(tmp_path: Path) -> None:
    images, ids = _images(120)
    expected = fake_extractor().features(images, 120)
    failed: list[str] = []

    def fill(number: int) -> None:
        rng = np.random.default_rng(number)
        for _ in range(8):
            some = rng.permutation(120)[:30]
            store = FeatureStore(tmp_path, fake_extractor(), KEY, tell=failed.append)
            rows = store.features(images[some], [ids[row] for row in some])
            if not np.array_equal(rows, expected[some]):
                failed.append("other numbers")

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    (folder,) = tmp_path.iterdir()
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def test_a_store_sees_what_another_wrote_since(tmp_path: Path) -> None:
    images, ids = _images(3)
    seen: list[int] = []
    waiting = FeatureStore(tmp_path, fake_extractor(seen), KEY)
    waiting.features(images[:1], ids[:1])
    FeatureStore(tmp_path, fake_extractor(), KEY).features(images, ids)
    waiting.features(images, ids)
    assert sum(seen) == 1


def test_images_and_ids_belong_together(tmp_path: Path) -> None:
    images, ids = _images(3)
    with pytest.raises(MeasurementError, match="3 images came with 2 ids"):
        FeatureStore(tmp_path, fake_extractor(), KEY).features(images, ids[:2])


def test_the_key_lies_beside_for_people_and_names_no_path(tmp_path: Path) -> None:
    store, *_ = _filled(tmp_path)
    text = (store.folder / "key.json").read_text()
    assert "corpus-1" in text
    assert str(tmp_path) not in text


def test_features_are_mapped_and_not_read(tmp_path: Path) -> None:
    store, *_ = _filled(tmp_path)
    piece = open_piece(_pieces(store)[0], DIMENSIONS)
    assert isinstance(piece._features, np.memmap)


def test_the_cache_is_below_home_or_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(feature_store.CACHE_VARIABLE, raising=False)
    assert default_folder() == Path.home() / ".cache" / "smearkit" / "features"
    monkeypatch.setenv(feature_store.CACHE_VARIABLE, str(tmp_path))
    assert default_folder() == tmp_path / "features"
    assert FeatureStore(None, fake_extractor(), KEY).folder.parent == tmp_path / "features"
    assert list(tmp_path.iterdir()) == []
