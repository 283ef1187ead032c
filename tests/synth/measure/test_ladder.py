from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.cells import Split
from curation.corpus import load_corpus
from curation.errors import MeasurementError
from synth.measure.ladder import (
    AUGMENTED,
    AUGMENTED_TOO,
    CONTROLS,
    OVERSAMPLED,
    REAL,
    SYNTHETIC_ONLY,
    WITH_SYNTHETIC,
    Exam,
    best_control,
    climb,
    codes_of,
    half_real_rows,
    joined,
    ladder_rungs,
    scored,
    taught,
)
from synth.measure.real_test_cells import RealTestCells, corpus_test_cells, side_test_cells
from synth.measure.sides import Cells, Sides
from tests.made import Made
from tests.made_selection import PNG, SIDE, VIEW, made_split, write_corpus
from tests.synth.measure.made_ladder import CLASSES, FAST, made_cells, made_sides

EVEN = dict.fromkeys(CLASSES, 8)
SIDES = made_sides(train=EVEN, drawn=EVEN)


def exam_of(sides: Sides) -> Exam:
    return Exam.of(side_test_cells(sides), CLASSES, seed=0)


def planted(sides: Sides, row: Cells) -> Sides:
    """Return sides with a cell more among the held-out ones."""
    return replace(sides, held=joined(sides.held, row))


def first(cells: Cells) -> Cells:
    return cells.take(np.array([0]))


def test_a_training_row_cannot_be_tested_on() -> None:
    with pytest.raises(MeasurementError, match="1 ids of the 61 cells .* 24 training cells"):
        side_test_cells(planted(SIDES, first(SIDES.train)))


def test_a_synthetic_row_cannot_be_tested_on() -> None:
    with pytest.raises(MeasurementError, match="1 ids of the 61 cells .* 24 synthetic cells"):
        side_test_cells(planted(SIDES, first(SIDES.drawn)))


@pytest.mark.parametrize("side", ["train", "drawn"])
def test_a_row_under_another_name_cannot_be_tested_on(side: str) -> None:
    row = replace(first(getattr(SIDES, side)), ids=("renamed",))
    with pytest.raises(MeasurementError, match="1 pictures of the 61 cells"):
        side_test_cells(planted(SIDES, row))


def test_a_subject_of_the_training_cells_cannot_be_tested_on() -> None:
    def of(cells: Cells, *names: str) -> Cells:
        return replace(cells, subjects=tuple(names[row % len(names)] for row in range(len(cells))))

    apart = replace(SIDES, held=of(SIDES.held, "a", "b"), train=of(SIDES.train, "c", "d"))
    side_test_cells(apart)
    with pytest.raises(MeasurementError, match="1 subjects of the 60 cells"):
        side_test_cells(replace(apart, train=of(SIDES.train, "c", "b")))


def test_test_cells_cannot_be_made_of_any_cells() -> None:
    with pytest.raises(MeasurementError, match="are made by"):
        RealTestCells(SIDES.drawn, None)
    with pytest.raises(MeasurementError, match="are made by"):
        replace(side_test_cells(SIDES), proof=object())
    assert len(side_test_cells(SIDES).of_classes(["basophil"])) == 20


def test_every_rung_is_checked_against_the_test_cells() -> None:
    exam = exam_of(SIDES)
    rungs = ladder_rungs(joined(SIDES.train, first(SIDES.held)), SIDES.drawn)
    with pytest.raises(MeasurementError, match="1 ids of the 60 cells .* 25 real cells"):
        climb(rungs, exam, [0], taught(FAST))


def test_a_corpus_gives_its_held_out_cells(tmp_path: Path) -> None:
    splits: tuple[Split, ...] = ("train", "test")
    corpus = write_corpus(
        tmp_path / "corpus",
        {
            split: {label: cells[:4] for label, cells in made_split(split).items()}
            for split in splits
        },
    )
    tests = corpus_test_cells(corpus, "test", VIEW, PNG)
    assert len(tests) == corpus.manifest.splits["test"]
    assert tests.cells.images.shape[1:] == (SIDE, SIDE, 3)
    assert list(tests.cells.labels) == corpus.labels(["test"])
    with pytest.raises(MeasurementError, match="the training split .* was given to test on"):
        corpus_test_cells(corpus, "train", VIEW, PNG)
    with pytest.raises(MeasurementError, match="has no validation cells"):
        corpus_test_cells(corpus, "validation", VIEW, PNG)


def test_a_synthetic_corpus_gives_none(made: Made) -> None:
    with pytest.raises(MeasurementError, match="a synthetic corpus, holds cells that are"):
        corpus_test_cells(made.synthetic, "test", VIEW, PNG)


def test_a_synthetic_row_in_a_real_corpus_is_seen(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = load_corpus(made.real.path)
    rows = type(corpus).rows

    def with_synthetic(self: Any, columns: Any, splits: Any) -> pa.Table:
        table = rows(self, columns, splits)
        origins = pa.array(["synthetic", *table["origin"].to_pylist()[1:]])
        return table.set_column(table.column_names.index("origin"), "origin", origins)

    corpus_test_cells(corpus, "test", VIEW, PNG)
    monkeypatch.setattr(type(corpus), "rows", with_synthetic)
    with pytest.raises(MeasurementError, match="real and synthetic"):
        corpus_test_cells(corpus, "test", VIEW, PNG)


def test_the_rungs_differ_in_one_thing_each() -> None:
    rungs = {rung.name: rung for rung in ladder_rungs(SIDES.train, SIDES.drawn)}
    assert [name for name, rung in rungs.items() if rung.synthetic == 0] == list(CONTROLS)
    assert [name for name, rung in rungs.items() if not rung.balanced] == [REAL]
    assert [name for name, rung in rungs.items() if rung.augmented] == [AUGMENTED, AUGMENTED_TOO]
    for control, other in ((OVERSAMPLED, WITH_SYNTHETIC), (AUGMENTED, AUGMENTED_TOO)):
        assert set(rungs[other].cells.ids) - set(rungs[control].cells.ids) == set(SIDES.drawn.ids)
    assert rungs[SYNTHETIC_ONLY].cells.ids == SIDES.drawn.ids


@pytest.mark.parametrize(
    ("exactly", "shown"),
    [(False, ["rrrsss", "rrrsss", "rrrs", "r", "s"]), (True, ["rrrsss"] * 3 + ["r", "s"])],
)
def test_at_least_half_of_a_class_are_real(exactly: bool, shown: list[str]) -> None:
    def cells(name: str, labels: str) -> Cells:
        none = (None,) * len(labels)
        ids = tuple(f"{name}{number}" for number in range(len(labels)))
        return Cells(np.zeros((len(labels), 2, 2, 3), np.uint8), tuple(labels), ids, none)

    real, extra = cells("r", "aabcccd"), cells("s", "aaabbbce")
    both = joined(real, extra).take(half_real_rows(real, extra, exactly=exactly))
    found = ["".join(sorted(both.ids[row][0] for row in both.rows(label))) for label in "abcde"]
    assert found == shown
    assert set(both.ids) == set(real.ids) | set(extra.ids)


def test_good_synthetic_cells_help() -> None:
    sides = made_sides(
        train={"basophil": 20, "lymphocyte": 20, "monocyte": 1}, drawn={"monocyte": 60}
    )
    rungs = ladder_rungs(sides.train, sides.drawn)
    results = climb([rungs[1], rungs[3]], exam_of(sides), [0, 1, 2], taught(FAST))
    with_them = results[WITH_SYNTHETIC].recalls["monocyte"]
    assert (with_them - results[OVERSAMPLED].recalls["monocyte"]).interval.low > 0
    assert with_them.interval.value > 0.9


def test_synthetic_cells_of_another_class_harm_though_half_of_what_is_shown_is_real() -> None:
    looks = {"basophil": "monocyte", "monocyte": "basophil"}
    sides = made_sides(train=EVEN, drawn=dict.fromkeys(looks, 60), looks=looks)
    rungs = ladder_rungs(sides.train, sides.drawn)
    results = climb([rungs[1], rungs[3]], exam_of(sides), [0, 1, 2], taught(FAST))
    for label in looks:
        lost = results[WITH_SYNTHETIC].recalls[label] - results[OVERSAMPLED].recalls[label]
        assert lost.interval.value < -0.2
    assert results[WITH_SYNTHETIC].recalls["lymphocyte"].interval.value > 0.9


def test_a_rung_is_the_same_whatever_else_is_climbed() -> None:
    exam, rungs = exam_of(SIDES), ladder_rungs(SIDES.train, SIDES.drawn)
    told: list[tuple[int, int]] = []
    both = climb(rungs[:2], exam, [0, 1], taught(FAST), lambda _, n, total: told.append((n, total)))
    alone = climb(rungs[1:2], exam, [1], taught(FAST))
    np.testing.assert_array_equal(
        both[OVERSAMPLED].probabilities_SNK[1], alone[OVERSAMPLED].probabilities_SNK[0]
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_was_said_is_scored_by_hand() -> None:
    exam, rung = exam_of(SIDES), ladder_rungs(SIDES.train, SIDES.drawn)[0]
    right = np.eye(3, dtype=np.float32)[exam.codes]
    worse = right.copy()
    worse[exam.codes == 2] = [1, 0, 0]
    found = scored(rung, exam, np.stack([right, worse]))
    np.testing.assert_allclose(found.scores["balanced_accuracy"].seeds, [1, 2 / 3])
    np.testing.assert_allclose(found.recalls["monocyte"].seeds, [1, 0])
    np.testing.assert_allclose(found.scores["calibration_error"].seeds, [0, 1 / 3])
    # Class 0 is said 40 times, of which 20 are right: F1 = 2 * 20 / (20 + 40).
    np.testing.assert_allclose(found.scores["macro_f1"].seeds, [1, (2 / 3 + 1 + 0) / 3])


def test_the_best_control_is_no_rung_with_synthetic_cells() -> None:
    exam, rungs = exam_of(SIDES), ladder_rungs(SIDES.train, SIDES.drawn)
    right = np.eye(3, dtype=np.float32)[exam.codes][None]
    wrong = np.roll(right, 1, axis=2)
    results = {rung.name: scored(rung, exam, wrong) for rung in rungs[:2]}
    results |= {rung.name: scored(rung, exam, right) for rung in rungs[2:4]}
    assert best_control(results) == AUGMENTED


def test_cells_of_another_class_are_refused() -> None:
    with pytest.raises(MeasurementError, match="cells of monocyte are not of the classes"):
        codes_of(made_cells("x", {"monocyte": 1}, 0), ("basophil",))
