from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from curation.deidentify.vault import default_vault, open_vault, read_vault, record_identifiers
from smearkit import cli
from tests.made import RECORD_NUMBERS, SUBJECTS, Made, write_export

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_the_built_in_policy_can_be_copied(tmp_path: Path) -> None:
    shown = run("policy", "show")
    assert shown.exit_code == 0
    (tmp_path / "mine.yaml").write_text(shown.stdout)
    assert run("policy", "show", tmp_path / "mine.yaml").stdout == shown.stdout
    (tmp_path / "mine.yaml").write_text("policy: 1\n")
    found = run("policy", "show", tmp_path / "mine.yaml")
    assert found.exit_code == 1
    assert "at name: Field required" in found.stderr


def test_policy_check_lists_every_column_and_shows_no_value(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 3)
    found = run("policy", "check", "default", export)
    assert found.exit_code == 0
    assert [line.split()[:3] for line in found.stdout.splitlines()[2:]] == [
        ["subject", "pseudonymise", "subject"], ["slide", "pseudonymise", "slide"],
        ["mrn", "drop", "–"],
    ]  # fmt: skip
    assert not any(name in found.output for name in (*SUBJECTS, *RECORD_NUMBERS))
    assert not default_vault(tmp_path / "export").exists()


def test_policy_check_refuses_as_curate_would(tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 3)
    table = export / "metadata.csv"
    lines = table.read_text().splitlines()
    more = [f"{line},{'oddity' if n == 0 else 'Quill'}" for n, line in enumerate(lines)]
    table.write_text("\n".join(more))
    found = run("policy", "check", "default", export, "--json")
    assert found.exit_code == 1
    columns = {entry["column"]: entry for entry in json.loads(found.stdout)["columns"]}
    assert columns["oddity"]["refused"]
    assert not columns["mrn"]["refused"]
    assert "would refuse this source because of oddity" in found.stderr
    assert "Quill" not in found.output
    refused = run("curate", export, "--out", tmp_path / "c")
    assert refused.exit_code == 1
    assert "names 'oddity'" in refused.stderr
    passed = run("curate", export, "--out", tmp_path / "c", "--drop-column", "oddity")
    assert passed.exit_code == 0


def test_an_audit_of_what_is_clean_and_what_is_not(made: Made, tmp_path: Path) -> None:
    vault = default_vault(made.real.path)
    clean = run("audit", made.real.path, "--against", vault)
    assert clean.exit_code == 0, clean.output
    assert "clean: " in clean.stdout
    folder = shutil.copytree(made.real.path, tmp_path / "corpus")
    (folder / "reports" / "notes.txt").write_text(f"seen: {SUBJECTS[1]}")
    found = run("audit", folder, "--against", vault)
    assert found.exit_code == 1
    assert "NOT CLEAN" in found.stdout
    assert "reports/notes.txt" in found.stdout
    assert SUBJECTS[1] not in found.output
    result = json.loads(run("audit", folder, "--against", vault, "--json").stdout)
    assert not result["clean"]
    assert {hit["file"] for hit in result["hits"]} == {"reports/notes.txt"}
    assert run("audit", tmp_path / "absent", "--against", vault).exit_code == 1
    assert "is no vault" in run("audit", folder, "--against", tmp_path).stderr


def test_a_vault_is_shown_and_rotated(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    record_identifiers(vault, [("subject", "Jane Roe"), ("subject", "John Roe"), ("file", "x")])
    shown = json.loads(run("vault", "show", vault.path, "--json").stdout)
    assert shown["identifiers"] == {"subject": 2, "file": 1}
    assert (shown["key_id"], shown["retired"]) == (vault.key_id, [])
    turned = json.loads(run("vault", "rotate", vault.path, "--json").stdout)
    assert turned["retired"] == vault.key_id
    assert turned["key_id"] == read_vault(vault.path).key_id != vault.key_id
    text = run("vault", "show", vault.path).output
    assert "retired: 1" in text
    assert "Roe" not in text
    assert vault.key.hex() not in text
    assert run("vault", "rotate", tmp_path).exit_code == 1


def test_two_releases_under_two_keys_cannot_be_joined(tmp_path: Path) -> None:
    export, vault = write_export(tmp_path / "export", 4), tmp_path / "vault"
    subjects = []
    for name in ("a", "b"):
        found = run("curate", export, "--out", tmp_path / name, "--vault", vault)
        assert found.exit_code == 0
        from curation.corpus import load_corpus

        rows = load_corpus(tmp_path / name).rows(["subject", "slide"]).to_pylist()
        subjects.append({value for row in rows for value in row.values()})
        run("vault", "rotate", vault)
    assert len(subjects[0]) == len(subjects[1]) > 4
    assert not subjects[0] & subjects[1]


def test_names_show_only_when_asked(tmp_path: Path, cell: Cell, encoded: Encoded) -> None:
    root = tmp_path / "export" / "basophil"
    root.mkdir(parents=True)
    (root / "cell.jpg").write_bytes(encoded(cell(1)))
    outside = tmp_path / "Quill_Adalbert.jpg"
    outside.write_bytes(encoded(cell(2)))
    (root / "Quill_Adalbert.jpg").symlink_to(outside)
    found = run("curate", root.parent, "--out", tmp_path / "c")
    assert found.exit_code == 1
    assert "is a link that leads out" in found.stderr
    assert "Quill" not in found.output
    told = run("curate", root.parent, "--out", tmp_path / "c", "--verbose-private")
    assert "Quill_Adalbert.jpg of the source is a link" in told.stderr


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (["--redact", "--no-text"], "needs the search"),
        (["--small-groups", "hide"], "small_groups"),
    ],
)
def test_wrong_usage(flags: list[str], match: str, tmp_path: Path) -> None:
    export = write_export(tmp_path / "export", 3)
    found = run("curate", export, "--out", tmp_path / "c", *flags)
    assert found.exit_code == 2
    assert match in found.stderr
    assert not (tmp_path / "c").exists()
