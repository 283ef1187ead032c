"""`check-card` counts every number anew: each fault is planted in a copy of a release and seen."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cards.about import About
from cards.check_card import _sections, check_card
from cards.dataset_card import render_card
from cards.facts import read_facts
from curation.errors import ReleaseRefusedError
from smearkit import cli
from tests.made_cards import MadeCards


@pytest.fixture
def copy(cards_made: MadeCards, tmp_path: Path) -> Path:
    return shutil.copytree(cards_made.release.path, tmp_path / "release")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"nothing to plant the fault in: {old}"
    file.write_text(text.replace(old, new, 1))


def test_what_was_released_fits(cards_made: MadeCards) -> None:
    assert check_card(cards_made.release.path) == ()
    assert check_card(cards_made.release.synthetic) == ()


def class_row(folder: Path, label: str) -> str:
    found = re.search(rf"^\| {label} \| .*$", (folder / "README.md").read_text(), re.M)
    assert found is not None
    return found[0]


NUMBERS: list[tuple[str, str, str, str, str]] = [
    # dataset, file, what stands there, what is planted, the section that is named
    ("real", "README.md", "| basophil | CL:0000767 | 4 |", "| basophil | CL:0000767 | 5 |",
     "Composition"),
    ("real", "README.md", "24 single blood cells", "25 single blood cells", "Drawn discs"),
    ("real", "README.md", "num_examples: 12", "num_examples: 13", "num_examples"),
    ("real", "README.md", "4 subjects; a subject has", "5 subjects; a subject has", "Splits"),
    ("real", "README.md", "| KID | distance to real cells | 0.1 |",
     "| KID | distance to real cells | 0.01 |", "Measurements of the synthetic companion"),
    ("real", "README.md", "| 0.01 | at most 0.2 | met | 9 | 14 |",
     "| 0.01 | at most 0.2 | met | 90 | 14 |", "Measurements of the synthetic companion"),
    ("synthetic", "README.md", "| basophil | CL:0000767 | 7 |", "| basophil | CL:0000767 | 8 |",
     "Composition"),
    ("synthetic", "README.md", "copies of training cells | copying | 0 |",
     "copies of training cells | copying | 0.1 |", "Measurements"),
    ("real", "CHANGELOG.md", "24 real cells", "42 real cells", "1.0.0"),
    ("real", "CITATION.cff", "version: 1.0.0", "version: 1.0.1", "version"),
    ("synthetic", "croissant.json", '"rai:hasSyntheticData": true',
     '"rai:hasSyntheticData": false', "hasSyntheticData"),
    ("real", "schema.json", '"maximum": 32', '"maximum": 31', "maximum"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "old", "new", "said"), NUMBERS)
def test_a_wrong_number(copy: Path, kind: str, name: str, old: str, new: str, said: str) -> None:
    edit(copy / kind / name, old, new)
    faults = check_card(copy)
    assert len(faults) == 1
    assert faults[0].file == f"{kind}/{name}"
    assert faults[0].line is not None
    text = str(faults[0])
    assert said in text
    assert f"line {faults[0].line}" in text


def empty(file: Path) -> None:
    text = file.read_text()
    file.write_text(re.sub(r"(?s)(## Motivation\n).*?(\n## )", r"\1\2", text))


def placeholder(file: Path) -> None:
    edit(file, "## Motivation\n", "## Motivation\n\n[More Information Needed]\n")


@pytest.mark.parametrize(
    ("plant", "said"),
    [(empty, "(Motivation): expected text; found nothing"),
     (placeholder, "expected a fact, or that it is not stated; found 'More Information Needed'")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_an_empty_section(copy: Path, kind: str, plant: Callable[[Path], None], said: str) -> None:
    plant(copy / kind / "README.md")
    assert any(said in str(fault) for fault in check_card(copy / kind))


def test_no_section_of_a_card_is_empty_when_nothing_is_stated(cards_made: MadeCards) -> None:
    for folder in (cards_made.release.real, cards_made.release.synthetic):
        facts = read_facts(folder)
        bare = facts.record.model_copy(
            update={"about": About(), "source": None, "repository": None, "license": "unknown"}
        )
        text = render_card(replace(facts, record=bare, curation=None))
        assert list(_sections("README.md", text)) == []
        assert "Not stated by the maintainer." in text


def test_a_report_that_counts_other_rows(copy: Path) -> None:
    file = copy / "real" / "reports" / "corpus.json"
    found = json.loads(file.read_text())
    found["dropped"] = {"duplicate": 3}
    found["n_in"] += 3
    found["classes"]["train"]["basophil"] -= 1
    found["classes"]["train"]["monocyte"] += 1
    file.write_text(json.dumps(found))
    said = [str(fault) for fault in check_card(copy / "real")]
    assert any("rows of each class" in text for text in said)
    assert any("27 images came in" in text for text in said), "the card says otherwise"


def test_a_curation_report_of_other_rows(copy: Path) -> None:
    file = copy / "real" / "reports" / "curation.json"
    found = json.loads(file.read_text())
    found["n_in"] += 1
    found["n_out"] += 1
    found["splits"]["cells"]["train"] += 1
    file.write_text(json.dumps(found))
    assert any("rows by curation.json" in str(fault) for fault in check_card(copy / "real"))


def test_a_card_about_another_companion(copy: Path) -> None:
    file = copy / "real" / "reports" / "release.json"
    edit(file, '"rows": 14', '"rows": 15')
    assert any("real/reports/release.json (companion): expected 14 rows" in str(fault)
               for fault in check_card(copy))  # fmt: skip


def test_a_card_of_other_templates_is_checked_by_its_numbers(copy: Path) -> None:
    for kind in ("real", "synthetic"):
        edit(copy / kind / "reports" / "release.json", '"card_format": 1', '"card_format": 0')
        edit(copy / kind / "README.md", "## Uses", "## Use")
    assert check_card(copy) == ()
    row = class_row(copy / "real", "basophil")
    edit(copy / "real" / "README.md", row, row.replace("| 4 |", "| 5 |", 1))
    assert [fault.section for fault in check_card(copy)] == ["basophil"]


def test_a_missing_file(copy: Path) -> None:
    (copy / "real" / "CITATION.cff").unlink()
    assert [str(f) for f in check_card(copy)] == [
        "real/CITATION.cff: expected a file; found nothing"
    ]


def test_the_verb(copy: Path) -> None:
    good = CliRunner().invoke(cli.app, ["check-card", str(copy)])
    assert (good.exit_code, good.stdout) == (0, f"{copy}  every number fits\n")
    edit(copy / "real" / "README.md", "24 single blood cells", "2400 single blood cells")
    bad = CliRunner().invoke(cli.app, ["check-card", str(copy), "--json"])
    assert bad.exit_code == 1
    assert "1 thing(s) in the card" in bad.stderr
    assert "24 single" in json.loads(bad.stdout)["faults"][0]["expected"]


def test_what_has_no_card(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefusedError, match="is no release and no dataset of one"):
        check_card(tmp_path)
