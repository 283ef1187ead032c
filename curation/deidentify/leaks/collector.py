"""Gathering what is found, and deciding at the end what may be chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from ..vault import Vault
from .normal import normal
from .place import Where
from .report import Hit, Unread
from .search import Find, Search
from .tally import Tally

FILE_NAME: Where = ("file name",)


@dataclass(frozen=True, slots=True)
class _Found:
    file: int
    where: Where
    how: str
    owner: int
    sure: bool


class Collector:
    """Everything found in any file."""

    def __init__(self, search: Search, vault: Vault) -> None:
        self._search, self._vault = search, vault
        self._names: list[str] = []
        self._found: dict[_Found, None] = {}
        self._tested: dict[tuple[str, bytes | date], dict[_Found, None]] = defaultdict(dict)
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._unread: dict[Unread, None] = {}

    def begin(self, number: int, name: str) -> None:
        """Begin with a file; its name is searched, and not repeated if anything is in it."""
        finds = list(self._search.in_text(normal(name)))
        shown = f"file {number} (its name holds an identifier)" if finds else name
        self._names.append(shown)
        for find in finds:
            self._add(FILE_NAME, find)

    def tally(self, own: str) -> Tally | None:
        """Return what counts the numbers and days of one sort of the product's own texts."""
        return self._tallies[own] if own else None

    def add(self, where: Where, finds: Iterable[Find], own: str = "") -> None:
        """Add what was found in the present file; `own` names the sort of text it stands in."""
        for find in finds:
            self._add(where, find, own)

    def seal(self, where: Where, why: str) -> None:
        """Record that something of the present file could not be searched."""
        self._unread[Unread(self._names[-1], self._shown(where), why)] = None

    def unread(self) -> tuple[Unread, ...]:
        """Return what could not be searched."""
        return tuple(sorted(self._unread))

    def hits(self) -> tuple[tuple[Hit, ...], tuple[Hit, ...]]:
        """Return the hits, and what is possible only."""
        found = dict(self._found)
        wanted = self._search.known_numbers, self._search.known_days
        for own, tally in self._tallies.items():
            chance: set[bytes | date] = set(tally.chance_numbers(wanted[0]))
            chance.update(tally.chance_days(wanted[1]))
            for (sort, value), finds in self._tested.items():
                if sort == own:
                    for one in finds:
                        sure = value not in chance
                        found[_Found(one.file, one.where, one.how, one.owner, sure)] = None
        sure_ones = _innermost(one for one in found if one.sure)
        known = {(one.file, one.owner) for one in sure_ones}
        maybe = _innermost(o for o in found if not o.sure and (o.file, o.owner) not in known)
        return self._as_hits(sure_ones), self._as_hits(maybe)

    def _add(self, where: Where, find: Find, own: str = "") -> None:
        one = _Found(len(self._names) - 1, where, find.how, find.owner, find.sure)
        if own and find.test is not None:
            self._tested[own, find.test][one] = None
        else:
            self._found[one] = None

    def _as_hits(self, found: Iterable[_Found]) -> tuple[Hit, ...]:
        hits = set()
        for one in found:
            kind, value = self._search.wanted.identifiers[one.owner]
            carrier = self._shown((*one.where, one.how) if one.how else one.where)
            short_id = self._vault.pseudonym(kind, value)[:8]
            hits.add(Hit(self._names[one.file], carrier, kind, short_id))
        return tuple(sorted(hits))

    def _shown(self, where: Where) -> str:
        return " > ".join(self._safe(part) for part in where) or "content"

    @lru_cache(maxsize=4096)  # noqa: B019 - one collector a scan
    def _safe(self, part: str) -> str:
        """Return a carrier's words, without a column's name that holds an identifier."""
        holds = any(True for _ in self._search.in_text(normal(part)))
        return "a column whose name holds an identifier" if holds else part


def _innermost(found: Iterable[_Found]) -> list[_Found]:
    """Leave out a find in a piece where it stands in a piece inside that piece."""
    by_owner: dict[tuple[int, int], list[_Found]] = defaultdict(list)
    for one in found:
        by_owner[one.file, one.owner].append(one)
    kept = []
    for group in by_owner.values():
        inside = [one.where for one in group if one.where != FILE_NAME]
        outer = {where[:n] for where in inside for n in range(len(where))}
        kept += [one for one in group if one.where not in outer]
    return kept
