from __future__ import annotations

import stat
from pathlib import Path

import pytest

from curation.deidentify.vault import (
    Vault,
    default_vault,
    open_vault,
    read_identifiers,
    read_vault,
    record_identifiers,
)
from curation.errors import VaultError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_vault_is_private(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    record_identifiers(vault, [("subject", "Jane")])
    assert mode(vault.path) == 0o700
    assert [mode(path) for path in sorted(vault.path.iterdir())] == [0o600, 0o600]
    assert len(vault.key) == 32
    assert open_vault(tmp_path / "v").key == vault.key == read_vault(tmp_path / "v").key
    assert open_vault(tmp_path / "w").key != vault.key


def test_a_vault_inside_the_corpus_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    for place in (out / "vault", out, out / "a" / ".." / "b"):
        with pytest.raises(VaultError, match="lies inside"):
            open_vault(place, outside=out)
    assert not out.exists()
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(VaultError, match="lies inside"):
        open_vault(tmp_path / "link" / "v", outside=out)
    assert open_vault(default_vault(out), outside=out).path == tmp_path / "corpus-vault"


@pytest.mark.parametrize(
    ("key", "match"),
    [
        (b"not hex", "damaged: expected 64 hex digits"),
        (b"\xff\xfe\x00", "damaged: expected 64 hex digits"),
        (b"", "a key of 0 bytes; expected 32"),
        (b"ab" * 16, "a key of 16 bytes; expected 32"),
    ],
)
def test_a_damaged_key_is_refused(key: bytes, match: str, tmp_path: Path) -> None:
    open_vault(tmp_path / "v")
    (tmp_path / "v" / "key").write_bytes(key)
    with pytest.raises(VaultError, match=match):
        open_vault(tmp_path / "v")


def test_places_that_are_no_vault(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault: its file 'key' cannot be read"):
        read_vault(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(VaultError, match="cannot be made or read"):
        open_vault(tmp_path / "file")


def test_pseudonyms_are_keyed_stable_and_kept_apart() -> None:
    one, other = Vault(Path("v"), bytes(32)), Vault(Path("v"), bytes([1] * 32))
    # Frozen: a withdrawal years later must find the same pseudonym.
    assert one.pseudonym("subject", "17") == "b620a73f70c065f0"
    assert one.pseudonym("slide", "17") != one.pseudonym("subject", "17")
    assert other.pseudonym("subject", "17") != one.pseudonym("subject", "17")
    assert one.order_key("a") != other.order_key("a")
    assert len(one.order_key("a")) == 16


def test_identifiers_add_up(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "v")
    assert list(read_identifiers(vault)) == []
    first = [("subject", "Jane Röe"), ("value", 'a "quoted"\nline\u2028end')]
    assert record_identifiers(vault, first) == 2
    assert record_identifiers(vault, [("subject", "Jane Röe"), ("file", "x")]) == 3
    assert list(read_identifiers(vault)) == [*first, ("file", "x")]
    text = (vault.path / "identifiers.jsonl").read_text()
    assert vault.pseudonym("subject", "Jane Röe") in text
    (vault.path / "identifiers.jsonl").write_text('{"kind": "file", "value": "x"}\nbroken\n')
    with pytest.raises(VaultError, match="line 2: not an identifier entry"):
        list(read_identifiers(vault))
