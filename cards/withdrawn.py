"""Who was withdrawn, as the vault remembers it, so that no later version brings them back.

The file `withdrawn.jsonl` of the vault holds pseudonyms with the key that made them, no names.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from curation.deidentify.vault import Vault, all_keys, read_identifiers, write_private
from curation.errors import VaultError
from curation.frozen import Frozen

from .candidate import Candidate, key_of
from .gate import Gate

_FILE = "withdrawn.jsonl"
NAME = "withdrawn"


class WithdrawnSubject(Frozen):
    """One subject that was withdrawn, by the pseudonym under a key of the vault."""

    key_id: str
    pseudonym: str


def withdrawn_subjects(vault: Vault) -> list[WithdrawnSubject]:
    """Return who was withdrawn under any key of a vault.

    Raises: VaultError where a line is damaged.
    """
    path = vault.path / _FILE
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(WithdrawnSubject.model_validate_json(line))
        except ValidationError as error:
            raise VaultError(f"{path}, line {number}: no entry of a withdrawal") from error
    return found


def record_withdrawn(keys: Vault, pseudonyms: Iterable[str]) -> None:
    """Note in the vault who was withdrawn, by pseudonyms under this key.

    Raises: VaultError where it cannot be written.
    """
    more = [WithdrawnSubject(key_id=keys.key_id, pseudonym=one) for one in sorted(pseudonyms)]
    known = dict.fromkeys([*withdrawn_subjects(keys), *more])
    text = "".join(entry.model_dump_json() + "\n" for entry in known)
    try:
        write_private(keys.path / _FILE, text.encode())
    except OSError as error:
        raise VaultError(f"{keys.path} cannot be written: {error.strerror}") from error


def withdrawn_pseudonyms(keys: Vault) -> frozenset[str]:
    """Return the pseudonyms, under this key, of everyone who was withdrawn under any key."""
    entries = withdrawn_subjects(keys)
    own = {entry.pseudonym for entry in entries if entry.key_id == keys.key_id}
    others = {(e.key_id, e.pseudonym) for e in entries if e.key_id != keys.key_id}
    if others:
        # Another key's pseudonym says nothing here; the name that it was made of does.
        earlier = [key for key in all_keys(keys.path) if key.key_id != keys.key_id]
        for kind, value in read_identifiers(keys):
            if kind == "subject" and any(
                (key.key_id, key.pseudonym(kind, value)) in others for key in earlier
            ):
                own.add(keys.pseudonym(kind, value))
    return frozenset(own)


def withdrawn(candidate: Candidate) -> Gate:
    """No cell is here of a subject who was withdrawn."""
    keys = key_of(candidate)
    if keys is None:
        detail = "without its vault nobody can tell who was withdrawn"
        return Gate(name=NAME, state="warned", detail=detail)
    gone = withdrawn_pseudonyms(keys)
    if not gone:
        return Gate(name=NAME, state="passed", detail="nobody was withdrawn")
    rows = candidate.real.rows(["subject"])["subject"]
    count = pc.sum(pc.is_in(rows, value_set=pa.array(sorted(gone)))).as_py() or 0
    if count:
        detail = (
            f"{count} cells are of subjects who were withdrawn. Curate without them, or release "
            "what `smearkit withdraw` made"
        )
        return Gate(name=NAME, state="failed", detail=detail)
    return Gate(name=NAME, state="passed", detail=f"no cell of {len(gone)} withdrawn subject(s)")
