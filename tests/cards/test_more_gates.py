"""Mixed vocabularies, copies that were not searched for, who was withdrawn: planted and seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cards.release import release
from cards.withdrawn import record_withdrawn, withdrawn_pseudonyms
from curation.corpus import Corpus
from curation.deidentify.vault import read_vault, rotate_vault
from curation.errors import ReleaseRefusedError, VaultError
from tests.cards.rewriting import rewritten
from tests.cards.test_diff import added, nothing
from tests.made import SUBJECTS
from tests.made_cards import GENERATOR, MadeCards, release_again, write_report


def refused(made: MadeCards, out: Path, **changes: Any) -> str:
    with pytest.raises(ReleaseRefusedError) as found:
        release_again(made, out, "1.0.1", **changes)
    return str(found.value)


def test_mixed_vocabularies(cards_made: MadeCards, tmp_path: Path) -> None:
    old = cards_made.synthetic
    older = Corpus(old.path, old.manifest.model_copy(update={"vocabulary_version": 1}))
    said = refused(cards_made, tmp_path / "out", synthetic=older, overrides=["whole"])
    assert "  one_vocabulary: the vocabularies are mixed (real 2, synthetic 1)" in said


def test_labels_of_another_order(cards_made: MadeCards, tmp_path: Path) -> None:
    corpus = rewritten(cards_made.real, tmp_path / "new", nothing)
    shard = next((corpus.path / "data").glob("test-*"))
    table = pq.read_table(shard, partitioning=None)
    info = json.loads(table.schema.metadata[b"huggingface"])
    names = info["info"]["features"]["label"]["names"]
    names[0], names[1] = names[1], names[0]
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), shard)
    said = refused(cards_made, tmp_path / "out", real=corpus, overrides=["whole"])
    assert "calls label 0 'neutrophil_band', and the vocabulary 'neutrophil_segmented'" in said


def test_a_report_of_another_corpus(cards_made: MadeCards, tmp_path: Path) -> None:
    report = write_report(tmp_path / "report", cards_made.real, cards_made.synthetic)
    file = report / "measurements.json"
    file.write_text(file.read_text().replace(cards_made.real.fingerprint, "ab" * 16))
    said = refused(cards_made, tmp_path / "out", report=report)
    assert f"  report_fits: the report measured real corpus {'ab' * 16}" in said


def test_copies_of_cells_that_are_not_here(cards_made: MadeCards, tmp_path: Path) -> None:
    report = write_report(
        tmp_path / "report", cards_made.real, cards_made.synthetic, training_corpus="cd" * 16
    )
    done = release_again(cards_made, tmp_path / "out", "1.0.1", report=report)
    gate = next(gate for gate in done.info.gates if gate.name == "no_copies")
    assert gate.state == "warned"
    assert f"the generator learned from corpus {'cd' * 16}, whose cells are not here" in gate.detail


def test_a_withdrawn_subject_comes_not_back(cards_made: MadeCards, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release_again(cards_made, out, "1.0.1")
    keys = read_vault(tmp_path / "out-vault")
    record_withdrawn(keys, [keys.pseudonym("subject", SUBJECTS[1])])
    with pytest.raises(ReleaseRefusedError) as found:
        release(cards_made.real, cards_made.synthetic, cards_made.report, "1.0.2",
                tmp_path / "more", name="Drawn discs", vault=keys.path)  # fmt: skip
    assert "  withdrawn: 6 cells are of subjects who were withdrawn" in str(found.value)
    assert SUBJECTS[1] not in str(found.value)


def test_a_new_key_does_not_forget_who_was_withdrawn(cards_made: MadeCards, tmp_path: Path) -> None:
    release_again(cards_made, tmp_path / "out", "1.0.1")
    keys = read_vault(tmp_path / "out-vault")
    assert withdrawn_pseudonyms(keys) == frozenset()
    record_withdrawn(keys, [keys.pseudonym("subject", SUBJECTS[1])])
    _, new = rotate_vault(keys.path)
    assert withdrawn_pseudonyms(new) == {new.pseudonym("subject", SUBJECTS[1])}
    assert SUBJECTS[1] not in (keys.path / "withdrawn.jsonl").read_text()
    (keys.path / "withdrawn.jsonl").write_text("{}\n")
    with pytest.raises(VaultError, match="line 1: no entry of a withdrawal"):
        withdrawn_pseudonyms(new)


def test_a_grown_corpus_holds_the_training_cells_of_the_one_before(
    cards_made: MadeCards, tmp_path: Path
) -> None:
    from synth.packaged.held_out import may_measure

    grown = rewritten(cards_made.real, tmp_path / "grown", added)
    old = cards_made.real.fingerprint
    assert not may_measure(GENERATOR, old, grown), "it does not say that it was added to"
    parents = {"added_to": old}
    said = Corpus(grown.path, grown.manifest.model_copy(update={"parents": parents}))
    assert may_measure(GENERATOR, old, said)
    assert not may_measure(GENERATOR, None, grown)
    for corpus, state in ((grown, "warned"), (said, "passed")):
        out = tmp_path / state
        done = release_again(cards_made, out, "1.1.0", real=corpus)
        gates = {gate.name: gate.state for gate in done.info.gates}
        assert (gates["no_copies"], gates["version"]) == (state, "passed")
