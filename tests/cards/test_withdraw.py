"""`withdraw`: nothing of a patient is left in the next version, and nothing written names them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cards.check_card import check_card
from cards.diff import diff
from cards.release import release
from cards.release_record import read_record
from cards.verify import verify
from cards.withdraw import Withdrawn, withdraw
from cards.without_subjects import without_subjects
from curation.cells import SCHEMA, Attribute, schema_with
from curation.corpus import Corpus, load_corpus
from curation.corpus_writer import shard_name, write_manifest, write_shard
from curation.deidentify.vault import read_vault
from curation.errors import OutputExistsError, ReleaseRefusedError, VaultError
from smearkit import cli
from tests.made import SUBJECTS
from tests.made_cards import MadeCards, write_report, write_synthetic


@pytest.fixture
def vault(cards_made: MadeCards, tmp_path: Path) -> Path:
    return shutil.copytree(cards_made.vault, tmp_path / "vault")


def subject_in(made: MadeCards, split: str) -> str:
    """Return the source's name of a subject whose cells stand in a split."""
    keys = read_vault(made.vault)
    here = set(made.real.rows(["subject"], [split])["subject"].to_pylist())
    return next(name for name in SUBJECTS if keys.pseudonym("subject", name) in here)


def run(made: MadeCards, subjects: list[str], out: Path, vault: Path, **more: Any) -> Withdrawn:
    return withdraw(subjects, made.release.path, out, vault=vault, date="2027-03-01", **more)


def test_nothing_of_the_patient_is_left(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    name = subject_in(cards_made, "train")
    pseudonym = read_vault(vault).pseudonym("subject", name)
    rows = cards_made.real.rows(["subject", "image_id"]).to_pylist()
    theirs = {row["image_id"] for row in rows if row["subject"] == pseudonym}
    done = run(cards_made, [name, "Nobody Here"], tmp_path / "out", vault)
    assert (done.withdrawal.cells, done.withdrawal.subjects, done.unknown) == (len(theirs), 1, 1)
    assert done.withdrawal.version == done.release.info.version == "2.0.0"
    # Compressed columns hide nothing from a reader of the tables; all else is searched as bytes.
    for file in sorted(done.release.path.rglob("*")):
        if file.suffix == ".parquet":
            text = json.dumps(pq.read_table(file, partitioning=None).drop_columns(
                [c for c in ("image",) if c in pq.read_schema(file).names]
            ).to_pylist())  # fmt: skip
        elif file.is_file():
            text = file.read_bytes().decode("latin-1")
        else:
            continue
        for secret in (name, pseudonym, *theirs):
            assert secret not in text, file.name
    assert check_card(done.release.path) == ()
    assert verify(done.release.path).whole


def test_what_it_says(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    name = subject_in(cards_made, "train")
    done = run(cards_made, [name], tmp_path / "out", vault)
    cells = done.withdrawal.cells
    found = diff(cards_made.release.path, done.release.path)
    assert [(d.removed, d.added, d.moved, d.changed) for d in found.datasets] == [
        (cells, 0, 0, 0), (0, 0, 0, 0),
    ]  # fmt: skip
    manifest = read_record(done.release.real).versions[0]
    assert manifest.difference is not None
    assert manifest.difference.removed == cells
    assert done.trained[0].learned == "yes"
    assert done.trained[0].cells == cells
    assert done.earlier == ("1.0.0",)
    notice = done.notice.read_text()
    assert f"On 2027-03-01, {cells} cells of 1 subject(s) were withdrawn." in notice
    assert f"learned from {cells} of these cells" in notice
    card = (done.release.synthetic / "README.md").read_text()
    assert f"learned from those of them that were training cells ({cells})" in card
    assert f"| withdrawn | {cells} |" in (done.release.real / "README.md").read_text()
    states = {gate.name: gate.state for gate in done.release.info.gates}
    assert states["version"] == "passed"
    assert states["report_fits"] == "warned"
    assert sorted(p.name for p in (done.release.real / "reports" / "figures").iterdir()) == [
        "synthetic.jpg"
    ], "pictures of real cells may show the patient's"


def test_a_patient_of_the_test_split(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    done = run(cards_made, [subject_in(cards_made, "test")], tmp_path / "out", vault)
    assert done.trained[0].learned == "no"
    assert done.withdrawal.trained == 0
    card = (done.release.synthetic / "README.md").read_text()
    assert "the generator of this dataset learned from none of them" in card


def test_pseudonyms_will_do_as_well(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    name = subject_in(cards_made, "train")
    pseudonym = read_vault(vault).pseudonym("subject", name)
    done = run(cards_made, [pseudonym, f" {name} ", ""], tmp_path / "out", vault)
    assert (done.withdrawal.subjects, done.unknown) == (1, 0)


def test_a_second_withdrawal_knows_the_first(
    cards_made: MadeCards, tmp_path: Path, vault: Path
) -> None:
    keys = read_vault(vault)
    rows = cards_made.real.rows(["subject"], ["train"])["subject"].to_pylist()
    one, two = sorted(set(rows))
    first = withdraw([one], cards_made.release.path, tmp_path / "first", vault=vault)
    second = withdraw([two], first.release.path, tmp_path / "second", vault=vault)
    assert second.withdrawal.version == "3.0.0"
    assert second.trained[0].learned == "yes", "the corpus it learned from held these cells too"
    assert second.earlier == ("1.0.0", "2.0.0")
    assert "Version 2.0.0" in (second.release.real / "README.md").read_text()
    assert keys.key_id in (vault / "withdrawn.jsonl").read_text()


def test_later_versions_still_tell_of_it(
    cards_made: MadeCards, tmp_path: Path, vault: Path
) -> None:
    done = run(cards_made, [subject_in(cards_made, "train")], tmp_path / "out", vault,
               corpus_out=tmp_path / "left")  # fmt: skip
    left = load_corpus(tmp_path / "left")
    same = write_report(tmp_path / "same", left, cards_made.synthetic)
    anew = write_synthetic(tmp_path / "anew", left, {"basophil": 4}, seed=8_000)
    other = write_report(tmp_path / "other", left, anew)
    for number, (synthetic, report, told) in enumerate(
        ((cards_made.synthetic, same, True), (anew, other, False))
    ):
        later = release(
            left, synthetic, report, "2.0.1" if told else "3.0.0", tmp_path / f"later{number}",
            name="Drawn discs", vault=vault, previous=done.release.path,
        )  # fmt: skip
        assert "**Cells were withdrawn.**" in (later.real / "README.md").read_text()
        assert (later.real / "WITHDRAWAL.md").read_bytes() == done.notice.read_bytes()
        card = (later.synthetic / "README.md").read_text()
        assert ("Cells of the real dataset were withdrawn" in card) == told
        assert (later.synthetic / "WITHDRAWAL.md").is_file() == told
        assert "before cells were withdrawn" not in card
        assert verify(later.path).whole


def test_other_places_that_may_have_learned(
    cards_made: MadeCards, tmp_path: Path, vault: Path
) -> None:
    elsewhere = write_synthetic(tmp_path / "more", cards_made.real, {"basophil": 2}, seed=9_000)
    generator = tmp_path / "generator"
    generator.mkdir()
    (generator / "generator.json").write_text(
        json.dumps({"fingerprint": "77" * 16, "training_corpus": "ee" * 16})
    )
    done = run(cards_made, [subject_in(cards_made, "train")], tmp_path / "out", vault,
               also=[elsewhere.path, generator])  # fmt: skip
    assert [one.learned for one in done.trained] == ["yes", "yes", "unknown"]
    assert done.trained[2].what == f"generator {'77' * 16}"
    with pytest.raises(ReleaseRefusedError, match="holds real cells; --also takes"):
        run(cards_made, [subject_in(cards_made, "train")], tmp_path / "other", vault,
            also=[cards_made.real.path])  # fmt: skip


def test_the_corpus_that_is_left(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    done = run(cards_made, [subject_in(cards_made, "train")], tmp_path / "out", vault,
               corpus_out=tmp_path / "left")  # fmt: skip
    left = load_corpus(tmp_path / "left")
    assert left.fingerprint == done.release.info.real
    assert left.manifest.n_in == left.manifest.n_out + left.manifest.dropped["withdrawn"]
    assert left.manifest.parents["withdrawn_from"] == cards_made.real.fingerprint
    assert (left.path / "reports" / "curation.json").is_file()
    with pytest.raises(OutputExistsError):
        run(cards_made, [SUBJECTS[0]], tmp_path / "again", vault, corpus_out=tmp_path / "left")


@pytest.mark.parametrize("given", [["Nobody Here"], ["ab" * 8], ["", "  "]])
def test_nobody_is_meant(
    cards_made: MadeCards, tmp_path: Path, vault: Path, given: list[str]
) -> None:
    with pytest.raises(ReleaseRefusedError, match="subject\\(s\\) given has a cell") as refused:
        run(cards_made, given, tmp_path / "out", vault)
    assert not any(text.strip() and text in str(refused.value) for text in given)
    assert not (tmp_path / "out").exists()


def test_another_vault(cards_made: MadeCards, tmp_path: Path) -> None:
    from curation.deidentify.vault import open_vault

    other = open_vault(tmp_path / "other").path
    with pytest.raises(ReleaseRefusedError, match="has no key under which"):
        run(cards_made, [SUBJECTS[0]], tmp_path / "out", other)
    with pytest.raises(VaultError):
        run(cards_made, [SUBJECTS[0]], tmp_path / "out", tmp_path)


def test_an_edited_release(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    copy = shutil.copytree(cards_made.release.path, tmp_path / "copy")
    (copy / "real" / "README.md").write_text("x")
    with pytest.raises(ReleaseRefusedError, match=r"real/README\.md was changed"):
        withdraw([SUBJECTS[0]], copy, tmp_path / "out", vault=vault)


# Small groups: who is left may stand out


def corpus_of_ages(folder: Path, made: MadeCards) -> tuple[Corpus, list[str]]:
    """Write a corpus of three subjects a decade, two cells each, 3 of whom must share it."""
    subjects = [f"{number:016x}" for number in range(6)]
    rows = made.real.rows(SCHEMA.names, ["train"]).to_pylist()
    table_rows = []
    for number, row in enumerate(rows):
        who = number % len(subjects)
        table_rows.append(row | {"subject": subjects[who], "label": 4, "age": f"{who // 3 + 4}0s"})
    attributes = (Attribute(name="age", action="decade", quasi_identifier=True),)
    schema = schema_with(attributes)
    folder.mkdir()
    table = pa.Table.from_pylist(table_rows, schema=schema)
    shard = write_shard(folder, "train", shard_name("train", 0, 1), table, schema)
    record = made.real.manifest.deidentification
    assert record is not None
    found = record.k_anonymity.model_copy(update={"k": 3, "quasi_identifiers": ("age",)})
    old = made.real.manifest
    write_manifest(
        folder, kind="real", shards=[shard], n_in=len(rows), dropped={}, grouped_by="subject",
        codec=old.codec, parents={}, config=old.config, attributes=attributes,
        deidentification=record.model_copy(update={"k_anonymity": found}),
    )  # fmt: skip
    return load_corpus(folder), subjects


def test_who_is_left_does_not_stand_out(cards_made: MadeCards, tmp_path: Path) -> None:
    corpus, subjects = corpus_of_ages(tmp_path / "ages", cards_made)
    left, removed = without_subjects(corpus, [subjects[0]], tmp_path / "left")
    rows = left.rows(["subject", "age"]).to_pylist()
    assert {row["age"] for row in rows if row["subject"] in subjects[1:3]} == {None}
    assert {row["age"] for row in rows if row["subject"] in subjects[3:]} == {"50s"}
    assert removed.generalised == sum(row["subject"] in subjects[1:3] for row in rows) > 0
    record = left.manifest.deidentification
    assert record is not None
    assert record.k_anonymity.found_rows == removed.generalised
    assert record.k_anonymity.choice == "generalise"


# The verb


def verb(made: MadeCards, vault: Path, out: Path, subjects: str, text: str | None = None) -> Any:
    arguments = ["withdraw", subjects, "--release", made.release.path, "--vault", vault,
                 "--out", out, "--json"]  # fmt: skip
    return CliRunner().invoke(cli.app, [str(one) for one in arguments], input=text)


def test_the_verb_reads_a_file_or_stdin(cards_made: MadeCards, tmp_path: Path, vault: Path) -> None:
    name = subject_in(cards_made, "train")
    (tmp_path / "who.txt").write_text(f"{name}\n")
    one = verb(cards_made, vault, tmp_path / "one", str(tmp_path / "who.txt"))
    assert one.exit_code == 0, one.stderr
    two = verb(cards_made, vault, tmp_path / "two", "-", f"{name}\n")
    assert two.exit_code == 0, two.stderr
    assert json.loads(one.stdout)["cells"] == json.loads(two.stdout)["cells"]
    for text in (one.stdout, one.stderr, two.stdout, two.stderr):
        assert name not in text


def test_a_name_given_in_place_of_a_file_is_not_echoed(
    cards_made: MadeCards, tmp_path: Path, vault: Path
) -> None:
    found = verb(cards_made, vault, tmp_path / "out", SUBJECTS[0])
    assert found.exit_code == 1
    assert "the file of subjects cannot be read" in found.stderr
    assert SUBJECTS[0] not in found.stdout + found.stderr
