"""`smearkit.load`, and what else reads a released folder: as it stands, by path and offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

import smearkit
from cards.load import load
from curation.errors import CorpusError, ReleaseRefusedError
from curation.vocabulary import LABEL_IDS, LABELS
from tests.made_cards import SYNTHETIC, MadeCards


def sizes(found: datasets.DatasetDict) -> dict[str, int]:
    return {split: len(rows) for split, rows in found.items()}


def test_real_cells_unless_said_otherwise(cards_made: MadeCards, tmp_path: Path) -> None:
    found = smearkit.load(cards_made.release.path, cache=tmp_path)
    assert sizes(found) == {"train": 12, "validation": 6, "test": 6}
    assert all(set(rows["origin"]) == {"real"} for rows in found.values())
    assert found["train"].features["label"].names == list(LABELS)
    assert found["train"][0]["image"].size == (24, 24)
    assert sizes(load(cards_made.release.real, cache=tmp_path)) == sizes(found)
    assert sizes(load(cards_made.real.path, cache=tmp_path)) == sizes(found)


def test_synthetic_cells_by_an_explicit_word(cards_made: MadeCards, tmp_path: Path) -> None:
    found = load(cards_made.release.path, include_synthetic=True, cache=tmp_path)
    total = sum(SYNTHETIC.values())
    assert sizes(found) == {"train": 12 + total, "validation": 6, "test": 6}
    assert found["train"]["origin"].count("synthetic") == total
    assert set(found["test"]["origin"]) == {"real"}
    drawn = found["train"].filter(lambda row: row["origin"] == "synthetic")
    assert drawn[0]["image"].size == (16, 16)
    assert {LABELS[label] for label in drawn["label"]} == set(SYNTHETIC)


def test_columns_that_only_one_dataset_has(
    cards_made: MadeCards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = cards_made.real.rows(["image_id", "label", "origin"], ["train"])
    real = datasets.Dataset(table.append_column("age", [["40s"] * len(table)]))
    drawn = datasets.Dataset(cards_made.synthetic.rows(["image_id", "label", "origin", "seed"]))
    parts = {cards_made.release.real: real, cards_made.release.synthetic: drawn}
    monkeypatch.setattr(
        "cards.load._load", lambda part, *_: datasets.DatasetDict(train=parts[part])
    )
    found = load(cards_made.release.path, include_synthetic=True)["train"]
    assert found["age"] == ["40s"] * 12 + [None] * 14
    assert found["seed"][:12] == [None] * 12


def test_what_is_not_mixed_by_accident(cards_made: MadeCards, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds synthetic cells. Next: say so"):
        load(cards_made.release.synthetic, cache=tmp_path)
    found = load(cards_made.release.synthetic, include_synthetic=True, cache=tmp_path)
    assert sizes(found) == {"train": 14}
    with pytest.raises(CorpusError, match="holds real cells only"):
        load(cards_made.release.real, include_synthetic=True, cache=tmp_path)


def test_synthetic_cells_in_a_test_split(
    cards_made: MadeCards, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = datasets.Dataset(cards_made.synthetic.rows(["image_id", "origin"]))
    planted = datasets.DatasetDict(train=drawn, test=drawn)
    monkeypatch.setattr("cards.load._load", lambda *_: planted)
    with pytest.raises(CorpusError, match="holds synthetic cells in test, where none may stand"):
        load(cards_made.release.path, include_synthetic=True)


def test_by_name_both_repositories_at_one_version(
    cards_made: MadeCards, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def fetch(name: str, revision: str, **_: Any) -> datasets.DatasetDict:
        asked.append((name, revision))
        folder = cards_made.release.path / ("synthetic" if "synthetic" in name else "real")
        return load_dataset(str(folder), cache_dir=str(tmp_path))

    load_dataset = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", fetch)
    monkeypatch.chdir(tmp_path)
    assert sizes(load("lab/discs", revision="1.0.0"))["train"] == 12
    both = load("lab/discs", include_synthetic=True, revision="1.0.0")
    assert sizes(both)["train"] == 26
    assert asked == [("lab/discs", "1.0.0")] * 2 + [("lab/discs-synthetic", "1.0.0")]


@pytest.mark.parametrize("source", ["nothing-here", "a/b/c"])
def test_what_is_nothing(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="is neither a folder nor ORG/NAME"):
        load(source)
    with pytest.raises(ReleaseRefusedError, match="expected ORG/NAME"):
        load("lab/a--b")
    with pytest.raises(CorpusError):
        load(tmp_path)


# What else reads it


def with_datasets(folder: Path, cache: Path) -> dict[str, int]:
    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))
    names = rows.features["label"].names
    return counted(names[label] for label in rows["label"])


def streamed(folder: Path, cache: Path) -> dict[str, int]:
    rows = datasets.load_dataset(str(folder), split="train", streaming=True)
    assert isinstance(rows, datasets.IterableDataset)
    return counted(LABELS[row["label"]] for row in rows if row["image"].size)


def with_torch(folder: Path, cache: Path) -> dict[str, int]:
    import numpy as np
    import torch
    from torch.utils.data import DataLoader

    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))

    def collate(batch: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        images = np.stack([np.asarray(row["image"]) for row in batch])
        labels = torch.tensor([row["label"] for row in batch])
        return torch.from_numpy(images).permute(0, 3, 1, 2), labels

    found: list[str] = []
    for images_NCHW, labels in DataLoader(rows, batch_size=5, collate_fn=collate):
        assert images_NCHW.shape[1:] in {(3, 24, 24), (3, 16, 16)}
        found.extend(LABELS[label] for label in labels.tolist())
    return counted(found)


def with_pandas(folder: Path, cache: Path) -> dict[str, int]:
    import pandas as pd

    rows = pd.read_parquet(sorted((folder / "data").glob("train-*.parquet"))[0])
    return counted(LABELS[label] for label in rows["label"])


def with_polars(folder: Path, cache: Path) -> dict[str, int]:
    import polars as pl

    rows = pl.scan_parquet(folder / "data" / "train-*.parquet")
    found = rows.group_by("label").len().collect().rows()
    return {LABELS[label]: count for label, count in sorted(found)}


def with_duckdb(folder: Path, cache: Path) -> dict[str, int]:
    import duckdb

    query = f"SELECT label, count(*) FROM '{folder}/data/train-*.parquet' GROUP BY 1 ORDER BY 1"
    rows = duckdb.sql(query)
    assert rows is not None
    return {LABELS[label]: count for label, count in rows.fetchall()}


def counted(labels: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for label in labels:
        found[label] = found.get(label, 0) + 1
    return {label: found[label] for label in sorted(found, key=LABEL_IDS.__getitem__)}


READERS: list[Callable[[Path, Path], dict[str, int]]] = [
    with_datasets, streamed, with_torch, with_pandas, with_polars, with_duckdb,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_a_reader_counts_what_the_card_says(
    cards_made: MadeCards, tmp_path: Path, kind: str, read: Callable[[Path, Path], dict[str, int]]
) -> None:
    corpus = cards_made.real if kind == "real" else cards_made.synthetic
    folder = cards_made.release.path / kind
    assert read(folder, tmp_path) == corpus.manifest.classes["train"]


def test_the_viewer_can_show_a_row_group(cards_made: MadeCards) -> None:
    for shard in (cards_made.release.real / "data").iterdir():
        found = pq.read_metadata(shard)
        for group in range(found.num_row_groups):
            assert found.row_group(group).total_byte_size < 286 * 2**20
