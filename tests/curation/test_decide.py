"""The second pass of `curate` as a whole: copies, checks, decisions and splits."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from curation import decide as decide_module
from curation import stage
from curation.corpus import Corpus, load_corpus
from curation.curate import CurateConfig, curate
from curation.curation_report import CurationReport, read_report
from curation.deidentify.label_decisions import LabelDecision, record_label_decision
from curation.deidentify.vault import Vault
from curation.errors import CorpusError
from curation.pixels import Pixels, encode_png, pixel_id
from scripts.altered_cells import ALTERATIONS, resized
from scripts.altered_cells import blurred as blur
from smearkit import cli
from smearkit.demo_cells import draw_cell, random_stain

CLASSES = ("neutrophil_segmented", "lymphocyte", "monocyte", "eosinophil", "basophil")
SIDE = 128
PLAIN = CurateConfig(text="off")


class Row(NamedTuple):
    """One image of an export and what its table says of it."""

    pixels: Pixels
    label: str = "monocyte"
    subject: str = ""
    slide: str = ""


@cache
def drawn(seed: int, label: str = "monocyte", side: int = SIDE) -> Pixels:
    """Return a drawn cell, another one for each seed."""
    rng = np.random.default_rng(seed)
    return np.asarray(draw_cell(label, rng, random_stain(rng), side=side))


def export(folder: Path, rows: Sequence[Row]) -> Path:
    """Write an ImageFolder of PNG files, so that every pixel is the drawn one."""
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "subject", "slide"])
        for number, row in enumerate(rows):
            name = f"{number:04d}.png"
            (folder / name).write_bytes(encode_png(row.pixels))
            table.writerow([name, row.label, row.subject, row.slide])
    return folder


def lawful(corpus: Corpus) -> CurationReport:
    """Return the report after looking whether its numbers agree with the corpus and each other."""
    report, manifest = read_report(corpus.path), corpus.manifest
    assert report.n_in == report.n_out + sum(report.dropped.values())
    assert (report.n_in, report.n_out) == (manifest.n_in, manifest.n_out)
    assert report.dropped == manifest.dropped
    assert len(corpus.rows(["label"])) == report.n_out
    assert report.duplicate_groups == report.duplicates.groups == manifest.duplicate_groups
    assert len(report.conflicts) == report.duplicates.conflicts == manifest.conflicts
    copies = {kind: n for kind, n in report.dropped.items() if kind.endswith("duplicate")}
    assert report.duplicates.dropped == copies
    assert report.checks.cells == report.duplicates.searched == sum(report.acquisitions)
    assert sum(report.splits.cells.values()) == report.n_out
    assert {name: n for name, n in report.splits.cells.items() if n} == manifest.splits
    return report


def test_a_report_whose_numbers_do_not_add_up_is_refused(tmp_path: Path) -> None:
    source = export(tmp_path / "export", [Row(drawn(n)) for n in range(6)])
    path = curate([source], tmp_path / "corpus", PLAIN).path / "reports" / "curation.json"
    whole = json.loads(path.read_bytes())
    for name, value, said in (
        ("n_in", 7, "n_in 7 != n_out 6 . dropped 0"),
        ("dropped", {"duplicate": 1}, "n_in 6 != n_out 6 . dropped 1"),
        ("splits", {**whole["splits"], "cells": {"train": 5}}, "splits add up to 5, .* is 6"),
    ):
        path.write_text(json.dumps({**whole, name: value}))
        with pytest.raises(CorpusError, match=said):
            read_report(tmp_path / "corpus")


def split_of(corpus: Corpus, pixels: Pixels) -> str:
    """Return the split in which a picture lies; it is in the corpus once."""
    name = pixel_id(pixels)
    found = [
        split
        for split in ("train", "validation", "test")
        for image_id in corpus.rows(["image_id"], [split])["image_id"].to_pylist()
        if image_id == name
    ]
    assert len(found) == 1
    return found[0]


def test_altered_copies_through_the_command_line(tmp_path: Path) -> None:
    cells = [Row(drawn(n, CLASSES[n % 5]), CLASSES[n % 5]) for n in range(10)]
    how = ["turned 90°", "mirrored and turned", "cropped 5 %", "turned 15°", "JPEG quality 50"]
    copies = [
        cells[n]._replace(pixels=ALTERATIONS[name](cells[n].pixels)) for n, name in enumerate(how)
    ]
    source = export(tmp_path / "export", [*cells, *copies])
    arguments = ["curate", str(source), "--no-text", "--vault", str(tmp_path / "vault"), "--out"]
    found = CliRunner().invoke(cli.app, [*arguments, str(tmp_path / "corpus"), "--json"])
    assert found.exit_code == 0, found.stderr
    result = json.loads(found.stdout)
    assert result["dropped"] == {"near_duplicate": 3, "turned_duplicate": 2}
    assert (result["n_in"], result["n_out"], result["duplicate_groups"]) == (15, 10, 5)
    lawful(load_corpus(tmp_path / "corpus"))
    found = CliRunner().invoke(cli.app, [*arguments, str(tmp_path / "exact"), "--no-near"])
    assert found.exit_code == 0, found.stderr
    assert "copies: turned_duplicate 2; 0 groups in conflict" in found.stdout
    assert "false copies a cell" not in found.stdout
    found = CliRunner().invoke(cli.app, [*arguments, str(tmp_path / "again")])
    assert "copies: near_duplicate 3, turned_duplicate 2; 0 groups in conflict" in found.stdout
    assert "at 15 cells: at most" in found.stdout
    assert "checks: " in found.stdout


def test_the_report_counts_what_became_of_every_image(tmp_path: Path) -> None:
    rows = [
        *(Row(drawn(n), subject=f"p{n}") for n in range(12)),
        Row(drawn(0), subject="p0"),
        Row(ALTERATIONS["turned 90°"](drawn(1)), subject="p1"),
        Row(ALTERATIONS["cropped 5 %"](drawn(2)), subject="p2"),
        Row(ALTERATIONS["cropped 5 %"](drawn(3)), "lymphocyte", "p3"),
    ]
    source = export(tmp_path / "export", rows)
    (source / "0011.png").write_bytes(b"no image")
    corpus = curate([source], tmp_path / "corpus", PLAIN)
    report = lawful(corpus)
    assert report.dropped == {
        "duplicate": 1, "turned_duplicate": 1, "near_duplicate": 1, "label_conflict": 2,
        "unreadable": 1,
    }  # fmt: skip
    assert report.duplicates.searched == 15
    assert report.duplicates.searched_for_altered
    thresholds = report.duplicates.thresholds
    assert thresholds is not None
    assert 0 < thresholds.false_neighbours_per_cell_at_most < 1e-5


def test_one_corrupt_image_costs_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "CHUNK_ROWS", 4)
    source = export(tmp_path / "export", [Row(drawn(n)) for n in range(12)])
    (source / "0001.png").write_bytes(encode_png(drawn(1))[:-900])
    for number in range(4, 8):  # and a chunk of which nothing can be used
        (source / f"{number:04d}.png").write_bytes(b"no image")
    corpus = curate([source], tmp_path / "corpus", PLAIN)
    assert lawful(corpus).dropped == {"unreadable": 5}
    kept = set(corpus.rows(["image_id"])["image_id"].to_pylist())
    assert kept == {pixel_id(drawn(n)) for n in (0, 2, 3, 8, 9, 10, 11)}


def test_copies_that_disagree_are_listed(tmp_path: Path) -> None:
    rows = [
        *(Row(drawn(n), subject=f"p{n}") for n in range(8)),
        Row(ALTERATIONS["turned 90°"](drawn(0)), subject="p1"),  # two patients
        Row(ALTERATIONS["cropped 5 %"](drawn(2)), "lymphocyte", "p2"),  # two labels
        Row(ALTERATIONS["cropped 5 %"](drawn(3)), subject="p4"),  # two patients
        Row(drawn(5)),  # a patient who is not known contradicts none
    ]
    corpus = curate([export(tmp_path / "export", rows)], tmp_path / "corpus", PLAIN)
    report = lawful(corpus)
    assert report.dropped == {"duplicate": 1, "subject_conflict": 4, "label_conflict": 2}
    assert sorted((c.kind, c.labels, c.copies) for c in report.conflicts) == [
        ("label", ("lymphocyte", "monocyte"), 2), ("subject", ("monocyte",), 2),
        ("subject", ("monocyte",), 2),
    ]  # fmt: skip
    listed = pq.read_table(corpus.path / "reports" / "conflicts.parquet")
    assert listed.column_names == ["group", "image_id", "label", "subject", "kind"]
    groups: dict[int, set[str]] = {}
    for row in listed.to_pylist():
        groups.setdefault(row["group"], set()).add(row["image_id"])
    assert sorted(map(sorted, groups.values())) == sorted(
        sorted(pixel_id(rows[number].pixels) for number in pair)
        for pair in ((0, 8), (2, 9), (3, 10))
    )
    raw = (corpus.path / "reports" / "conflicts.parquet").read_bytes()
    of_label = [row for row in listed.to_pylist() if row["kind"] == "label"]
    assert {row["label"] for row in of_label} == {"monocyte", "lymphocyte"}
    subjects = {row["subject"] for row in listed.to_pylist()}
    assert len(subjects) == 5, "pseudonyms of p0 to p4"
    assert not any(name.encode() in raw for name in ("p0", "p1", "p2", "p3", "p4"))


def test_small_pictures_are_only_compared_exactly(tmp_path: Path) -> None:
    small = [resized(drawn(n), 44 / SIDE) for n in range(6)]
    rows = [
        *(Row(one) for one in small),
        Row(ALTERATIONS["turned 90°"](small[0])),
        Row(ALTERATIONS["JPEG quality 50"](small[1])),
    ]
    corpus = curate([export(tmp_path / "export", rows)], tmp_path / "corpus", PLAIN)
    report = lawful(corpus)
    assert report.dropped == {"turned_duplicate": 1}
    assert report.duplicates.candidates == 0


# Splits


def window(field: Pixels, left: int) -> Pixels:
    return np.ascontiguousarray(field[40:260, left : left + 220])


def crops_of_fields(count: int) -> list[tuple[Row, Row]]:
    """Return pairs of pictures, each of one field, whose middles are 0.18 of a side apart."""
    pairs = []
    for seed in range(count):
        field = drawn(100 + seed, CLASSES[seed % 5], 300)
        label = CLASSES[seed % 5]
        pairs.append((Row(window(field, 20), label), Row(window(field, 60), label)))
    return pairs


def torn(corpus: Corpus, pairs: Sequence[tuple[Row, Row]]) -> int:
    """Return how many pairs lie in two splits."""
    return sum(split_of(corpus, a.pixels) != split_of(corpus, b.pixels) for a, b in pairs)


EVEN = PLAIN.model_copy(update={"train": 0.4, "validation": 0.3, "test": 0.3})


def no_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the fault: what shows one place of a smear no longer holds cells together."""
    monkeypatch.setattr(decide_module, "_edges", lambda *_: np.empty((0, 2), np.int64))


def test_neighbours_of_one_field_stay_in_one_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = crops_of_fields(10)
    source = export(tmp_path / "export", [row for pair in pairs for row in pair])
    corpus = curate([source], tmp_path / "corpus", EVEN)
    report = lawful(corpus)
    found = report.duplicates.same_field_pairs
    assert found >= 8, "of ten"
    assert report.dropped == {}
    assert torn(corpus, pairs) <= 10 - found
    assert report.splits.grouped_by["duplicate_pair"] == found
    no_edges(monkeypatch)
    assert torn(curate([source], tmp_path / "torn", EVEN), pairs) > 10 - found


def tied_slides() -> tuple[list[Row], list[tuple[Row, Row]]]:
    """Return an export of six pairs of slides that share one cell, and a pair of others of each."""
    rows, pairs = [], []
    for number in range(6):
        cells = [drawn(10 * number + n) for n in range(3)]
        here, there = f"slide-{number}a", f"slide-{number}b"
        one, other = Row(cells[0], slide=here), Row(cells[1], slide=there)
        copy = ALTERATIONS[("turned 90°", "cropped 5 %")[number % 2]](cells[2])
        rows += [one, other, Row(cells[2], slide=here), Row(copy, slide=there)]
        pairs.append((one, other))
    return rows, pairs


def test_a_dropped_copy_still_ties_the_slides_it_was_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, pairs = tied_slides()
    source = export(tmp_path / "export", rows)
    corpus = curate([source], tmp_path / "corpus", EVEN)
    assert lawful(corpus).dropped == {"turned_duplicate": 3, "near_duplicate": 3}
    assert corpus.manifest.grouped_by == "slide"
    assert torn(corpus, pairs) == 0
    no_edges(monkeypatch)
    assert torn(curate([source], tmp_path / "torn", EVEN), pairs) > 0


# Checks


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """An export of 40 cells of one slide of which two are blurred, and the ids of those two."""
    rng = np.random.default_rng(3)
    stain = random_stain(rng)
    cells = [np.asarray(draw_cell("monocyte", rng, stain, side=SIDE)) for _ in range(40)]
    for number in (7, 23):
        cells[number] = blur(cells[number], 4 * 360 / SIDE)
    folder = tmp_path_factory.mktemp("blurred") / "export"
    return export(folder, [Row(one) for one in cells]), {pixel_id(cells[n]) for n in (7, 23)}


def ids(corpus: Corpus) -> set[str]:
    return set(corpus.rows(["image_id"])["image_id"].to_pylist())


def test_flags_drop_nothing_unless_asked(blurred: tuple[Path, set[str]], tmp_path: Path) -> None:
    source, out_of_focus = blurred
    corpus = curate([source], tmp_path / "kept", PLAIN)
    report = lawful(corpus)
    (focus,) = [check for check in report.checks.checks if check.check == "focus"]
    assert focus.flagged == 2
    assert report.dropped == {}
    assert out_of_focus <= ids(corpus)


def test_chosen_flags_drop_with_their_check_as_reason(
    blurred: tuple[Path, set[str]], tmp_path: Path
) -> None:
    source, _ = blurred
    arguments = ["curate", str(source), "--no-text", "--drop-flagged", "focus,empty", "--json"]
    found = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "corpus")])
    assert found.exit_code == 0, found.stderr
    result: dict[str, Any] = json.loads(found.stdout)
    assert result["dropped"] == {"check_focus": 2}
    assert result["n_out"] == 38


@pytest.mark.parametrize(("named", "found"), [("focus,sharp", "'sharp'"), (" , ", "nothing")])
def test_unknown_checks_are_refused(
    blurred: tuple[Path, set[str]], tmp_path: Path, named: str, found: str
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"drop_flagged: [{named!r}]\n")
    before = sorted(tmp_path.iterdir())
    for arguments in (["--drop-flagged", named], ["--config", str(settings)]):
        result = CliRunner().invoke(
            cli.app, ["curate", str(blurred[0]), "--out", str(tmp_path / "corpus"), *arguments]
        )
        assert result.exit_code == 2
        said = " ".join(result.stderr.replace("│", " ").split())
        assert "expected some of truncated,blocks,focus" in said
        assert f"found {found}" in said
    with pytest.raises(ValidationError, match=f"which flagged cells to drop: .*found {found}"):
        CurateConfig(drop_flagged=tuple(named.split(",")))
    assert sorted(tmp_path.iterdir()) == before


# Labels that a person decided about


def decision(pixels: Pixels, action: str, label: str | None = None) -> LabelDecision:
    return LabelDecision(
        image_id=pixel_id(pixels), action=action, given="monocyte", label=label,  # type: ignore[arg-type]
        at=datetime.now(UTC),
    )  # fmt: skip


def test_decisions_about_labels_hold_in_the_next_run(tmp_path: Path) -> None:
    rows = [Row(drawn(n)) for n in range(8)]
    source, vault = export(tmp_path / "export", rows), tmp_path / "vault"
    before = curate([source], tmp_path / "before", PLAIN, vault=vault)
    assert before.manifest.class_totals() == {"monocyte": 8}
    record_label_decision(vault, decision(drawn(0), "relabel", "lymphocyte"))
    record_label_decision(vault, decision(drawn(1), "drop"))
    record_label_decision(vault, decision(drawn(2), "keep", "monocyte"))
    after = curate([source], tmp_path / "after", PLAIN, vault=vault)
    assert lawful(after).dropped == {"dropped_in_review": 1}
    assert after.manifest.class_totals() == {"monocyte": 6, "lymphocyte": 1}
    found = {row["image_id"]: row["label"] for row in after.rows(["image_id", "label"]).to_pylist()}
    assert pixel_id(drawn(1)) not in found
    assert len(set(found.values())) == 2
    assert Counter(found.values())[found[pixel_id(drawn(0))]] == 1


def test_a_decided_label_settles_a_conflict(tmp_path: Path) -> None:
    copy = ALTERATIONS["cropped 5 %"](drawn(0))
    rows = [*(Row(drawn(n)) for n in range(6)), Row(copy, "lymphocyte")]
    source, vault = export(tmp_path / "export", rows), tmp_path / "vault"
    before = curate([source], tmp_path / "before", PLAIN, vault=vault)
    assert lawful(before).dropped == {"label_conflict": 2}
    record_label_decision(vault, decision(copy, "relabel", "basophil"))
    record_label_decision(vault, decision(drawn(0), "relabel", "basophil"))
    after = curate([source], tmp_path / "after", PLAIN, vault=vault)
    assert lawful(after).dropped == {"near_duplicate": 1}
    assert after.manifest.class_totals() == {"monocyte": 5, "basophil": 1}


class _Keys:
    """A vault whose sort keys are given."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys

    def order_key(self, text: str) -> bytes:
        return self._keys[text]


def test_the_keyed_order_is_that_of_the_bytes_of_the_keys() -> None:
    """Also of keys that end in zeros, and over files without a usable row."""
    tails = (b"\x00\x00", b"\x00\x01", b"\x01\x00", b"\xff\x00", b"\x7f\xff")
    keys = {str(n): bytes([255 - n % 2]) * 14 + tail for n, tail in enumerate(tails)}
    chunks = [pa.array(["0", "1", "2"]), pa.array([], pa.string()), pa.array(["3", "4"])]
    vault = cast(Vault, _Keys(keys))
    rank = decide_module._keyed_order(pa.chunked_array(chunks), vault)
    ordered = sorted(keys, key=keys.__getitem__)
    assert rank.tolist() == [ordered.index(name) for name in keys]
