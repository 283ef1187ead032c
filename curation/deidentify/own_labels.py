"""A source's own names of labels: published where everybody knows them, else in the vault only.

A folder or a column may call its classes after a hospital, a ward or the person who labelled them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from ..errors import VaultError
from ..vocabulary import canonical_label
from .vault import Vault, write_private

OWN_LABELS_NAME = "own_labels.jsonl"


def public_labels(pairs: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Return name as found -> label, of the names that the vocabulary knows, in their order."""
    return {
        found: label
        for found, label in dict.fromkeys(pairs)
        if label is not None and canonical_label(found) is not None
    }


def own_names(labels: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield ("label", name) for the names that the vocabulary does not know."""
    return (("label", name) for name in labels if canonical_label(name) is None)


def write_own_labels(vault: Vault, labels: Mapping[str, str | None]) -> None:
    """List in the vault what became of each such name: its label, or null where it was left out.

    Raises: VaultError where it cannot be written.
    """
    lines = [
        json.dumps({"found": name, "label": labels[name]}, ensure_ascii=False) + "\n"
        for _, name in own_names(labels)
    ]
    try:
        write_private(vault.path / OWN_LABELS_NAME, "".join(lines).encode(errors="surrogatepass"))
    except OSError as error:
        raise VaultError(f"{vault.path} cannot be written: {error.strerror}") from error
