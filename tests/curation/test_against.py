"""What two corpora share: planted copies of every kind are found, by split, and can be dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation.corpus import Corpus, load_corpus, verify_corpus
from curation.curate import CurateConfig, curate
from curation.dedupe import near as near_module
from curation.dedupe.signature import sign
from curation.deidentify.vault import default_vault
from curation.errors import CorpusError, OutputExistsError, SmearkitError
from curation.overlap_report import (
    JSON_NAME,
    PARQUET_NAME,
    OverlapReport,
    overlap,
    overlap_lines,
    read_overlap,
)
from curation.tiles import shrink
from curation.vocabulary import LABEL_IDS
from smearkit import cli
from tests.curation.test_incremental import NEAR, Shot, cells, ids, splits, write_batch

CONFIG = CurateConfig(text="off", train=0.6, validation=0.2, test=0.2)
OURS = [
    *cells(0, 24),
    Shot(50, subject="q"),
    Shot(50, "half size", subject="q"),  # dropped: and what it shows is still here
]
THEIRS = [
    *(Shot(number, subject=f"t{number}") for number in (0, 1, 2)),
    *(Shot(number, "mirrored", subject=f"t{number}") for number in (3, 4)),
    *(Shot(number, "cropped 5 %", subject=f"t{number}") for number in (5, 6, 7)),
    *(Shot(number, subject=f"t{number}") for number in range(60, 72)),
]
PLANTED = {"exact": [0, 1, 2], "turned": [3, 4], "near": [5, 6, 7]}


def make(
    folder: Path,
    shots: list[Shot],
    *,
    against: Sequence[Path] = (),
    config: CurateConfig = CONFIG,
    add_to: Path | None = None,
) -> Corpus:
    source = write_batch(folder / "source", shots)
    return curate([source], folder / "corpus", config, add_to=add_to, against=against)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make(tmp_path_factory.mktemp("theirs"), THEIRS)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, theirs: Corpus) -> Corpus:
    return make(tmp_path_factory.mktemp("ours"), OURS, against=[theirs.path])


def check_pairs(found: list[dict[str, Any]], ours: Corpus, theirs: Corpus) -> None:
    here, there = splits(ours), splits(theirs)
    our_names, their_names = ids(OURS), ids(THEIRS)
    assert len(found) == 8
    for place, (kind, number) in enumerate(
        (kind, number) for kind, numbers in PLANTED.items() for number in numbers
    ):
        row = next(row for row in found if row["image_id"] == our_names[number])
        assert row["alike"] == kind
        assert row["other_image_id"] == their_names[place]
        assert row["split"] == here[our_names[number]]
        assert row["other_split"] == there[their_names[place]]
        assert row["other"] == theirs.fingerprint
        assert row["correlation"] == 1 if kind != "near" else 0.9 < row["correlation"] < 1


def check_counts(report: OverlapReport, ours: Corpus, theirs: Corpus) -> None:
    assert len(report.others) == 1
    entry = report.others[0]
    assert (entry.fingerprint, entry.cells) == (theirs.fingerprint, theirs.manifest.n_out)
    assert (entry.ours, entry.theirs) == (8, 8)
    assert entry.same_field_pairs == 0
    here, there = splits(ours), splits(theirs)
    for kind, numbers in PLANTED.items():
        for number in numbers:
            row = here[ids(OURS)[number]]
            place = [*PLANTED["exact"], *PLANTED["turned"], *PLANTED["near"]].index(number)
            assert entry.counts[row][there[ids(THEIRS)[place]]][kind] > 0
    total = [n for row in entry.counts.values() for kinds in row.values() for n in kinds.values()]
    assert sum(total) == 8


def test_curate_reports_what_another_corpus_shows(ours: Corpus, theirs: Corpus) -> None:
    verify_corpus(load_corpus(ours.path))
    assert ours.manifest.dropped == {"near_duplicate": 1}
    reports = ours.path / "reports"
    check_pairs(pq.read_table(reports / PARQUET_NAME).to_pylist(), ours, theirs)
    check_counts(read_overlap(reports), ours, theirs)
    assert not read_overlap(reports).dropped
    assert {path.name for path in ours.path.iterdir()} == {"data", "manifest.json", "reports"}


def test_two_corpora_alone(tmp_path: Path, ours: Corpus, theirs: Corpus) -> None:
    report = overlap(ours.path, theirs.path, tmp_path / "shared")
    check_pairs(pq.read_table(tmp_path / "shared" / PARQUET_NAME).to_pylist(), ours, theirs)
    check_counts(report, ours, theirs)
    assert report.fingerprint == ours.fingerprint
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {PARQUET_NAME, JSON_NAME}
    assert overlap(ours.path, theirs.path) == report, "the same without a folder"
    with pytest.raises(OutputExistsError):
        overlap(ours.path, theirs.path, tmp_path / "shared")


def test_the_other_way_round_is_the_same(ours: Corpus, theirs: Corpus) -> None:
    there = overlap(theirs.path, ours.path).others[0]
    here = overlap(ours.path, theirs.path).others[0]
    assert (there.ours, there.theirs) == (here.theirs, here.ours)
    turned = {
        (b, a): kinds for a, row in there.counts.items() for b, kinds in row.items()
    }  # fmt: skip
    assert turned == {(a, b): kinds for a, row in here.counts.items() for b, kinds in row.items()}


def test_a_corpus_against_itself_is_all_of_it(ours: Corpus) -> None:
    entry = overlap(ours.path, ours.path).others[0]
    assert (entry.ours, entry.theirs, entry.cells) == (25, 25, 25)
    assert entry.counts == {
        split: {split: {"exact": count}} for split, count in ours.manifest.splits.items()
    }


def test_different_cells_are_not_shared(tmp_path: Path, theirs: Corpus) -> None:
    other = make(tmp_path, cells(80, 92))
    entry = overlap(other.path, theirs.path).others[0]
    assert (entry.ours, entry.theirs, entry.counts) == (0, 0, {})
    lines = overlap_lines(overlap(other.path, theirs.path))
    assert len(lines) == 1
    assert lines[0].startswith("0 cells are also in corpus")


def test_what_is_shared_can_be_dropped(tmp_path: Path, theirs: Corpus) -> None:
    config = CONFIG.model_copy(update={"drop_overlap": True})
    left = make(tmp_path, OURS, against=[theirs.path], config=config)
    verify_corpus(load_corpus(left.path))
    assert left.manifest.dropped == {"near_duplicate": 1, "overlap": 8}
    assert splits(left).keys() == set(ids(OURS)[8:25])
    report = read_overlap(left.path / "reports")
    assert report.dropped
    entry = report.others[0]
    assert (entry.ours, entry.theirs) == (8, 8)
    assert list(entry.counts) == ["dropped"]
    assert overlap(left.path, theirs.path).others[0].ours == 0
    assert any("(dropped)" in line for line in overlap_lines(report))


def test_a_dropped_copy_speaks_for_the_one_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is kept large; what the other shows is found by its small copy alone."""
    small = Shot(50, "half size", subject="q")
    theirs = make(tmp_path / "theirs", [small, *cells(60, 66)])

    def blind(*args, **kwargs):  # type: ignore[no-untyped-def]
        pairs = search(*args, **kwargs)
        nothing = np.zeros(len(pairs), np.bool_)
        return pairs.where(nothing, np.stack([pairs.first, pairs.second], axis=1))

    search = near_module.near_pairs
    monkeypatch.setattr("curation.overlap.near_pairs", blind)
    found = make(tmp_path / "ours", OURS, against=[theirs.path])
    rows = pq.read_table(found.path / "reports" / PARQUET_NAME).to_pylist()
    assert [row["image_id"] for row in rows] == [ids(OURS)[24]]
    assert rows[0]["other_image_id"] == ids([small])[0]


def test_only_pairs_of_both_sides_are_compared() -> None:
    pictures = [
        shot.pixels() for shot in (*cells(0, 4), Shot(0, "mirrored"), Shot(5), Shot(5, NEAR))
    ]
    signatures = sign(np.stack([shrink(one) for one in pictures]))
    names = [f"{row:032x}" for row in range(len(pictures))]
    every = near_module.near_pairs(signatures, names, known=4)
    across = near_module.near_pairs(signatures, names, known=4, across=True)
    assert set(zip(every.first.tolist(), every.second.tolist(), strict=True)) == {(0, 4), (5, 6)}
    assert set(zip(across.first.tolist(), across.second.tolist(), strict=True)) == {(0, 4)}


@pytest.mark.real
def test_every_raw_cell_is_found_in_the_small_version_of_its_set(
    tmp_path: Path, shared_data: Path
) -> None:
    label = "erythroblast"
    config = CONFIG.model_copy(update={"near_duplicates": False})
    raw = curate([shared_data / "pbc_raw"], tmp_path / "raw", config)
    table = pq.read_table(shared_data / "pbc128.parquet")
    small = tmp_path / "small.parquet"
    pq.write_table(table.filter(pc.equal(table["label"], label)), small)
    other = curate([small], tmp_path / "other", config)
    rows = raw.rows(["label"])["label"].to_pylist()
    wanted = rows.count(LABEL_IDS[label])
    assert wanted > 50
    entry = overlap(raw.path, other.path).others[0]
    assert entry.ours == wanted, "all of the label and none of another"


def test_several_others(tmp_path: Path, theirs: Corpus) -> None:
    second = make(tmp_path / "second", [Shot(9, subject="x"), *cells(60, 66)])
    found = make(tmp_path / "ours", OURS, against=[theirs.path, second.path])
    report = read_overlap(found.path / "reports")
    assert [entry.ours for entry in report.others] == [8, 1]
    rows = pq.read_table(found.path / "reports" / PARQUET_NAME)
    assert set(rows["other"].to_pylist()) == {theirs.fingerprint, second.fingerprint}


def test_added_cells_and_old_ones_are_looked_for(tmp_path: Path, theirs: Corpus) -> None:
    first = make(tmp_path / "first", OURS[:4])
    grown = make(
        tmp_path / "grown", OURS[4:], add_to=first.path, against=[theirs.path],
    )  # fmt: skip
    assert read_overlap(grown.path / "reports").others[0].ours == 8


def test_test_cells_in_the_training_split_are_named() -> None:
    entry = {
        "fingerprint": "f", "cells": 9, "ours": 6, "theirs": 6, "same_field_pairs": 0,
        "counts": {"train": {"train": {"exact": 1}, "test": {"exact": 2, "near": 1}},
                   "test": {"train": {"turned": 1}, "test": {"near": 1}}},
    }  # fmt: skip
    report = {"fingerprint": None, "dropped": False, "others": [entry]}
    lines = overlap_lines(OverlapReport.model_validate_json(json.dumps(report)))
    assert lines[1:] == [
        "  train here, train there: 1 exact",
        "  train here, test there: 2 exact, 1 near",
        "  test here, train there: 1 turned",
        "  test here, test there: 1 near",
        "  4 of them lie in one's training split and in what the other measures on: "
        "contamination. Next: `smearkit curate … --against OTHER --drop-overlap`",
    ]


def test_dropping_needs_another_corpus(tmp_path: Path) -> None:
    with pytest.raises(SmearkitError, match="--against"):
        make(tmp_path, cells(0, 4), config=CONFIG.model_copy(update={"drop_overlap": True}))
    assert not (tmp_path / "corpus").exists()


def test_what_is_no_corpus_is_refused_before_any_image(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="expected a corpus"):
        make(tmp_path, cells(0, 4), against=[tmp_path / "nothing"])
    assert not (tmp_path / "corpus").exists()


def test_the_command_line(tmp_path: Path, ours: Corpus, theirs: Corpus) -> None:
    both = ["overlap", str(ours.path), str(theirs.path), "--json"]
    arguments = [*both, "--out", str(tmp_path / "shared")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["others"][0]["ours"] == 8
    said = CliRunner().invoke(cli.app, arguments[:3])
    assert "8 cells are also in corpus" in said.stdout
    batch = write_batch(tmp_path / "batch", [Shot(0, subject="z"), Shot(90, subject="z")])
    grow = ["curate", str(batch), "--add-to", str(ours.path), "--out", str(tmp_path / "grown"),
            "--no-text", "--against", str(theirs.path), "--drop-overlap", "--json"]  # fmt: skip
    result = CliRunner().invoke(cli.app, grow)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["parents"] == {"added_to": ours.fingerprint}
    assert found["vault"] == str(default_vault(ours.path))
    # p0 took a picture of somebody else: that one is in conflict, and no overlap any more.
    assert found["dropped"] == {"near_duplicate": 1, "overlap": 7, "subject_conflict": 2}
    assert found["overlap"]["others"][0]["ours"] == 7
    wrong = CliRunner().invoke(cli.app, ["curate", str(batch), "--drop-overlap", "--out", "x"])
    assert wrong.exit_code == 2
