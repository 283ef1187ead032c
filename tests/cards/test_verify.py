"""`verify`: each way in which a release can stop being what it was, planted and seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from typer.testing import CliRunner

from cards.checksums import write_checksums
from cards.verify import Verification, verify
from curation.cells import SCHEMA
from curation.corpus import load_corpus, verify_corpus
from curation.errors import CorpusError, ReleaseRefusedError
from curation.vocabulary import LABEL_IDS
from smearkit import cli
from tests.cards.rewriting import rewritten
from tests.cards.test_diff import set_value
from tests.made_cards import MadeCards, release_again

CHECKS = ["files", "rows", "splits", "marks", "gates", "card", "croissant"]


@pytest.fixture
def copy(cards_made: MadeCards, tmp_path: Path) -> Path:
    return shutil.copytree(cards_made.release.path, tmp_path / "release")


def failed(found: Verification) -> dict[str, str]:
    return {
        f"{check.dataset} {check.name}": check.detail
        for check in found.checks
        if check.state == "failed"
    }


def test_what_was_released_is_whole(cards_made: MadeCards) -> None:
    found = verify(cards_made.release.path)
    assert failed(found) == {}
    assert found.whole
    assert [check.name for check in found.checks] == ["version", *CHECKS] * 2
    assert found.version == "1.0.0"
    one = verify(cards_made.release.synthetic)
    assert [check.name for check in one.checks] == CHECKS


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "schema.json",
        "reports/measurements.json",
        "figures/class_balance.png",
    ],
)
def test_a_file_edited_by_hand_is_named(copy: Path, name: str) -> None:
    file = copy / "real" / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    found = failed(verify(copy))
    assert found == {
        "real files": f"real/{name} was changed after the release was made; make it again"
    }


def test_files_that_came_or_went(copy: Path) -> None:
    (copy / "real" / "data" / "train-more.parquet").write_bytes(b"x")
    (copy / "synthetic" / "CHANGELOG.md").unlink()
    found = failed(verify(copy))
    assert "real/data/train-more.parquet is not in checksums.txt" in found["real files"]
    assert "synthetic/CHANGELOG.md is missing" in found["synthetic files"]


def test_what_the_hub_adds_is_no_fault(copy: Path) -> None:
    (copy / "real" / ".gitattributes").write_text("*.parquet filter=lfs\n")
    assert verify(copy / "real").whole


def edit_rows(folder: Path, split: str, **values: Any) -> None:
    shard = next((folder / "data").glob(f"{split}-*"))
    table = set_value(pq.read_table(shard, partitioning=None), 0, **values)
    pq.write_table(table.replace_schema_metadata(SCHEMA.metadata), shard)


def text_edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


def not_a_picture(folder: Path) -> None:
    edit_rows(folder, "train", image={"bytes": b"\xff\xd8 none", "path": None})


def relabel(folder: Path) -> None:
    edit_rows(folder, "train", label=LABEL_IDS["platelet"])


@pytest.mark.parametrize(
    ("plant", "check", "said"),
    [
        (text_edit("README.md", "24 single", "25 single"), "card", "line "),
        (text_edit("README.md", "## Motivation\n", "## Motivation\n\nTODO\n"), "card", "TODO"),
        (relabel, "rows", "train-00000-of-00001.parquet does not hold the rows"),
        (not_a_picture, "rows", "an image cannot be decoded"),
        (text_edit("croissant.json", '"sha256": "', '"sha256": "0'), "croissant", "other shards"),
        (text_edit("reports/release.json", '"passed"', '"failed"'), "gates", "in spite of whole"),
        (text_edit("reports/corpus.json", '"fingerprint": "', '"fingerprint": "0'), "rows",
         "the fingerprint is not that of the rows"),
    ],
)  # fmt: skip
def test_checksums_that_were_made_again_hide_nothing(
    copy: Path, plant: Callable[[Path], None], check: str, said: str
) -> None:
    plant(copy / "real")
    write_checksums(copy / "real")
    found = failed(verify(copy))
    assert said in found[f"real {check}"]


def test_rows_that_break_the_rules(cards_made: MadeCards, tmp_path: Path) -> None:
    def share(tables: dict[str, pa.Table]) -> None:
        subject = tables["train"]["subject"][0].as_py()
        tables["test"] = set_value(tables["test"], 0, subject=subject)

    real = rewritten(cards_made.real, tmp_path / "new", share)
    done = release_again(
        cards_made, tmp_path / "out", "2.0.0", real=real, overrides=["splits_disjoint"]
    )
    found = verify(done.path)
    assert "1 subject(s) stand in several splits" in failed(found)["real splits"]
    assert [c.detail for c in found.checks if c.state == "warned"] == [
        "splits_disjoint overridden by the maintainer; the card says why"
    ] * 2


def test_an_unmarked_synthetic_image(copy: Path) -> None:
    shard = next((copy / "synthetic" / "data").glob("*"))
    rows = pq.read_table(shard, partitioning=None).to_pylist()
    from synth.provenance_files import split_xmp

    rows[3]["image"]["bytes"] = split_xmp(rows[3]["image"]["bytes"])[0]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), shard)
    write_checksums(copy / "synthetic")
    assert "does not say in its own metadata" in failed(verify(copy))["synthetic marks"]


def test_an_older_vocabulary_is_still_verified(cards_made: MadeCards, tmp_path: Path) -> None:
    from curation.corpus import corpus_fingerprint

    copy = shutil.copytree(cards_made.real.path, tmp_path / "corpus")
    found = json.loads((copy / "manifest.json").read_text())
    shards = cards_made.real.manifest.shards
    found |= {"vocabulary_version": 1, "fingerprint": corpus_fingerprint("real", shards, 1)}
    (copy / "manifest.json").write_text(json.dumps(found))
    verify_corpus(load_corpus(copy))
    found["vocabulary_version"] = 2
    (copy / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(CorpusError, match="fingerprint does not fit"):
        verify_corpus(load_corpus(copy))


# By name, on the Hub


def test_offline_once_downloaded(
    cards_made: MadeCards, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def fetch(repository: str, **options: Any) -> str:
        asked.append((repository, options["revision"], options["local_files_only"]))
        if not options["local_files_only"]:
            raise LocalEntryNotFoundError("no network")
        return str(cards_made.release.real)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.chdir(tmp_path)
    found = verify("lab/discs@1.0.0")
    assert found.whole
    assert asked == [("lab/discs", "1.0.0", False), ("lab/discs", "1.0.0", True)]
    wrong = failed(verify("lab/discs@1.1.0"))
    assert wrong == {"lab/discs version": "it says that it is version 1.0.0, not 1.1.0"}


def test_what_was_never_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(repository: str, **options: Any) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReleaseRefusedError, match="cannot be reached and was not downloaded"):
        verify("lab/discs@1.0.0")


@pytest.mark.parametrize("target", ["nothing-here", "lab/discs", "discs@1.0.0", "a/b@1@2"])
def test_what_is_no_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReleaseRefusedError):
        verify(target)
    with pytest.raises(ReleaseRefusedError, match="is no release and no dataset of one"):
        verify(tmp_path)


def test_the_verb(copy: Path) -> None:
    good = CliRunner().invoke(cli.app, ["verify", str(copy)])
    assert good.exit_code == 0
    assert good.stdout.startswith(f"{copy}  version 1.0.0\n")
    with (copy / "synthetic" / "README.md").open("a") as file:
        file.write("more\n")
    bad = CliRunner().invoke(cli.app, ["verify", str(copy), "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["whole"] is False
    assert "synthetic/README.md was changed" in bad.stderr
