from __future__ import annotations

import stat
from pathlib import Path

import pytest

from curation.deidentify.released import MadeRelease, made_releases, record_release
from curation.deidentify.vault import (
    all_keys,
    default_vault,
    git_root,
    open_vault,
    read_identifiers,
    read_vault,
    record_identifiers,
    rotate_vault,
)
from curation.errors import VaultError


def test_a_vault_in_a_git_work_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree" / ".git").mkdir(parents=True)
    with pytest.raises(VaultError, match="inside a git work tree"):
        open_vault(tmp_path / "tree" / "deep" / "vault")
    assert not (tmp_path / "tree" / "deep").exists()
    # In a linked work tree `.git` is a file.
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".git").write_text("gitdir: elsewhere")
    assert git_root(tmp_path / "linked" / "a") == (tmp_path / "linked").resolve()


def test_the_usual_place_lies_outside_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_vault(tmp_path / "out" / "c") == tmp_path / "out" / "c-vault"
    (tmp_path / "out" / ".git").mkdir(parents=True)
    place = default_vault(tmp_path / "out" / "c")
    assert place.parent == tmp_path / "state" / "smearkit" / "vaults"
    assert default_vault(tmp_path / "out" / "x" / ".." / "c") == place
    assert default_vault(tmp_path / "out" / "x" / "c") != place
    assert stat.S_IMODE(open_vault(place).path.stat().st_mode) == 0o700


def test_a_vault_that_became_readable_is_closed_again(tmp_path: Path) -> None:
    path = open_vault(tmp_path / "v").path
    path.chmod(0o755)
    open_vault(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_of_other_things_is_no_vault(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    before = stat.S_IMODE(tmp_path.stat().st_mode)
    with pytest.raises(VaultError, match="holds other things"):
        open_vault(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == before
    assert not (tmp_path / "key").exists()


def test_rotation_keeps_what_is_needed_to_withdraw(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    record_identifiers(vault, [("subject", "Jane Roe"), ("file", "x")])
    old, new = rotate_vault(vault.path)
    assert old.key == vault.key
    assert new.key == read_vault(vault.path).key != old.key
    assert new.key_id != old.key_id
    assert new.pseudonym("subject", "Jane Roe") != old.pseudonym("subject", "Jane Roe")
    assert [keys.key for keys in all_keys(vault.path)] == [new.key, old.key]
    assert list(read_identifiers(new)) == [("subject", "Jane Roe"), ("file", "x")]
    text = (vault.path / "identifiers.jsonl").read_text()
    assert new.pseudonym("subject", "Jane Roe") in text
    for path in [*vault.path.rglob("*.key"), vault.path / "key"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {keys.key_id for keys in all_keys(rotate_vault(vault.path)[1].path)} >= {
        old.key_id, new.key_id
    }  # fmt: skip


def test_a_retired_key_that_is_damaged_is_named(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    old, _ = rotate_vault(vault.path)
    (vault.path / "retired" / f"{old.key_id}.key").write_text("ab")
    with pytest.raises(VaultError, match=f"{old.key_id}.key holds a key of 1 bytes"):
        all_keys(vault.path)


def test_releases_are_remembered(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    assert list(made_releases(vault)) == []
    first = MadeRelease(key_id="a", name="Cells", version="1.0.0", real="f")
    second = MadeRelease(key_id="a", name="Cells", version="1.1.0", real="g")
    for made in (first, second, first):
        record_release(vault, made)
    assert list(made_releases(vault)) == [first, second]
    (vault.path / "releases.jsonl").write_text("{}\n")
    with pytest.raises(VaultError, match="line 1: not the entry of a release"):
        list(made_releases(vault))
