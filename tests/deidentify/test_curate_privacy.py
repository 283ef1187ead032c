"""What `curate` lets out: policy, burned-in text, groups that are too small, order, names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation import curate as curate_module
from curation.corpus import Corpus
from curation.curate import CurateConfig, curate
from curation.deidentify.decisions import Decision, record_decision
from curation.deidentify.policy import Policy, Rule, load_policy
from curation.deidentify.quarantine_entry import QuarantineEntry, read_entries
from curation.deidentify.text import Look, TextHit
from curation.deidentify.vault import read_identifiers, read_vault
from curation.errors import PolicyError
from curation.pixels import Pixels, decode_rgb
from curation.sources import CutFrom, RawCell

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
BOX = (4, 6, 20, 14)
SECRET = "ROE JANE 0815"


def export(folder: Path, cell: Cell, encoded: Encoded, rows: list[dict[str, str]]) -> Path:
    folder.mkdir()
    columns = list(rows[0])
    lines = [",".join(["file_name", "label", *columns])]
    for number, row in enumerate(rows):
        (folder / f"{number}.jpg").write_bytes(encoded(cell(number)))
        label = "BA" if number % 2 else "MO"
        lines.append(",".join([f"{number}.jpg", label, *(row[name] for name in columns)]))
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def people(count: int, **more: str) -> list[dict[str, str]]:
    return [
        {"patient": f"Person {n}", "age": str(20 + n % 3), "sex": "F", "acquired": "2020-03-04",
         "mrn": f"MRN-{n:06d}", **more}
        for n in range(count)
    ]  # fmt: skip


def test_attributes_are_released_as_the_policy_says(
    tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = export(tmp_path / "e", cell, encoded, people(24))
    corpus = curate([root], tmp_path / "c")
    rows = corpus.rows(["age_band", "sex", "acquisition_year"]).to_pylist()
    assert {tuple(row.values()) for row in rows} == {("20-29", "female", "2020")}
    record = corpus.manifest.deidentification
    assert record is not None
    assert record.policy == "smear-export"
    assert record.columns == {
        "patient": "pseudonymise", "age": "age_band", "sex": "keep", "acquired": "year",
        "mrn": "drop",
    }  # fmt: skip
    assert record.key_id == read_vault(tmp_path / "c-vault").key_id
    assert record.k_anonymity.quasi_identifiers == ("acquisition_year", "age_band", "sex")
    assert record.k_anonymity.groups == 0
    assert (record.scans_kept, record.encoded_anew) == (24, 0)
    known = set(read_identifiers(read_vault(tmp_path / "c-vault")))
    assert ("column acquired", "2020-03-04") in known
    assert ("column mrn", "MRN-000003") in known
    # What is kept is published, so it is not searched for.
    assert not any(value == "F" for _, value in known)


def test_datasets_loads_the_added_columns(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    from datasets import load_dataset

    root = export(tmp_path / "e", cell, encoded, people(24, objective="100x"))
    corpus = curate([root], tmp_path / "c")
    loaded = load_dataset(str(corpus.path), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.features["magnification"].dtype == "float64"
    assert set(loaded["magnification"]) == {100.0}
    assert loaded.features["label"].names


def test_what_no_rule_names_stops_the_run_before_it_writes(
    tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = export(tmp_path / "e", cell, encoded, people(6, horoscope="Libra"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PolicyError, match="names 'horoscope'") as caught:
        curate([root], tmp_path / "c")
    assert "Libra" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    corpus = curate([root], tmp_path / "c", CurateConfig(drop_columns=("horoscope",)))
    assert corpus.manifest.n_out == 6
    assert ("column horoscope", "Libra") in set(read_identifiers(read_vault(tmp_path / "c-vault")))


def test_values_that_no_rule_expects_stop_the_run(
    tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = export(tmp_path / "e", cell, encoded, people(6)[:5] + people(1, age="old"))
    with pytest.raises(PolicyError, match=r"by column: 'age' \(1\)"):
        curate([root], tmp_path / "c")
    assert not (tmp_path / "c-vault").exists()


def with_years(tmp_path: Path, cell: Cell, encoded: Encoded) -> Path:
    rows = people(20)
    for row in rows[:3]:
        row["acquired"] = "1999-01-01"
    return export(tmp_path / "e", cell, encoded, rows)


@pytest.mark.parametrize("choice", ["report", "generalise", "drop"])
def test_small_groups(choice: str, tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    root = with_years(tmp_path, cell, encoded)
    policy = load_policy().model_copy(update={"rare_labels": False, "k": 4})
    config = CurateConfig.model_validate({"small_groups": choice})
    corpus = curate([root], tmp_path / "c", config, policy=policy)
    record = corpus.manifest.deidentification
    assert record is not None
    found = record.k_anonymity
    assert (found.found_groups, found.found_rows) == (1, 3)
    assert (found.groups, found.rows) == ((1, 3) if choice == "report" else (0, 0))
    years = corpus.rows(["acquisition_year"])["acquisition_year"].to_pylist()
    assert years.count("1999") == (3 if choice == "report" else 0)
    assert years.count(None) == (3 if choice == "generalise" else 0)
    assert corpus.manifest.dropped == ({"small_group": 3} if choice == "drop" else {})
    # The list itself would single patients out: it is in the vault, and in nothing else.
    lines = (tmp_path / "c-vault" / "small_groups.jsonl").read_text().splitlines()
    assert [json.loads(line)["acquisition_year"] for line in lines] == ["1999"]
    text = (corpus.path / "reports" / "curation.json").read_text()
    said = text + corpus.manifest.model_dump_json()
    # Not inside a checksum or a keyed id, where chance puts any four digits.
    assert not re.search(r"(?<![0-9a-f])1999(?![0-9a-f])", said)


class StubFinder:
    """Finds text in the cells of odd seeds, by a mark that the fixture draws."""

    def look(self, pixels: Pixels, whole_field: bool = False) -> Look:
        marked = bool(pixels[BOX[1] : BOX[3], BOX[0] : BOX[2]].astype(int).mean() < 3)
        hits = (TextHit(BOX, "text", 0.9, SECRET),) if marked else ()
        return Look(searched=marked, hits=hits)


@pytest.fixture
def marked(tmp_path: Path, cell: Cell, encoded: Encoded, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 8 cells, two of which carry what the stub takes for text."""
    monkeypatch.setattr(curate_module, "TextFinder", StubFinder)
    root = tmp_path / "marked" / "BA"
    root.mkdir(parents=True)
    for number in range(8):
        image = cell(number)
        if number in (2, 5):
            image.paste((0, 0, 0), BOX)
        (root / f"Roe_Jane_{number}.png").write_bytes(encoded(image, "PNG"))
    return tmp_path / "marked"


def text_of(corpus: Corpus) -> tuple[int, int, int, int, int]:
    record = corpus.manifest.deidentification
    assert record is not None
    found = record.text
    return found.images, found.read, found.hits, found.redacted, found.accepted


def entries(tmp_path: Path, name: str = "c") -> list[QuarantineEntry]:
    found = read_entries(tmp_path / f"{name}-quarantine")
    return [entry for entry in found if isinstance(entry, QuarantineEntry)]


def test_burned_in_text_is_quarantined(marked: Path, tmp_path: Path) -> None:
    corpus = curate([marked], tmp_path / "c")
    assert corpus.manifest.dropped == {"burned_in_text": 2}
    assert corpus.manifest.quarantined == 2
    assert text_of(corpus) == (8, 2, 2, 0, 0)
    found = entries(tmp_path)
    assert [(e.reason, e.boxes, e.texts) for e in found] == [
        ("burned_in_text", (BOX,), (SECRET,))
    ] * 2
    assert {e.name for e in found} == {"BA/Roe_Jane_2.png", "BA/Roe_Jane_5.png"}
    known = set(read_identifiers(read_vault(tmp_path / "c-vault")))
    assert ("burned_in_text", SECRET) in known
    for path in corpus.path.rglob("*"):
        assert not path.is_file() or b"ROE JANE" not in path.read_bytes()


def test_redaction_blanks_the_box(marked: Path, tmp_path: Path) -> None:
    corpus = curate([marked], tmp_path / "c", CurateConfig(text="redact"))
    assert corpus.manifest.dropped == {}
    assert text_of(corpus) == (8, 2, 2, 2, 0)
    for data in corpus.images():
        part = decode_rgb(data)[BOX[1] : BOX[3], BOX[0] : BOX[2]]
        assert part.mean() > 3
    assert not (tmp_path / "c-quarantine").exists()


def test_no_search_is_said(marked: Path, tmp_path: Path) -> None:
    corpus = curate([marked], tmp_path / "c", CurateConfig(text="off"))
    assert corpus.manifest.n_out == 8
    record = corpus.manifest.deidentification
    assert record is not None
    assert (record.text.mode, record.text.images) == ("off", 0)


def test_decisions_are_applied(marked: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    curate([marked], tmp_path / "a", vault=vault)
    first, second = entries(tmp_path, "a")
    now = datetime.now(UTC)
    record_decision(vault, Decision(id=first.id, action="accept", at=now))
    record_decision(vault, Decision(id=second.id, action="drop", at=now))
    corpus = curate([marked], tmp_path / "b", vault=vault)
    assert corpus.manifest.dropped == {"dropped_in_review": 1}
    assert text_of(corpus) == (8, 1, 1, 0, 1)
    assert corpus.manifest.quarantined == 0
    record_decision(vault, Decision(id=second.id, action="redact", boxes=(BOX,), at=now))
    corpus = curate([marked], tmp_path / "d", vault=vault)
    assert corpus.manifest.n_out == 8
    assert text_of(corpus) == (8, 2, 2, 1, 1)
    # Taken back, the image waits again.
    record_decision(vault, Decision(id=first.id, action="undecided", at=now))
    corpus = curate([marked], tmp_path / "e", vault=vault)
    assert corpus.manifest.dropped == {"burned_in_text": 1}


def test_a_decision_holds_whatever_the_file_is_called(marked: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    curate([marked], tmp_path / "a", vault=vault)
    first = entries(tmp_path, "a")[0]
    record_decision(vault, Decision(id=first.id, action="accept", at=datetime.now(UTC)))
    path = marked / first.name
    path.rename(path.with_name("renamed.png"))
    corpus = curate([marked], tmp_path / "b", vault=vault)
    assert corpus.manifest.n_out == 7


class Fields:
    """A source of cells cut from one field, whose text touches the second cell only."""

    kind = "fields"
    columns: tuple[str, ...] = ()

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(60, 255, (40, 96, 3), dtype=np.uint8)
        self.pixels[6:14, 36:52] = 0

    def __len__(self) -> int:
        return 3

    def labels(self) -> dict[str, int]:
        return {"BA": 3}

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        for number in range(start, stop):
            left = 32 * number
            yield RawCell(
                f"Roe.png {number}", "BA", None, pixels=self.pixels[:, left : left + 32].copy(),
                cut_from=CutFrom("Roe.png", self.pixels, (left, 0, left + 32, 40)),
            )  # fmt: skip

    def identifiers(self) -> Iterator[tuple[str, str]]:
        yield "file", "Roe"

    def identity(self) -> str:
        return "fields"


def test_a_field_is_searched_once_and_only_the_cell_it_touches_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    class FieldFinder:
        def look(self, pixels: Pixels, whole_field: bool = False) -> Look:
            calls.append(whole_field)
            return Look(searched=True, hits=(TextHit((36, 6, 52, 14), "text", 0.9, SECRET),))

    monkeypatch.setattr(curate_module, "TextFinder", FieldFinder)
    corpus = curate([Fields()], tmp_path / "c")
    assert calls == [True]
    assert corpus.manifest.dropped == {"burned_in_text": 1}
    assert corpus.manifest.grouped_by == "field"
    assert len(corpus.manifest.splits) == 1, "cells of one field stay together"
    entry = entries(tmp_path)[0]
    assert entry.boxes == ((4, 6, 20, 14),)
    assert entry.picture == f"{entry.id}.png"


def test_the_order_of_rows_says_nothing_about_the_source(
    tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = export(tmp_path / "e", cell, encoded, people(64))
    config = CurateConfig(train=1.0, validation=0.0, test=0.0)
    subjects = curate([root], tmp_path / "c", config).rows(["subject"])["subject"].to_pylist()
    vault = read_vault(tmp_path / "c-vault")
    order = [subjects.index(vault.pseudonym("subject", f"Person {n}")) for n in range(64)]
    correlation = abs(float(np.corrcoef(order, range(64))[0, 1]))
    assert correlation < 0.4


def test_rules_that_disagree_between_sources_are_refused(
    tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    roots = [
        export(tmp_path / "one", cell, encoded, [{"seen": "2020-01-01"}] * 4),
        export(tmp_path / "two", cell, encoded, [{"visited": "2020-01-01"}] * 4),
    ]
    policy = Policy(
        policy=1, name="x",
        columns=(
            Rule(names=("seen",), action="year", to="when"),
            Rule(names=("visited",), action="shift_date", to="when"),
        ),
    )  # fmt: skip
    with pytest.raises(PolicyError, match="release 'when' in different ways"):
        curate(roots, tmp_path / "c", policy=policy)
