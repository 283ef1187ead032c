"""A version number that says something else than what happened to the rows is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cards.release_record import read_record
from curation.corpus import Corpus
from curation.errors import ReleaseRefusedError
from tests.cards.rewriting import rewritten
from tests.cards.test_diff import added, changed, moved, nothing, relabelled, removed
from tests.made_cards import MadeCards, release_again, write_report

Change = Callable[[dict[str, pa.Table]], None]


def states(made: MadeCards, real: Corpus, out: Path, version: str, **more: object) -> str:
    done = release_again(made, out, version, real=real, **more)
    return next(gate.state for gate in done.info.gates if gate.name == "version")


@pytest.mark.parametrize(
    ("change", "version", "need"),
    [
        (added, "1.0.1", "that is a minor one, 1.1.0"),
        (removed, "1.1.0", "that is a major one, 2.0.0"),
        (relabelled, "1.0.1", "that is a major one, 2.0.0"),
        (changed, "1.1.0", "1 changed"),
        (moved, "2.0.0", "1 row(s) stand in another split than in 1.0.0 (test -> train: 1)"),
        (nothing, "1.0.0", "1.0.0 exists already"),
        (nothing, "0.9.0", "version 1.0.0 exists already, which is later than 0.9.0"),
    ],
)
def test_a_wrong_bump(
    cards_made: MadeCards, tmp_path: Path, change: Change, version: str, need: str
) -> None:
    real = rewritten(cards_made.real, tmp_path / "new", change)
    with pytest.raises(ReleaseRefusedError) as refused:
        # A row whose subject stands in two splits is another gate's.
        release_again(cards_made, tmp_path / "out", version, real=real,
                      overrides=["splits_disjoint", "marked"])  # fmt: skip
    assert "  version: " in str(refused.value)
    assert need in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "version", "state"),
    [
        (nothing, "1.0.1", "passed"),
        (added, "1.1.0", "passed"),
        (removed, "2.0.0", "passed"),
        (nothing, "1.1.0", "warned"),
        (added, "1.2.0", "warned"),
        (added, "2.0.0", "warned"),
    ],
)
def test_a_right_bump(
    cards_made: MadeCards, tmp_path: Path, change: Change, version: str, state: str
) -> None:
    real = rewritten(cards_made.real, tmp_path / "new", change)
    assert states(cards_made, real, tmp_path / "out", version) == state


def test_the_vault_alone_knows_what_was_released(cards_made: MadeCards, tmp_path: Path) -> None:
    real = rewritten(cards_made.real, tmp_path / "new", added)
    with pytest.raises(ReleaseRefusedError, match="1.0.1 says that the rows are those of 1.0.0"):
        release_again(cards_made, tmp_path / "out", "1.0.1", real=real, previous=None)
    assert states(cards_made, real, tmp_path / "next", "1.1.0", previous=None) == "warned"


def test_the_same_version_of_the_same_rows_may_be_made_again(
    cards_made: MadeCards, tmp_path: Path
) -> None:
    found = states(cards_made, cards_made.real, tmp_path / "out", "1.0.0", previous=None)
    assert found == "passed"


def test_the_changelog_is_cumulative(cards_made: MadeCards, tmp_path: Path) -> None:
    real = rewritten(cards_made.real, tmp_path / "new", added)
    second = release_again(cards_made, tmp_path / "second", "1.1.0", real=real)
    report = write_report(tmp_path / "report", cards_made.real, cards_made.synthetic)
    third = release_again(
        cards_made, tmp_path / "third", "2.0.0", report=report, previous=second.path
    )
    assert [entry.version for entry in read_record(third.real).versions] == [
        "2.0.0", "1.1.0", "1.0.0",
    ]  # fmt: skip
    text = (third.real / "CHANGELOG.md").read_text()
    assert text.index("## 2.0.0") < text.index("## 1.1.0") < text.index("## 1.0.0")
    assert "- 2 rows removed (" in text
    assert "- 2 rows added (" in text
    assert "- 24 real cells, fingerprint" in text
    assert "- The same rows." in (third.synthetic / "CHANGELOG.md").read_text()
    assert (
        "- 1.1.0 (2027-02-28): 26 cells; 2 added, 0 removed"
        in (third.real / "README.md").read_text()
    )
    assert third.info.previous == "1.1.0"


def test_an_earlier_release_that_was_edited(cards_made: MadeCards, tmp_path: Path) -> None:
    edited = shutil.copytree(cards_made.release.path, tmp_path / "edited")
    (edited / "real" / "CHANGELOG.md").write_text("# Changelog\n")
    with pytest.raises(ReleaseRefusedError, match=r"real/CHANGELOG\.md was changed after"):
        release_again(cards_made, tmp_path / "out", "1.0.1", previous=edited)
