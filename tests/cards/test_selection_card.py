"""The card of the synthetic dataset says how its cells were selected."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cards.dataset_card import render_card
from cards.facts import CardFacts, read_facts
from curation.corpus import Corpus
from curation.errors import CorpusError
from synth.select_loss import ClassLoss, RealLoss
from synth.selection_report import (
    SELECTION_NAME,
    SelectionReport,
    read_selection,
    selection_report,
    write_selection,
)
from tests.made_cards import MadeCards
from tests.made_selection import made_selector


@pytest.fixture(scope="module")
def facts(cards_made: MadeCards) -> CardFacts:
    return read_facts(cards_made.release.synthetic)


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> SelectionReport:
    selector = made_selector(tmp_path_factory.getbasetemp() / "selection")
    labels = ["platelet"] * 10 + ["lymphocyte"] * 10 + ["basophil"] * 4
    reasons = ["", *["label"] * 6, *["unreal"] * 3, *[""] * 9, "copy", *[""] * 4]
    return selection_report(selector, labels, reasons)


def card(facts: CardFacts, selection: SelectionReport) -> str:
    return render_card(replace(facts, selection=selection))


def test_the_yield_stands_in_the_card(facts: CardFacts, selection: SelectionReport) -> None:
    text = card(facts, selection)
    table = re.findall(r"^\|.*\|\s*$", text.split("## Which of the cells")[1], re.M)[:5]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table]
    assert cells[0] == [
        "class", "drawn", "kept", "share kept", "blank", "label", "unreal", "copy", "duplicate",
    ]  # fmt: skip
    assert cells[1] == ["---", *["---:"] * 8]
    assert cells[2:] == [
        ["basophil \\*", "4", "4", "100.0 %", "0", "0", "0", "0", "0"],
        ["lymphocyte", "10", "9", "90.0 %", "0", "0", "0", "1", "0"],
        ["platelet", "10", "1", "**10.0 %**", "0", "6", "3", "0", "0"],
    ]
    assert "14 of 24 cells drawn" in text
    assert "**Flagged: platelet.** Under 30 %" in text
    assert "Too few real cells to judge" in text
    lost, n = selection.real_loss.lost, selection.real_loss.n
    assert f"would drop {lost} of {n} real test cells" in text
    assert "not chosen by anyone" not in text
    assert not re.search(r"\{\{ |\{%|\bNone\b|\bnan\b", text)


def test_what_is_not_flagged_is_not_called_so(facts: CardFacts, selection: SelectionReport) -> None:
    good = tuple(row for row in selection.yields if row.label == "lymphocyte")
    changes = {"yields": good, "real_loss": RealLoss(measured_on="nothing")}
    text = card(facts, selection.model_copy(update=changes))
    assert "Flagged" not in text
    assert "Too few real cells" not in text
    assert "was not measured: the corpus has no test cells" in text


def test_without_selection_nothing_is_said_of_it(facts: CardFacts) -> None:
    text = render_card(facts)
    assert "Which of the cells drawn" not in text
    assert "All 14 cells drawn are here" in text


def test_the_report_adds_up(selection: SelectionReport) -> None:
    assert (selection.drawn, selection.kept) == (24, 14)
    assert selection.dropped == {"copy": 1, "label": 6, "unreal": 3}
    assert selection.flagged == ("platelet",)
    for row in selection.yields:
        assert row.drawn == row.kept + sum(row.dropped.values())
    assert sum(row.drawn for row in selection.yields) == selection.drawn
    assert {"scikit-learn", "smearkit", "numpy"} <= set(selection.versions)
    assert "not installed" not in selection.versions.values()


def test_exactly_the_flagged_share_is_not_flagged(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    selector = made_selector(tmp_path_factory.getbasetemp() / "selection")
    reasons = [""] * 3 + ["label"] * 7
    assert selection_report(selector, ["platelet"] * 10, reasons).flagged == ()
    reasons[2] = "label"
    assert selection_report(selector, ["platelet"] * 10, reasons).flagged == ("platelet",)


def test_written_and_read_back(
    cards_made: MadeCards, selection: SelectionReport, tmp_path: Path
) -> None:
    corpus = Corpus(tmp_path, cards_made.synthetic.manifest)
    assert read_selection(corpus) is None
    write_selection(tmp_path, selection)
    assert read_selection(corpus) == selection
    file = tmp_path / "reports" / SELECTION_NAME
    file.write_text(file.read_text().replace('"drawn": 24', '"drawn": "x"'))
    with pytest.raises(CorpusError, match="selection.json cannot be read: at drawn"):
        read_selection(corpus)


def test_totals_of_the_loss() -> None:
    classes = tuple(
        ClassLoss(label=label, n=n, broken={"label": 1}, any=lost)
        for label, n, lost in (("platelet", 10, 1), ("lymphocyte", 5, 2))
    )
    loss = RealLoss(measured_on="test", classes=classes)
    assert (loss.n, loss.lost) == (15, 3)
