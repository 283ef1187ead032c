"""Searching what is about to be published for every identifier that the vault saw in the source."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import ahocorasick_rs
import pyarrow as pa
import pyarrow.parquet as pq

from ..vocabulary import fold, known_names
from .vault import Vault, read_identifiers

MIN_TEXT, MIN_BINARY = 5, 6
"""Shortest identifier searched for, in characters: shorter ones occur by chance.

In text a hit must also stand between characters that are no letters or digits, so that a number
is not found inside a checksum.
"""
_TEXT_SUFFIXES = (".json", ".jsonl", ".md", ".html", ".txt", ".csv", ".yaml", ".yml", ".svg")
_BLOCK = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Hit:
    """An identifier was found; its value is not repeated here, only its keyed short id."""

    file: str
    kind: str
    short_id: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan did: identifiers searched for, left out as too short or harmless, files read."""

    searched: int
    left_out: int
    files: int
    hits: tuple[Hit, ...]


def scan_for_leaks(folder: Path, vault: Vault) -> Scan:
    """Search every file below a folder, Parquet columns also decoded, for the vault's identifiers.

    Case is ignored; UTF-8 and UTF-16 are searched, also as JSON, HTML and addresses escape them.
    Not yet looked into: compressed data inside images and archives.
    """
    identifiers, left_out = _searchable(read_identifiers(vault))
    if not identifiers:
        return Scan(0, left_out, 0, ())
    search = _Search(identifiers)
    hits: dict[Hit, None] = {}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        name = str(path.relative_to(folder))
        found = set(search.text(name.encode()))
        for kind, value in [*found, *_in_file(search, path)]:
            hits[Hit(name, kind, vault.pseudonym(kind, value)[:8])] = None
    return Scan(len(identifiers), left_out, len(files), tuple(hits))


def _searchable(found: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """Return the identifiers worth searching for, and how many are not.

    A folder or a column may hold label names; those are meant to be published.
    """
    everything = list(dict.fromkeys(found))
    kept = [
        (kind, value)
        for kind, value in everything
        if len(value) >= MIN_TEXT and fold(value) not in known_names()
    ]
    return kept, len(everything) - len(kept)


class _Search:
    def __init__(self, identifiers: list[tuple[str, str]]) -> None:
        patterns: list[bytes] = []
        self._owners: list[tuple[str, str]] = []
        for kind, value in identifiers:
            for pattern in _patterns(value):
                patterns.append(pattern)
                self._owners.append((kind, value))
        self._patterns = patterns
        self._automaton = ahocorasick_rs.BytesAhoCorasick(patterns)
        self.overlap = max(len(pattern) for pattern in patterns)

    def text(self, data: bytes) -> Iterator[tuple[str, str]]:
        """Yield identifiers that stand as words of their own."""
        lower = data.lower()
        for index, start, end in self._matches(lower):
            around = lower[max(start - 1, 0) : start] + lower[end : end + 1]
            if not re.search(rb"[a-z0-9]", around):
                yield self._owners[index]

    def binary(self, data: bytes) -> Iterator[tuple[str, str]]:
        """Yield identifiers anywhere in the bytes, the short ones left out."""
        for index, _, _ in self._matches(data.lower()):
            if len(self._owners[index][1]) >= MIN_BINARY:
                yield self._owners[index]

    def _matches(self, data: bytes) -> list[tuple[int, int, int]]:
        found = self._automaton.find_matches_as_indexes(data, overlapping=True)
        return [(int(index), int(start), int(end)) for index, start, end in found]


def _patterns(value: str) -> list[bytes]:
    """Return the bytes that an identifier may stand as, with ASCII letters in lower case.

    Only ASCII is folded in the searched bytes, so other letters are looked for in each case; an
    accent may stand composed or apart, and JSON, HTML and addresses escape some characters.
    """
    cases = {value, value.lower(), value.upper(), value.title(), value.casefold()}
    texts = {unicodedata.normalize(form, text) for text in cases for form in ("NFC", "NFD")}
    for text in sorted(texts):
        texts |= {
            json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1],
            html.escape(text), quote(text, errors="surrogatepass"),
            text.encode("ascii", "xmlcharrefreplace").decode(),
        }  # fmt: skip
    encoded = {
        text.encode(encoding, "surrogatepass").lower()
        for text in texts
        for encoding in ("utf-8", "utf-16-le")
    }
    return sorted(encoded)


def _in_file(search: _Search, path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix in _TEXT_SUFFIXES:
        yield from search.text(path.read_bytes())
        return
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            yield from search.binary(tail + block)
            tail = block[-search.overlap :]
    if path.suffix == ".parquet":
        yield from _in_parquet(search, path)


def _in_parquet(search: _Search, path: Path) -> Iterator[tuple[str, str]]:
    """Search the text columns, which are compressed in the file."""
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = [field.name for field in schema if pa.types.is_string(field.type)]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=names)
            for name in names:
                values = {value for value in table[name].to_pylist() if value}
                yield from search.text("\n".join(sorted(values)).encode())
