"""One search: finds in a text of normal form, or in characters out of noise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from .chance import shortest_in_noise, shortest_text
from .days import SpelledDay, days_in, numeric_days_in
from .foreign import Foreign
from .identifiers import Wanted
from .normal import ALNUM, key, normal, weight
from .numbers import Number, numbers_in
from .tally import Tally
from .words import Word, Words, in_code

_FIELD = re.compile(rb"[\x00\n\r\t\"<>|]")
_VALUE = re.compile(rb"[\x00\n\r\t\"<>|;:=,()\[\]{}']")
_AROUND = 200
_QUICK, _LARGE = 7, 16 * 2**20
_PROSE = 6
"""From so many words on, a field is a sentence, in which a name may be an author's or a word."""


@dataclass(frozen=True, slots=True)
class Find:
    """An identifier found; `test` is the number or day whose likelihood by chance is to be seen."""

    owner: int
    sure: bool
    how: str = ""
    test: bytes | date | None = None


class Search:
    """Searches for everything wanted; a find's owner is a position in `wanted.identifiers`."""

    def __init__(self, wanted: Wanted, n_bytes: int) -> None:
        self.wanted = wanted
        self._words = Words(wanted.words)
        self._numbers = dict(wanted.numbers)
        self._days = dict(wanted.days)
        count = len(wanted.identifiers)
        # Runs of seven are found several times faster than shorter ones.
        least = _QUICK if n_bytes > _LARGE else 0
        self.letters = max(shortest_in_noise(n_bytes, count, 2 / 256), least)
        self.digits = max(shortest_in_noise(n_bytes, count, 1 / 256), least)
        self.shortest = min(self.letters, self.digits)
        self.shortest_text = shortest_text(n_bytes, count)
        self._foreign = Foreign(wanted.foreign, self.letters)

    @property
    def known_numbers(self) -> Mapping[bytes, object]:
        """The numbers searched for."""
        return self._numbers

    @property
    def known_days(self) -> Mapping[date, object]:
        """The days searched for."""
        return self._days

    def leave_out(self, own_text: str) -> None:
        """Leave out what a text of the product's own holds: it would be found everywhere."""
        text, numbers, days = _taken_apart(own_text)
        self._words.leave_out(text)
        for number in numbers & self._numbers.keys():
            del self._numbers[number]
        for day in days & self._days.keys():
            del self._days[day]

    def searched(self) -> set[int]:
        """Return the owners of whatever has not been left out."""
        owners = self._words.owners()
        for found in (*self._numbers.values(), *self._days.values()):
            owners.update(found)
        return owners

    def text_only(self) -> Counter[str]:
        """Return kind -> identifiers that are too short to be sought in noise."""
        in_noise = {
            form.owner
            for pattern, forms in self.wanted.words.items()
            for form in forms
            if len(pattern) >= self.letters
        }
        in_noise |= {o for n, owners in self._numbers.items() for o in owners if self._fits(n)}
        in_noise |= {owner for owners in self._days.values() for owner in owners}
        short = self.searched() - in_noise
        return Counter(self.wanted.identifiers[owner][0] for owner in short)

    def in_text(
        self, text: bytes, tally: Tally | None = None, *, chance: bool = False
    ) -> Iterator[Find]:
        """Yield what stands in a text of normal form; the tally counts what it is measured by.

        In characters that came together by chance, short names are passed over.
        """
        for word in self._words.in_text(text):
            if chance and word.form.strength == "short":
                continue
            if (sure := _judged(text, word)) is not None:
                yield Find(word.form.owner, sure, word.form.how)
        yield from self._numbers_in(text, tally)
        yield from self._days_in(text, tally)

    def in_noise(self, characters: bytes) -> Iterator[Find]:
        """Yield what is too long to stand by chance in printable characters out of noise."""
        for word in self._words.in_noise(characters, self.letters):
            if word.form.strength in ("whole", "part"):
                yield Find(word.form.owner, True, word.form.how)
        for number in numbers_in(characters):
            if self._fits(number.digits):
                owners = self._numbers.get(number.digits, ())
                yield from (Find(owner, True, test=number.digits) for owner in owners)
        for found in numeric_days_in(characters):
            if found.spelling != "short day" and found.end - found.start >= self.digits:
                yield from self._day_finds(characters, found)

    def in_foreign(self, block: bytes) -> Iterator[tuple[Find, str]]:
        """Yield names with letters beyond ASCII, and the encoding in which the bytes hold them."""
        for owner, encoding in self._foreign.find(block):
            yield Find(owner, True), encoding

    def _fits(self, digits: bytes) -> bool:
        return len(digits) >= self.digits

    def _numbers_in(self, text: bytes, tally: Tally | None) -> Iterator[Find]:
        for number in numbers_in(text):
            owners = self._numbers.get(number.digits, ())
            if _glued(text, number):
                if not owners or in_code(text, number.start, number.end):
                    continue
            elif tally is not None:
                tally.see_number(number.digits)
            yield from (Find(owner, True, test=number.digits) for owner in owners)

    def _days_in(self, text: bytes, tally: Tally | None) -> Iterator[Find]:
        for found in days_in(text.lower()):
            if tally is not None:
                tally.see_day(found)
            yield from self._day_finds(text, found)

    def _day_finds(self, text: bytes, found: SpelledDay) -> Iterator[Find]:
        written = text[found.start : found.end].lower()
        for owner in self._days.get(found.day, ()):
            as_found = written in normal(self.wanted.identifiers[owner][1]).lower()
            yield Find(owner, True, "" if as_found else "respelled date", found.day)


@lru_cache(maxsize=4)
def _taken_apart(text: str) -> tuple[bytes, frozenset[bytes], frozenset[date]]:
    """Return a text in normal form, and its numbers and days."""
    form = normal(text)
    numbers = frozenset(number.digits for number in numbers_in(form))
    return form, numbers, frozenset(found.day for found in days_in(form.lower()))


def _glued(text: bytes, number: Number) -> bool:
    """Tell whether letters stand directly around a number."""
    before = text[number.start - 1] if number.start else 0
    after = text[number.end] if number.end < len(text) else 0
    return before in ALNUM or after in ALNUM


def _judged(text: bytes, word: Word) -> bool | None:
    """Return whether a word is surely its identifier; None where it is surely nothing."""
    strength = word.form.strength
    if strength == "whole":
        return True
    if strength == "given":
        return False
    before = text[max(word.start - _AROUND, 0) : word.start]
    after = text[word.end : word.end + _AROUND]
    if strength == "part":
        field = _FIELD.split(before)[-1] + b" x " + _FIELD.split(after)[0]
        return len(field.split()) <= _PROSE
    alone = not key((_VALUE.split(before)[-1] + _VALUE.split(after)[0]).decode("utf-8", "ignore"))
    long_enough = weight(text[word.start : word.end]) > 2
    if alone:
        return long_enough
    return False if long_enough else None
