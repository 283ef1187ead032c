from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from curation.corpus import Corpus
from curation.errors import MeasurementError
from curation.manifest import Codec, View
from curation.pixels import Pixels, decode_rgb
from synth.measure import corpus_features
from synth.measure.corpus_features import features_of_corpus
from synth.processes import Ranks
from synth.view import view_through_codec
from tests.made_selection import made_split, write_corpus
from tests.synth.measure.fake_extractor import DIMENSIONS, fake_extractor

VIEW = View(side=20, crop=0.7)
PNG = Codec(format="png")
TRAIN = ("train",)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus") / "real"
    return write_corpus(
        folder, {"train": made_split("train"), "validation": made_split("validation")}
    )


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(corpus_features, "_POLL_SECONDS", 0.01)


def count_decoded(decoded: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def counting(data: bytes) -> Pixels:
        decoded.append(1)
        return decode_rgb(data)

    monkeypatch.setattr(corpus_features, "decode_rgb", counting)


def test_the_features_are_of_the_cells_through_view_and_codec(
    corpus: Corpus, tmp_path: Path
) -> None:
    splits = ("validation", "train")
    rows = features_of_corpus(corpus, splits, VIEW, PNG, fake_extractor(), folder=tmp_path)
    cells = [view_through_codec(decode_rgb(data), VIEW, PNG) for data in corpus.images(splits)]
    np.testing.assert_array_equal(rows, fake_extractor().features(cells, len(cells)))
    assert len(rows) == 240


def test_a_second_time_nothing_is_decoded(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = features_of_corpus(corpus, TRAIN, VIEW, PNG, fake_extractor(), folder=tmp_path)

    def refuse(data: bytes) -> object:
        raise AssertionError("decoded")

    monkeypatch.setattr(corpus_features, "decode_rgb", refuse)
    seen: list[int] = []
    said: list[str] = []
    rows = features_of_corpus(
        corpus, TRAIN, VIEW, PNG, fake_extractor(seen), folder=tmp_path, tell=said.append
    )
    np.testing.assert_array_equal(rows, first)
    assert (seen, said) == ([], [])
    with pytest.raises(AssertionError, match="decoded"):
        features_of_corpus(
            corpus, TRAIN, View(side=21, crop=0.7), PNG, fake_extractor(), folder=tmp_path
        )


def test_only_what_is_missing_is_decoded_and_extracted(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features_of_corpus(corpus, ("validation",), None, None, fake_extractor(), folder=tmp_path)
    decoded: list[int] = []
    count_decoded(decoded, monkeypatch)
    seen: list[int] = []
    both = ("train", "validation")
    features_of_corpus(corpus, both, None, None, fake_extractor(seen), folder=tmp_path)
    assert (len(decoded), sum(seen)) == (150, 150)


def test_images_are_read_no_further_than_a_batch(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    lags: list[int] = []
    count_decoded(decoded, monkeypatch)
    monkeypatch.setattr("tests.synth.measure.fake_extractor.np.linspace", np.linspace, raising=True)
    done: list[int] = []

    class Counting(list[int]):
        def append(self, size: int) -> None:
            done.append(size)
            lags.append(len(decoded) - sum(done))

    features_of_corpus(
        corpus, TRAIN, None, None, fake_extractor(Counting()), folder=tmp_path, batch=8
    )
    assert max(lags) == 0
    assert len(lags) == -(-150 // 8)


def test_out_may_be_a_map_of_a_file(corpus: Corpus, tmp_path: Path) -> None:
    out = np.memmap(tmp_path / "rows", np.float32, "w+", shape=(150, DIMENSIONS))
    rows = features_of_corpus(
        corpus, TRAIN, None, None, fake_extractor(), folder=tmp_path / "kept", out=out
    )
    assert rows is out
    plain = features_of_corpus(
        corpus, TRAIN, None, None, fake_extractor(), folder=tmp_path / "kept"
    )
    np.testing.assert_array_equal(np.fromfile(tmp_path / "rows", np.float32), plain.ravel())
    with pytest.raises(MeasurementError, match="out is"):
        features_of_corpus(
            corpus, TRAIN, None, None, fake_extractor(), folder=tmp_path,
            out=np.empty((150, DIMENSIONS + 1), np.float32),
        )  # fmt: skip


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_extract_each_cell_once(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(corpus_features, "_TURN_ROWS", 10)
    monkeypatch.setattr(corpus_features, "PIECE_ROWS", 25)
    one = features_of_corpus(
        corpus, TRAIN, VIEW, PNG, fake_extractor(), folder=tmp_path / "one", ranks=Ranks()
    )
    seen: list[list[int]] = [[] for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        futures = [
            pool.submit(
                features_of_corpus, corpus, TRAIN, VIEW, PNG, fake_extractor(seen[rank]),
                folder=tmp_path / "several", ranks=Ranks(rank, count, rank),
            )
            for rank in range(count)
        ]  # fmt: skip
        for future in futures:
            np.testing.assert_array_equal(future.result(), one)
    # 150 cells in turns of 10.
    assert [sum(sizes) for sizes in seen] == {2: [80, 70], 3: [50, 50, 50]}[count]


def test_a_process_that_was_left_alone_says_so(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_features, "WAIT_SECONDS", 0.05)
    with pytest.raises(MeasurementError, match="left 64 cells without features"):
        features_of_corpus(
            corpus, TRAIN, None, None, fake_extractor(), folder=tmp_path, ranks=Ranks(0, 2, 0)
        )


@pytest.mark.e2e
def test_torchrun_gives_the_features_of_one_process(corpus: Corpus, tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
            "-m", "tests.synth.measure.fake_extractor",
            str(corpus.path), str(tmp_path / "kept"), str(tmp_path),
        ],
        check=True, cwd=ROOT, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    one = features_of_corpus(
        corpus, TRAIN, None, None, fake_extractor(), folder=tmp_path / "one", ranks=Ranks()
    )
    found = [np.load(tmp_path / f"{rank}.npz") for rank in (0, 1)]
    for process in found:
        np.testing.assert_array_equal(process["rows"], one)
    # 150 cells in turns of 64: rows 0-63 and 128-149, and rows 64-127.
    assert [int(process["extracted"]) for process in found] == [86, 64]
