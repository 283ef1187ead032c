"""The vault: the secrets of a curation, in a directory outside every corpus.

It holds the key of the pseudonyms, the mapping from source identifiers to pseudonyms (so that a
patient can be withdrawn), and every identifier the source showed (so that a release can be
searched for them). A lost vault never blocks reading a corpus.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import VaultError

KEY_BYTES = 32
_PSEUDONYM_HEX = 16


@dataclass(frozen=True, slots=True)
class Vault:
    """An open vault; `key` never leaves it."""

    path: Path
    key: bytes

    def pseudonym(self, kind: str, value: str) -> str:
        """Return the keyed pseudonym of an identifier: 16 hex digits of HMAC-SHA256.

        The kind is part of the message, so a subject and a slide of one name differ.
        """
        message = f"{kind}\x00{value}".encode()
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_PSEUDONYM_HEX]

    def order_key(self, text: str) -> bytes:
        """Return a keyed sort key, so that the order of rows says nothing about the source."""
        return hmac.new(self.key, b"order\x00" + text.encode(), hashlib.sha256).digest()[:16]


def open_vault(path: Path, *, outside: Path | None = None) -> Vault:
    """Open the vault at `path`, or make it (mode 0700, a new key of 32 random bytes).

    Raises: VaultError where it lies inside `outside`, cannot be written, or its key is damaged.
    """
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise VaultError(
            f"the vault {path} lies inside {outside}, which is meant to be shared; "
            "choose a directory outside it with --vault"
        )
    key_file = path / "key"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not key_file.exists():
            _write_private(key_file, secrets.token_hex(KEY_BYTES).encode())
        text = key_file.read_bytes()
    except OSError as error:
        raise VaultError(f"the vault {path} cannot be made or read: {error.strerror}") from error
    return Vault(path, _parse_key(text, key_file))


def read_vault(path: Path) -> Vault:
    """Open a vault that exists.

    Raises: VaultError where there is none.
    """
    if not (path / "key").is_file():
        raise VaultError(f"{path} is no vault: it has no file 'key'")
    return open_vault(path)


def default_vault(corpus: Path) -> Path:
    """Return where `curate` puts the vault of a corpus unless told otherwise: beside it."""
    return corpus.parent / f"{corpus.name}-vault"


def _parse_key(text: bytes, path: Path) -> bytes:
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise VaultError(f"{path} is damaged: expected {2 * KEY_BYTES} hex digits") from error
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} holds a key of {len(key)} bytes; expected {KEY_BYTES}")
    return key


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def record_identifiers(vault: Vault, found: Iterable[tuple[str, str]]) -> int:
    """Add (kind, identifier) pairs to what the vault knows; return how many it knows now.

    Kinds `subject`, `slide` and `site` are stored with their pseudonym.
    """
    known = dict.fromkeys(read_identifiers(vault))
    known.update(dict.fromkeys(found))
    lines = []
    for kind, value in known:
        entry = {"kind": kind, "value": value}
        if kind in ("subject", "slide", "site"):
            entry["pseudonym"] = vault.pseudonym(kind, value)
        lines.append(json.dumps(entry, ensure_ascii=False))
    try:
        _write_private(vault.path / "identifiers.jsonl", "\n".join(lines).encode() + b"\n")
    except OSError as error:
        raise VaultError(f"{vault.path} cannot be written: {error.strerror}") from error
    return len(known)


def read_identifiers(vault: Vault) -> Iterator[tuple[str, str]]:
    """Yield the (kind, identifier) pairs that the vault knows.

    Raises: VaultError where a line is damaged.
    """
    path = vault.path / "identifiers.jsonl"
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                yield entry["kind"], entry["value"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise VaultError(f"{path}, line {number}: not an identifier entry") from error
