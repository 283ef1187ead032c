"""Tests of the drawn cells and of the made-up laboratory export."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smearkit.demo_cells import CLASSES, Stain, draw_cell, random_stain
from smearkit.demo_export import (
    COLUMNS,
    COUNTS,
    MIN_PER_CLASS,
    RARE_CLASS,
    SPELLINGS,
    DemoExport,
    write_demo_export,
)

SCALE = 0.1
CANONICAL = {spelling: name for name, group in SPELLINGS.items() for spelling in group}
Row = dict[str, str]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> DemoExport:
    return write_demo_export(tmp_path_factory.mktemp("lab"), seed=3, scale=SCALE)


@pytest.fixture(scope="module")
def rows(export: DemoExport) -> list[Row]:
    with (export.folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _file(export: DemoExport, name: str) -> Path:
    return export.folder / "images" / name


def _by_name(rows: list[Row]) -> dict[str, Row]:
    return {row["file_name"]: row for row in rows}


def _drawn_counts(scale: float) -> dict[str, int]:
    return {name: max(MIN_PER_CLASS, round(count * scale)) for name, count in COUNTS.items()}


class TestDrawCell:
    @pytest.mark.parametrize("label", CLASSES)
    def test_is_an_rgb_picture_with_dark_and_light_parts(self, label: str) -> None:
        pixels = draw_cell(label, np.random.default_rng(1), Stain())
        assert pixels.dtype == np.uint8
        assert pixels.shape == (96, 96, 3)
        assert pixels.flags.c_contiguous
        assert pixels.min() < 130
        assert pixels.max() > 220

    @pytest.mark.parametrize("side", [33, 64, 128])
    def test_any_side(self, side: int) -> None:
        assert draw_cell("monocyte", np.random.default_rng(1), Stain(), side).shape == (
            side,
            side,
            3,
        )

    def test_same_generator_state_draws_the_same_cell(self) -> None:
        first, again, other = (
            draw_cell("eosinophil", np.random.default_rng(s), Stain()) for s in (5, 5, 6)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_middles_of_the_classes_differ_in_mean_colour(self) -> None:
        means = {}
        for label in CLASSES:
            rng = np.random.default_rng(7)
            crops = [draw_cell(label, rng, Stain())[28:68, 28:68] for _ in range(12)]
            means[label] = np.mean(crops, axis=(0, 1, 2))
        for first, second in combinations(CLASSES, 2):
            assert np.abs(means[first] - means[second]).max() > 5.0, (first, second)

    def test_stains_differ_and_show_in_the_background(self) -> None:
        rng = np.random.default_rng(2)
        stains = [random_stain(rng) for _ in range(8)]
        assert len(set(stains)) == 8
        light = [
            np.median(draw_cell("platelet", np.random.default_rng(1), s), axis=(0, 1))
            for s in stains
        ]
        assert np.std(light, axis=0).max() > 1.0

    def test_unknown_class_is_named_in_the_error(self) -> None:
        with pytest.raises(ValueError, match="'blast'"):
            draw_cell("blast", np.random.default_rng(0), Stain())

    def test_tiny_side_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 16"):
            draw_cell("monocyte", np.random.default_rng(0), Stain(), side=8)


class TestExport:
    def test_one_row_per_file(self, export: DemoExport, rows: list[Row]) -> None:
        assert tuple(rows[0]) == COLUMNS
        names = [row["file_name"] for row in rows]
        assert len(set(names)) == len(names) == export.n_files
        assert {path.name for path in (export.folder / "images").iterdir()} == set(names)

    def test_counts_per_class(self, export: DemoExport, rows: list[Row]) -> None:
        copies = (*export.duplicate_pairs, *export.turned_pairs, *export.conflict_pairs)
        extra = {name for _, name in copies} | set(export.corrupt_files)
        labels = Counter(CANONICAL[r["label"]] for r in rows if r["file_name"] not in extra)
        expected = Counter(_drawn_counts(SCALE))
        # One eosinophil bears a wrong label.
        expected.subtract({"eosinophil": 1, "lymphocyte": -1})
        assert labels == expected

    def test_spellings_are_mixed(self, rows: list[Row]) -> None:
        assert {row["label"] for row in rows} == set(CANONICAL)

    def test_subjects_and_slides(self, export: DemoExport, rows: list[Row]) -> None:
        assert len(export.subjects) == 12
        assert len(export.slides) == 24
        pairs = {(row["subject"], row["slide"]) for row in rows}
        assert {slide for _, slide in pairs} == set(export.slides)
        assert Counter(subject for subject, _ in pairs) == dict.fromkeys(export.subjects, 2)

    @pytest.mark.parametrize("seed", range(3))
    def test_rare_class_is_spread_over_subjects(self, seed: int, tmp_path: Path) -> None:
        write_demo_export(tmp_path, seed=seed, scale=0.01)
        with (tmp_path / "metadata.csv").open(newline="", encoding="utf-8") as file:
            rare = [r for r in csv.DictReader(file) if CANONICAL[r["label"]] == RARE_CLASS]
        assert len(rare) == MIN_PER_CLASS
        assert len({row["subject"] for row in rare}) >= 6

    def test_same_seed_writes_the_same_bytes(self, tmp_path: Path) -> None:
        def write(name: str, seed: int) -> dict[str, bytes]:
            folder = tmp_path / name
            write_demo_export(folder, seed=seed, scale=0.01)
            files = (path for path in folder.rglob("*") if path.is_file())
            return {str(path.relative_to(folder)): path.read_bytes() for path in files}

        first = write("first", 1)
        assert first == write("again", 1)
        assert first != write("other", 2)

    def test_identifiers_are_planted(self, export: DemoExport) -> None:
        files = sorted((export.folder / "images").iterdir())
        table = (export.folder / "metadata.csv").read_bytes()
        inside = b"".join(path.read_bytes() for path in files)
        names = "\n".join(path.name for path in files).encode()
        missing = [i for i in export.identifiers if i.encode() not in inside + names + table]
        assert missing == []
        assert len(set(export.identifiers)) == len(export.identifiers)
        assert {path.stem for path in files} <= set(export.identifiers)

    def test_every_column_that_identifies_is_in_the_answer_key(
        self, export: DemoExport, rows: list[Row]
    ) -> None:
        known = set(export.identifiers)
        for column in ("patient_name", "mrn", "birth_date", "subject", "slide", "scanner_serial"):
            assert {row[column] for row in rows} <= known, column

    def test_each_file_names_its_patient(self, export: DemoExport, rows: list[Row]) -> None:
        for row in rows:
            data = _file(export, row["file_name"]).read_bytes()
            assert row["patient_name"].encode() in data
            assert row["mrn"].encode() in data

    def test_exif_holds_name_time_and_serial(self, export: DemoExport, rows: list[Row]) -> None:
        row = next(r for r in rows if r["file_name"].endswith(".jpg"))
        with Image.open(_file(export, row["file_name"])) as image:
            exif = image.getexif()
        assert exif[0x013B] == row["patient_name"]
        assert row["mrn"] in exif[0x010E]
        assert exif[0x0132].replace(":", "-", 2).replace(" ", "T") == row["acquired"]
        assert exif.get_ifd(0x8769)[0xA431] == row["scanner_serial"]

    def test_some_files_hold_comment_xmp_and_trailing_bytes(self, export: DemoExport) -> None:
        found: Counter[str] = Counter()
        files = sorted((export.folder / "images").glob("*.jpg"))
        for path in files:
            data = path.read_bytes()
            found["comment"] += b"\xff\xfe" in data and b"PatientName=" in data
            found["xmp"] += b"http://ns.adobe.com/xap/1.0/\x00" in data
            found["trailer"] += b"MRN-" in data.rpartition(b"\xff\xd9")[2] and b"#LIS" in data
        assert all(0 < found[key] < len(files) for key in ("comment", "xmp", "trailer")), found

    def test_pillow_reads_the_hand_made_segments(self, export: DemoExport) -> None:
        for path in sorted((export.folder / "images").glob("*.jpg")):
            data = path.read_bytes()
            with Image.open(path) as image:
                assert ("comment" in image.info) == (b"PatientName=" in data)
                assert ("xmp" in image.info) == (b"xap/1.0/" in data)


class TestFaults:
    def test_only_the_corrupt_file_fails_to_decode(self, export: DemoExport) -> None:
        assert export.n_corrupt == len(export.corrupt_files) == 1
        failed = []
        for path in sorted((export.folder / "images").iterdir()):
            try:
                assert _pixels(path).shape == (96, 96, 3)
            except OSError:
                failed.append(path.name)
        assert tuple(failed) == export.corrupt_files

    def test_duplicates_are_the_only_equal_files(self, export: DemoExport) -> None:
        assert export.n_exact_duplicates == len(export.duplicate_pairs) == 8
        groups: dict[bytes, set[str]] = {}
        for path in (export.folder / "images").iterdir():
            groups.setdefault(path.read_bytes(), set()).add(path.name)
        equal = {frozenset(group) for group in groups.values() if len(group) > 1}
        assert equal == {frozenset(p) for p in export.duplicate_pairs + export.conflict_pairs}

    def test_duplicates_agree_in_label_and_conflicts_do_not(
        self, export: DemoExport, rows: list[Row]
    ) -> None:
        table = _by_name(rows)
        assert export.n_conflicts == len(export.conflict_pairs) == 1
        for pairs, agree in ((export.duplicate_pairs, True), (export.conflict_pairs, False)):
            for first, second in pairs:
                labels = {CANONICAL[table[name]["label"]] for name in (first, second)}
                assert (len(labels) == 1) == agree

    def test_copies_lie_on_the_slide_of_their_original(
        self, export: DemoExport, rows: list[Row]
    ) -> None:
        table = _by_name(rows)
        for first, second in export.duplicate_pairs + export.turned_pairs + export.conflict_pairs:
            for column in ("subject", "slide"):
                assert table[first][column] == table[second][column]

    def test_turned_copies_are_equal_after_turning_back(self, export: DemoExport) -> None:
        assert export.n_turned_copies == len(export.turned_pairs) == 6
        turns = set()
        for first, second in export.turned_pairs:
            assert second.endswith(".png")
            original, copy = _pixels(_file(export, first)), _pixels(_file(export, second))
            fits = [
                (mirrored, quarter)
                for mirrored in (False, True)
                for quarter in range(4)
                if np.array_equal(
                    np.rot90(original[:, ::-1] if mirrored else original, quarter), copy
                )
            ]
            assert len(fits) == 1
            turns.add(fits[0])
        assert len(turns) == 6
        assert (False, 0) not in turns

    def test_mislabelled_cell_has_no_twin(self, export: DemoExport, rows: list[Row]) -> None:
        assert export.n_mislabelled == len(export.mislabelled_files) == 1
        (name,) = export.mislabelled_files
        assert CANONICAL[_by_name(rows)[name]["label"]] == "lymphocyte"
        pairs = export.duplicate_pairs + export.turned_pairs + export.conflict_pairs
        assert all(name not in pair for pair in pairs)

    def test_a_filled_folder_is_refused(self, export: DemoExport) -> None:
        with pytest.raises(FileExistsError, match="already holds files"):
            write_demo_export(export.folder)

    def test_scale_must_be_positive(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="scale"):
            write_demo_export(tmp_path, scale=0.0)
