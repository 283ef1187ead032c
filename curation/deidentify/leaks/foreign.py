"""Finding names with letters beyond ASCII in bytes that are no UTF-8."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

import ahocorasick_rs

_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252", "iso8859-2",
              "iso8859-15", "cp1251", "koi8-r", "cp1253", "cp437", "mac-roman", "gb18030", "big5",
              "shift_jis", "euc_jp", "iso2022_jp", "euc_kr")  # fmt: skip


class Foreign:
    """An automaton over the encoded forms of names that are not ASCII, ASCII letters folded."""

    def __init__(self, names: Iterable[tuple[int, str]], shortest: int) -> None:
        owners: dict[bytes, list[tuple[int, str]]] = defaultdict(list)
        for owner, name in names:
            for pattern, encoding in _encoded(name):
                if len(pattern) >= shortest and (owner, encoding) not in owners[pattern]:
                    owners[pattern].append((owner, encoding))
        self._owners = [owners[pattern] for pattern in owners]
        self._automaton = ahocorasick_rs.BytesAhoCorasick(list(owners)) if owners else None

    def find(self, block: bytes) -> Iterator[tuple[int, str]]:
        """Yield (owner, encoding) of every form in the bytes."""
        if self._automaton is None:
            return
        for index, _, _ in self._automaton.find_matches_as_indexes(block.lower(), overlapping=True):
            yield self._owners[index][0]


def _encoded(name: str) -> Iterator[tuple[bytes, str]]:
    if name.isascii():
        return
    cases = dict.fromkeys((name, name.lower(), name.upper(), name.title(), name.casefold()))
    forms = dict.fromkeys(
        unicodedata.normalize(form, case) for case in cases for form in ("NFC", "NFD")
    )
    for encoding in _ENCODINGS:
        for form in forms:
            try:
                yield form.encode(encoding).lower(), encoding
            except UnicodeEncodeError:
                continue  # this encoding has no such letters
