"""Two versions of a dataset compared by row, with each kind of difference planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cards.changelog import difference_lines
from cards.diff import diff, difference
from curation.cells import SCHEMA
from curation.corpus import Corpus
from curation.errors import CorpusError
from curation.vocabulary import LABEL_IDS
from smearkit import cli
from tests.cards.rewriting import rewritten
from tests.made_cards import MadeCards, write_synthetic

Tables = dict[str, pa.Table]


def set_value(table: pa.Table, row: int, **values: object) -> pa.Table:
    rows = table.to_pylist()
    rows[row] |= values
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def removed(tables: Tables) -> None:
    tables["train"] = tables["train"].slice(1)


def relabelled(tables: Tables) -> None:
    tables["test"] = set_value(tables["test"], 0, label=LABEL_IDS["platelet"])


def moved(tables: Tables) -> None:
    row = tables["test"].slice(0, 1)
    tables["test"] = tables["test"].slice(1)
    tables["train"] = pa.concat_tables([tables["train"], row])


def changed(tables: Tables) -> None:
    tables["train"] = set_value(tables["train"], 2, source="another source")


def added(tables: Tables) -> None:
    rows = tables["train"].slice(0, 2).to_pylist()
    for number, row in enumerate(rows):
        row["image_id"] = f"{number:032x}"
    more = pa.Table.from_pylist(rows, schema=SCHEMA)
    tables["train"] = pa.concat_tables([tables["train"], more])


def nothing(tables: Tables) -> None:
    # In another order: the same rows are the same wherever they stand in their split.
    tables["train"] = tables["train"].take(list(reversed(range(len(tables["train"])))))


CASES: list[tuple[Callable[[Tables], None], str, str, int]] = [
    (removed, "removed", "major", 1),
    (relabelled, "relabelled", "major", 1),
    (moved, "moved", "major", 1),
    (changed, "changed", "major", 1),
    (added, "added", "minor", 2),
]


@pytest.mark.parametrize(("change", "field", "bump", "count"), CASES)
def test_each_kind_is_counted_alone(
    cards_made: MadeCards, tmp_path: Path, change: Callable[[Tables], None], field: str,
    bump: str, count: int,
) -> None:  # fmt: skip
    new = rewritten(cards_made.real, tmp_path / "new", change)
    found = difference(cards_made.real, new)
    kinds = ("added", "removed", "relabelled", "moved", "changed")
    assert {kind: getattr(found, kind) for kind in kinds} == {
        **dict.fromkeys(kinds, 0), field: count,
    }  # fmt: skip
    assert found.bump == bump
    assert len(found.examples[field]) == count
    assert found.kept == 24 - (field == "removed")
    assert difference_lines(found)[0].startswith(f"{count} rows ")


def test_the_same_rows(cards_made: MadeCards, tmp_path: Path) -> None:
    new = rewritten(cards_made.real, tmp_path / "new", nothing)
    assert new.fingerprint != cards_made.real.fingerprint, "the order is part of the fingerprint"
    found = difference(cards_made.real, new)
    assert (found.bump, found.kept, found.examples) == ("patch", 24, {})
    assert difference_lines(found) == ["The same rows."]


def test_what_was_relabelled_and_moved_is_told(cards_made: MadeCards, tmp_path: Path) -> None:
    def both(tables: Tables) -> None:
        relabelled(tables)
        moved(tables)

    found = difference(cards_made.real, rewritten(cards_made.real, tmp_path / "new", both))
    old = cards_made.real.labels(["test"])[0]
    assert found.relabelled_as == {f"{old} -> platelet": 1}
    assert found.moved_between == {"test -> train": 1}


def test_a_null_that_became_a_value_is_a_change(cards_made: MadeCards, tmp_path: Path) -> None:
    def change(tables: Tables) -> None:
        tables["train"] = set_value(tables["train"], 0, site="ab" * 8)

    found = difference(cards_made.real, rewritten(cards_made.real, tmp_path / "new", change))
    assert found.changed_columns == {"site": 1}


def test_two_releases(cards_made: MadeCards) -> None:
    found = diff(cards_made.release.path, cards_made.release.path)
    assert [one.kind for one in found.datasets] == ["real", "synthetic"]
    assert (found.bump, found.moved) == ("patch", 0)


def test_kinds_that_cannot_be_compared(cards_made: MadeCards) -> None:
    with pytest.raises(CorpusError, match="holds real cells and .* synthetic ones"):
        diff(cards_made.real.path, cards_made.synthetic.path)
    with pytest.raises(CorpusError, match="is neither a dataset of a release"):
        diff(cards_made.real.path, cards_made.folder)


def test_a_dataset_against_its_corpus(cards_made: MadeCards) -> None:
    assert diff(cards_made.real.path, cards_made.release.real).bump == "patch"


def run(old: Corpus, new: Corpus) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["diff", str(old.path), str(new.path), "--json"])
    return done.exit_code, done.stdout, done.stderr


def test_the_verb(cards_made: MadeCards, tmp_path: Path) -> None:
    synthetic = write_synthetic(tmp_path / "new", cards_made.real, {"basophil": 3}, seed=5_000)
    status, out, _ = run(cards_made.synthetic, synthetic)
    assert status == 0
    assert json.loads(out)["bump"] == "major"
    assert json.loads(out)["datasets"][0]["added_by_class"] == {"basophil": 3}


def test_the_verb_fails_where_rows_moved(cards_made: MadeCards, tmp_path: Path) -> None:
    status, out, said = run(cards_made.real, rewritten(cards_made.real, tmp_path / "new", moved))
    assert status == 1
    assert json.loads(out)["moved"] == 1
    assert "1 row(s) moved between splits" in said
