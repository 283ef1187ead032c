"""The vault: the secrets of a curation, in a directory outside every corpus.

    key                the key of the pseudonyms; `rotate_vault` makes a new one
    retired/           keys of earlier releases, so that a patient can still be withdrawn from them
    identifiers.jsonl  every identifier the sources showed, with its pseudonym under the present key
    releases.jsonl     which release was made under which key
    withdrawn.jsonl    who was withdrawn from releases, by pseudonym and key
    decisions.jsonl    what a person decided about quarantined images
    own_labels.jsonl   the source's own names of labels, and the label that each became
    index/             what each curation knew of its cells, to add to the corpus later; rotating
                       the key makes those of before useless

A lost vault never blocks reading a corpus.
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
_ID_HEX = 8
_MOST_SHIFT_DAYS = 365


@dataclass(frozen=True, slots=True)
class Vault:
    """An open vault; `key` never leaves it."""

    path: Path
    key: bytes

    @property
    def key_id(self) -> str:
        """The public name of the key: 8 hex digits that tell nothing about it."""
        return self._code(b"key id")[:_ID_HEX]

    def pseudonym(self, kind: str, value: str) -> str:
        """Return the keyed pseudonym of an identifier: 16 hex digits of HMAC-SHA256.

        The kind is part of the message, so a subject and a slide of one name differ.
        """
        return self._code(f"{kind}\x00{value}".encode(errors="surrogatepass"))

    def short_id(self, name: str) -> str:
        """Return what an error or a log calls a source file: 8 hex digits of its pseudonym."""
        return self.pseudonym("file", name)[:_ID_HEX]

    def shift_days(self, subject: str) -> int:
        """Return by how many days the dates of a subject are moved: 1 to 365, either way."""
        number = int.from_bytes(self._digest(b"shift\x00" + subject.encode())[:8])
        days = number % _MOST_SHIFT_DAYS + 1
        return days if number >> 63 else -days

    def order_key(self, text: str) -> bytes:
        """Return a keyed sort key, so that the order of rows says nothing about the source."""
        return self._digest(b"order\x00" + text.encode())[:16]

    def _code(self, message: bytes) -> str:
        return self._digest(message).hex()[:_PSEUDONYM_HEX]

    def _digest(self, message: bytes) -> bytes:
        return hmac.new(self.key, message, hashlib.sha256).digest()


def open_vault(path: Path, *, outside: Path | None = None) -> Vault:
    """Open the vault at `path`, or make it (mode 0700, a new key of 32 random bytes).

    Raises: VaultError where it lies inside `outside` or a git work tree, where the directory holds
    other things, cannot be written, or its key is damaged.
    """
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise VaultError(
            f"the vault {path} lies inside {outside}, which is meant to be shared; "
            "choose a directory outside it with --vault"
        )
    if git_root(path) is not None:
        raise VaultError(
            f"the vault {path} lies inside a git work tree, from which keys and names are easily "
            "committed; choose a directory outside it with --vault"
        )
    key_file = path / "key"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not key_file.exists():
            _refuse_other_things(path)
            write_private(key_file, secrets.token_hex(KEY_BYTES).encode())
        # One that was copied or unpacked may have become readable for others.
        path.chmod(0o700)
        text = key_file.read_bytes()
    except OSError as error:
        raise VaultError(f"the vault {path} cannot be made or read: {error.strerror}") from error
    return Vault(path, _parse_key(text, key_file))


def read_vault(path: Path) -> Vault:
    """Open a vault that exists.

    Raises: VaultError where there is none.
    """
    key_file = path / "key"
    try:
        text = key_file.read_bytes()
    except OSError as error:
        raise VaultError(
            f"{path} is no vault: its file 'key' cannot be read ({error.strerror})"
        ) from error
    return Vault(path, _parse_key(text, key_file))


def rotate_vault(path: Path) -> tuple[Vault, Vault]:
    """Give a vault a new key; return it as it was and as it is. The old key is kept in `retired/`.

    What is curated from now on cannot be joined with what was released before.

    Raises: VaultError.
    """
    old = read_vault(path)
    try:
        retired = path / "retired"
        retired.mkdir(mode=0o700, exist_ok=True)
        write_private(retired / f"{old.key_id}.key", old.key.hex().encode())
        write_private(path / "key", secrets.token_hex(KEY_BYTES).encode())
    except OSError as error:
        raise VaultError(f"{path} cannot be written: {error.strerror}") from error
    new = read_vault(path)
    # The same identifiers, with their pseudonyms under the new key.
    record_identifiers(new, ())
    return old, new


def all_keys(path: Path) -> tuple[Vault, ...]:
    """Return the vault under its present key and under each retired one.

    Raises: VaultError.
    """
    retired = sorted((path / "retired").glob("*.key"))
    return (read_vault(path), *(Vault(path, _parse_key(f.read_bytes(), f)) for f in retired))


def default_vault(corpus: Path) -> Path:
    """Return where `curate` puts the vault of a corpus unless told otherwise.

    Beside it; or, where that lies inside a git work tree, below the user's state directory.
    """
    beside = corpus.parent / f"{corpus.name}-vault"
    if git_root(beside) is None:
        return beside
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    where = hashlib.sha256(os.fsencode(corpus.resolve())).hexdigest()[:_ID_HEX]
    return state / "smearkit" / "vaults" / f"{corpus.name}-{where}"


def git_root(path: Path) -> Path | None:
    """Return the git work tree that a path lies in, None where it lies in none."""
    here = path.resolve()
    return next((up for up in (here, *here.parents) if (up / ".git").exists()), None)


def _refuse_other_things(path: Path) -> None:
    found = next((entry for entry in path.iterdir() if not entry.name.startswith(".key")), None)
    if found is not None:
        raise VaultError(
            f"{path} holds other things and no file 'key', so it is no vault; "
            "choose an empty or a new directory with --vault"
        )


def _parse_key(text: bytes, path: Path) -> bytes:
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise VaultError(f"{path} is damaged: expected {2 * KEY_BYTES} hex digits") from error
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} holds a key of {len(key)} bytes; expected {KEY_BYTES}")
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
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
        write_private(vault.path / "identifiers.jsonl", "\n".join(lines).encode() + b"\n")
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
