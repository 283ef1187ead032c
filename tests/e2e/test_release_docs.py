"""The commands of docs/releasing.md and docs/using.md run as they stand, on a Hub on loopback."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from cards.release_record import read_record
from curation.cells import SCHEMA
from curation.deidentify.vault import read_vault
from curation.pixels import decode_rgb, encode_png, pixel_id
from smearkit import cli
from tests.cards.rewriting import rewritten
from tests.loopback_hub import TOKEN, LoopbackHub, use_hub
from tests.made import SUBJECTS, disc
from tests.made_cards import MadeCards, made_cards_in, write_report

DOCS = Path(__file__).resolve().parents[2] / "docs"
RELEASING = (DOCS / "releasing.md").read_text(encoding="utf-8")
USING = (DOCS / "using.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.e2e


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines() if line]
    return [shlex.split(line, comments=True) for line in lines]


def run(command: list[str]) -> str:
    assert command[0] == "smearkit"
    done = CliRunner().invoke(cli.app, command[1:])
    assert done.exit_code == 0, (command, done.stderr)
    return done.stdout


def two_more(tables: dict[str, pa.Table]) -> None:
    """Add two cells of a subject of the training split."""
    rows = tables["train"].slice(0, 2).to_pylist()
    for number, row in enumerate(rows):
        data = encode_png(np.asarray(disc("basophil", 77_000 + number)))
        row |= {"image": {"bytes": data, "path": None}, "image_id": pixel_id(decode_rgb(data))}
    more = pa.Table.from_pylist(rows, schema=SCHEMA)
    tables["train"] = pa.concat_tables([tables["train"], more])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder laid out as the pages say, with a Hub that the clients of this process talk to."""
    made = made_cards_in(tmp_path_factory.getbasetemp() / "made-cards")
    folder = tmp_path_factory.mktemp("work")
    _lay_out(folder, made)
    hub = LoopbackHub(tmp_path_factory.mktemp("hub"))
    with hub.running(), pytest.MonkeyPatch.context() as patch:
        use_hub(patch, hub, tmp_path_factory.mktemp("home"), TOKEN, xet=True)
        patch.chdir(folder)
        yield folder


def _lay_out(folder: Path, made: MadeCards) -> None:
    shutil.copytree(made.real.path, folder / "corpus")
    shutil.copytree(made.vault, folder / "corpus-vault")
    (folder / "corpus-vault" / "releases.jsonl").unlink(missing_ok=True)
    shutil.copytree(made.synthetic.path, folder / "synthetic")
    shutil.copytree(made.report, folder / "report")
    corpus = rewritten(made.real, folder / "corpus-2", two_more)
    _grown(corpus.path, made.real.fingerprint)
    write_report(folder / "report-2", corpus, made.synthetic)
    keys = read_vault(made.vault)
    here = set(made.real.rows(["subject"], ["test"])["subject"].to_pylist())
    name = next(name for name in SUBJECTS if keys.pseudonym("subject", name) in here)
    (folder / "patients.txt").write_text(f"{name}\n")
    (folder / "about.yaml").write_text(blocks(RELEASING, "yaml")[0])


def _grown(corpus: Path, earlier: str) -> None:
    """Let a corpus say that it was added to an earlier one, as `curate --add-to` does."""
    file = corpus / "manifest.json"
    found = json.loads(file.read_text())
    found["parents"] = {"added_to": earlier}
    file.write_text(json.dumps(found))


@pytest.fixture(scope="module")
def released(work: Path) -> Path:
    """Everything that docs/releasing.md says was done."""
    found = commands(RELEASING)
    assert len(found) == 12, "every command of the page"
    for command in found:
        run(command)
    return work


def test_releasing(released: Path) -> None:
    versions = [path.name for path in sorted(released.glob("release-*"))]
    assert versions == ["release-1.0.0", "release-1.1.0", "release-2.0.0"]
    record = read_record(released / "release-2.0.0" / "real")
    assert [entry.version for entry in record.versions] == ["2.0.0", "1.1.0", "1.0.0"]
    assert record.about.contact == "cells@example.org"
    assert (released / "corpus-3" / "manifest.json").is_file()


def test_every_gate_is_explained() -> None:
    from cards.gates import GATE_NAMES

    table = RELEASING.split("| gate |")[1].split("\n\n")[0]
    told = {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line[:90])}
    assert set(GATE_NAMES) <= told


def test_using(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import snapshot_download

    shutil.copytree(
        snapshot_download("lab/discs", repo_type="dataset", revision="1.0.0"), released / "discs"
    )
    for command in commands(USING):
        run(command)
    printed = []
    for block in blocks(USING, "python"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block, "docs/using.md", "exec"), {})
        printed.append(out.getvalue().splitlines())
    assert printed[0][0] == "{'train': 12, 'validation': 6, 'test': 6}"
    assert printed[1] == ["14"]
    assert printed[2] == ["(24, 24)"]
    assert printed[3][0].startswith("(8, 3, 64, 64)")
    assert printed[4] == ["6", "3", "[('real', 24)]"]
    assert printed[5] == ["3"]
