from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.cells import SCHEMA, check_rows
from curation.curate import CurateConfig, curate
from curation.errors import CorpusError
from curation.vocabulary import LABELS

Folder = Callable[..., Path]
REAL = {"image": {"bytes": b"x", "path": None}, "image_id": "a", "label": 0, "origin": "real"}
SYNTHETIC = {
    **REAL, "origin": "synthetic", "generator": "g", "seed": 1, "guidance": 1.5, "steps": 18,
    "training_corpus": "c",
}  # fmt: skip


def rows(*changed: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([REAL, *changed], schema=SCHEMA)


def test_the_schema_is_frozen() -> None:
    assert SCHEMA.names == [
        "image", "image_id", "label", "subject", "slide", "site", "origin", "source", "license",
        "generator", "seed", "guidance", "steps", "training_corpus", "guidance_low",
        "guidance_high", "acquisition", "autoguidance", "label_probability", "realism",
        "nearest_training",
    ]  # fmt: skip


def test_rows_that_fit() -> None:
    check_rows(rows(REAL), "test")
    check_rows(rows(SYNTHETIC), "train")
    check_rows(rows({**SYNTHETIC, "guidance_low": 0.3, "guidance_high": 3.0}), "train")
    check_rows(SCHEMA.empty_table(), "train")


@pytest.mark.parametrize(
    ("row", "split", "match"),
    [
        ({**REAL, "origin": None}, "train", "row 1 of train: origin is neither"),
        ({**REAL, "origin": "fake"}, "train", "row 1 of train: origin is neither"),
        ({**REAL, "image_id": None}, "train", "image_id is null"),
        ({**REAL, "image": None}, "train", "image has no bytes"),
        ({**REAL, "image": {"bytes": None, "path": "x"}}, "train", "image has no bytes"),
        ({**REAL, "label": None}, "train", "label is outside the vocabulary"),
        ({**REAL, "label": -1}, "train", "label is outside the vocabulary"),
        ({**REAL, "label": len(LABELS)}, "train", "label is outside the vocabulary"),
        ({**REAL, "seed": 3}, "train", "real, but seed is set"),
        ({**REAL, "generator": "g"}, "train", "real, but generator is set"),
        ({**SYNTHETIC, "guidance": None}, "train", "synthetic, but guidance is null"),
        ({**SYNTHETIC, "training_corpus": None}, "train", "synthetic, but training_corpus is null"),
        ({**REAL, "acquisition": 0}, "train", "real, but acquisition is set"),
        ({**REAL, "nearest_training": 0.1}, "train", "real, but nearest_training is set"),
        (
            {**SYNTHETIC, "guidance_low": 0.3},
            "train",
            "guidance_low and guidance_high are not both",
        ),
        (SYNTHETIC, "test", r"synthetic in the test split \(only train may hold them\)"),
        (SYNTHETIC, "validation", "synthetic in the validation split"),
        (REAL, "holdout", "'holdout' is not one of train, validation, test"),
    ],
)
def test_rows_that_break_a_rule(row: dict[str, Any], split: str, match: str) -> None:
    with pytest.raises(CorpusError, match=match):
        check_rows(rows(row), split)


def test_columns_are_closed() -> None:
    more = rows().append_column("patient_name", pa.array(["Jane Roe"]))
    with pytest.raises(CorpusError, match=r"unexpected columns \['patient_name'\]") as caught:
        check_rows(more, "train")
    assert "Jane" not in str(caught.value)
    with pytest.raises(CorpusError, match=r"missing \['site'\]"):
        check_rows(rows().drop_columns(["site"]), "train")
    other = rows().set_column(2, "label", pa.array([0], pa.int32()))
    with pytest.raises(CorpusError, match="other types"):
        check_rows(other, "train")


def test_the_metadata_is_what_datasets_writes() -> None:
    import datasets

    text = dict.fromkeys(
        ("subject", "slide", "site", "origin", "source", "license", "generator"),
        datasets.Value("string"),
    )
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "image_id": datasets.Value("string"),
            "label": datasets.ClassLabel(names=list(LABELS)),
            **text,
            "seed": datasets.Value("int64"),
            "guidance": datasets.Value("float64"),
            "steps": datasets.Value("int64"),
            "training_corpus": datasets.Value("string"),
            "guidance_low": datasets.Value("float64"),
            "guidance_high": datasets.Value("float64"),
            "acquisition": datasets.Value("int64"),
            "autoguidance": datasets.Value("string"),
            "label_probability": datasets.Value("float64"),
            "realism": datasets.Value("float64"),
            "nearest_training": datasets.Value("float64"),
        }
    )
    assert features.arrow_schema.equals(SCHEMA, check_metadata=True)
    assert features.arrow_schema.metadata == SCHEMA.metadata


@pytest.mark.e2e
def test_datasets_loads_a_corpus(class_folders: Folder, tmp_path: Path) -> None:
    import datasets

    corpus = curate(
        [class_folders(basophil=12, monocyte=12)],
        tmp_path / "out",
        CurateConfig(source_name="made", license="cc0-1.0"),
    )
    files = {
        split: [str(corpus.path / shard.path) for shard in corpus.shards([split])]
        for split in corpus.manifest.splits
    }
    cache = str(tmp_path / "cache")
    by_files = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)
    by_folder = datasets.load_dataset(str(corpus.path), cache_dir=cache)
    for loaded in (by_files, by_folder):
        assert {name: len(part) for name, part in loaded.items()} == corpus.manifest.splits
        assert set(loaded) == {"train", "validation", "test"}
        features = loaded["train"].features
        assert isinstance(features["image"], datasets.Image)
        assert features["label"].names == list(LABELS)
        row = loaded["train"][0]
        assert row["image"].size == (48, 56)
        assert LABELS[row["label"]] in ("basophil", "monocyte")
        assert (row["origin"], row["source"], row["license"]) == ("real", "made", "cc0-1.0")
