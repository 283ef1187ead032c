"""Which release was made under which key of a vault."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from ..errors import VaultError
from ..manifest import Frozen
from .vault import Vault, write_private

_FILE = "releases.jsonl"


class MadeRelease(Frozen):
    """One release that was made; two under one key can be joined by their pseudonyms."""

    key_id: str
    name: str
    version: str
    real: str


def made_releases(vault: Vault) -> Iterator[MadeRelease]:
    """Yield the releases that the vault knows of.

    Raises: VaultError where a line is damaged.
    """
    path = vault.path / _FILE
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield MadeRelease.model_validate_json(line)
        except ValidationError as error:
            raise VaultError(f"{path}, line {number}: not the entry of a release") from error


def record_release(vault: Vault, made: MadeRelease) -> None:
    """Add a release to what the vault knows.

    Raises: VaultError where it cannot be written.
    """
    known = dict.fromkeys([*made_releases(vault), made])
    text = "".join(entry.model_dump_json() + "\n" for entry in known)
    try:
        write_private(vault.path / _FILE, text.encode())
    except OSError as error:
        raise VaultError(f"{vault.path} cannot be written: {error.strerror}") from error
