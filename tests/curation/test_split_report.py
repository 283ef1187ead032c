from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from curation.split import Fractions, split_cells
from curation.split_demand import TOLERANCE
from curation.split_groups import KeyColumn
from curation.split_report import SplitReport, split_report

FRACTIONS = Fractions()
NAMES = ["neutrophil", "promyelocyte", "plasma_cell"]


def report_of(
    labels: NDArray[np.int64],
    keys: dict[str, KeyColumn],
    *,
    edges: NDArray[np.int64] | None = None,
    fixed: NDArray[np.int64] | None = None,
    names: list[str] = NAMES,
) -> SplitReport:
    order = np.random.default_rng(0).permutation(len(labels))
    result = split_cells(labels, keys, order, FRACTIONS, edges=edges, fixed=fixed)
    return split_report(result, labels, names, keys, FRACTIONS, edges=edges, fixed=fixed)


def with_rare(rare: dict[str, int], other_each: int = 50) -> tuple[NDArray[np.int64], list[str]]:
    """Forty subjects of the common label; then so many rare cells of named subjects alone."""
    subjects = [f"subject {i}" for i in range(40) for _ in range(other_each)]
    labels = [0] * len(subjects)
    for name, count in rare.items():
        subjects += [name] * count
        labels += [1] * count
    return np.array(labels), subjects


def test_within_the_tolerance_nothing_needs_a_reason() -> None:
    labels, subjects = with_rare({f"rare {i}": 5 for i in range(40)})
    report = report_of(labels, {"subject": subjects})
    assert report.labels_off() == ()
    assert report.best_possible
    assert report.off <= TOLERANCE
    assert report.wanted == {"train": 0.7, "validation": 0.15, "test": 0.15}
    assert report.cells == {"train": 1540, "validation": 330, "test": 330}
    assert [(e.label, e.cells, e.groups) for e in report.labels] == [
        ("neutrophil", 2000, 40), ("promyelocyte", 200, 40),
    ]  # fmt: skip
    assert report.grouped_by == {"subject": 80}
    assert report.groups == 80
    assert report.largest_group == round(50 / 2200, 4)
    assert report.missing == {}
    json.loads(report.model_dump_json())


def test_a_subject_that_holds_too_much_is_counted_not_named() -> None:
    labels, subjects = with_rare({"Jane Roe": 82, "John Doe": 80, "Ann": 38})
    report = report_of(labels, {"subject": subjects})
    (entry,) = report.labels_off()
    assert entry.why == "large_groups"
    assert entry.text == "1 subject holds 41% of promyelocyte, 3 groups hold all of it"
    assert report.best_possible
    assert "Jane" not in report.model_dump_json()


def test_a_group_of_several_is_said_as_such() -> None:
    labels, subjects = with_rare({"Jane Roe": 41, "John Doe": 40})
    slides = [None] * 2000 + ["S1"] * 50 + ["S2"] * 31
    report = report_of(labels, {"subject": subjects, "slide": slides})
    (entry,) = report.labels_off()
    assert entry.text == "1 group of 2 subjects holds all of promyelocyte"
    assert report.missing == {"validation": ("promyelocyte",), "test": ("promyelocyte",)}
    assert report.grouped_by == {"subject": 42, "slide": 2}


def test_duplicate_clusters_have_no_name() -> None:
    labels = np.array([0] * 2000 + [1] * 60)
    chain = np.array([[row, row + 1] for row in range(2000, 2059)])
    report = report_of(labels, {"subject": [None] * 2060}, edges=chain)
    (entry,) = report.labels_off()
    assert entry.text == "1 duplicate cluster holds all of promyelocyte"
    assert report.grouped_by == {"duplicate_pair": 59}


def test_few_cells_are_the_reason_before_any_group() -> None:
    labels, subjects = with_rare({"a": 1, "b": 1, "c": 1, "d": 1})
    (entry,) = report_of(labels, {"subject": subjects}).labels_off()
    assert entry.why == "few_cells"
    assert entry.text == "4 cells of promyelocyte cannot be divided any closer"


def test_labels_that_share_their_groups_may_not_all_fit() -> None:
    # Each label alone divides as 70, 15 and 15; but each wants another of the groups in train.
    labels, subjects = [], []
    for subject, counts in enumerate([(700, 150), (150, 700), (150, 150)]):
        for label, count in enumerate(counts):
            labels += [label] * count
            subjects += [f"subject {subject}"] * count
    report = report_of(np.array(labels), {"subject": subjects})
    assert report.best_possible
    assert {entry.why for entry in report.labels_off()} == {"trade_off"}
    text = report.labels_off()[0].text
    assert text is not None
    assert text.startswith("closer, other labels or all cells together would be further off; 1 su")
    order = np.arange(len(labels))
    unproved = replace(
        split_cells(np.array(labels), {"subject": subjects}, order, FRACTIONS), proved=False
    )
    again = split_report(unproved, np.array(labels), NAMES, {"subject": subjects}, FRACTIONS)
    assert not again.best_possible
    assert str(again.labels_off()[0].text).startswith("nothing closer was found")


def test_an_earlier_version_may_be_the_reason() -> None:
    labels, subjects = with_rare({f"rare {i}": 5 for i in range(20)})
    fixed = np.where(labels == 1, 0, -1)
    fixed[-5:] = -1
    report = report_of(labels, {"subject": subjects}, fixed=fixed)
    (entry,) = report.labels_off()
    assert entry.why == "earlier_version"
    assert entry.text == "an earlier version fixes where 95% of promyelocyte lies"
    assert report.kept == 95


def test_cut_rows_are_counted_apart() -> None:
    labels = np.zeros(5, np.int64)
    keys: dict[str, KeyColumn] = {
        "subject": ["a", None, "a", None, "a"], "slide": [None, "u", None, "u", "u"],
    }  # fmt: skip
    report = report_of(labels, keys, fixed=np.array([0, 2, -1, -1, -1]))
    assert report.links_splits == 1
    assert sum(report.cells.values()) == 4


@pytest.mark.real
def test_slides_of_another_laboratory_come_as_close_as_they_can(shared_data: Path) -> None:
    with (shared_data / "chula_wbc" / "metadata.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names, labels = np.unique([row["label"] for row in rows], return_inverse=True)
    keys: dict[str, KeyColumn] = {key: [row[key] for row in rows] for key in ("slide", "field")}
    report = report_of(labels.astype(np.int64), keys, names=names.tolist())
    assert report.off <= TOLERANCE
    assert report.best_possible
    assert {entry.why for entry in report.labels_off()} <= {"large_groups", "few_cells"}
    assert report.missing == {}
