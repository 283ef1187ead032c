"""Finding words of normal form in a text, whatever separates their letters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import ahocorasick_rs
import numpy as np

from .identifiers import Form
from .normal import ALNUM, DIGITS, LETTERS

_SLICE, _OVERLAP = 1 << 20, 1 << 12
_KEPT = bytes(
    byte in ALNUM or byte == 0 for byte in range(256)
)  # one flag a byte value; the barrier is kept so that nothing is found across it
_FREE = 8
"""From so many letters on, a word is found inside a longer one ("PatientQuillfeather")."""
_CODED = re.compile(rb"[0-9A-Za-z+/=_-]+")
_HEX = re.compile(rb"(?<![0-9A-Za-z])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{12,}(?![0-9A-Za-z])")
_CODED_LENGTH, _CODED_CHANGES = 20, 0.3
_AROUND = 100
_ASCII, _IDEOGRAPH = 0x80, 0xE3


@dataclass(frozen=True, slots=True)
class Word:
    """A form found, and where it stands in the text."""

    form: Form
    start: int
    end: int


class Words:
    """An Aho-Corasick automaton over the letters and digits of normal forms."""

    def __init__(self, words: dict[bytes, list[Form]]) -> None:
        self._patterns = list(words)
        self._forms = [words[pattern] for pattern in self._patterns]
        self._disabled: set[int] = set()
        self._bounded: set[int] = set()
        self._automaton = (
            ahocorasick_rs.BytesAhoCorasick(self._patterns) if self._patterns else None
        )

    def leave_out(self, text: bytes) -> None:
        """Leave out every form that a text of the product's own holds as a word.

        A form that it holds inside a word is from now on sought as a word only.
        """
        for index, start, end in self._spans(text):
            if _stands_alone(text, start, end):
                self._disabled.add(index)
            else:
                self._bounded.add(index)

    def owners(self) -> set[int]:
        """Return the owners of the forms that are not left out; a code alone is no form."""
        return {
            form.owner
            for index, forms in enumerate(self._forms)
            if index not in self._disabled
            for form in forms
            if not form.how
        }

    def in_text(self, text: bytes) -> Iterator[Word]:
        """Yield forms that stand as words in a text of normal form."""
        for index, start, end in self._spans(text):
            if index in self._disabled:
                continue
            free = len(self._patterns[index]) >= _FREE and index not in self._bounded
            if _bounded(text, start, end, free=free):
                yield from self._fitting(text, index, start, end)

    def in_noise(self, text: bytes, shortest: int) -> Iterator[Word]:
        """Yield forms of at least so many bytes anywhere in characters found in noise."""
        for index, start, end in self._spans(text):
            if index not in self._disabled and len(self._patterns[index]) >= shortest:
                yield from self._fitting(text, index, start, end)

    def _fitting(self, text: bytes, index: int, start: int, end: int) -> Iterator[Word]:
        gaps = re.findall(rb"[^0-9A-Za-z\x80-\xff]+", text[start:end])
        widest, blank = max(map(len, gaps), default=0), any(b" " in gap for gap in gaps)
        for form in self._forms[index]:
            if widest <= form.gap and (form.blanks or not blank):
                if form.gap == 1 and any(gap in b",;|\"'<>=()[]{}\n" for gap in gaps):
                    continue
                yield Word(form, start, end)

    def _spans(self, text: bytes) -> Iterator[tuple[int, int, int]]:
        """Yield (pattern, start, end) in the text, in slices so that memory stays bounded."""
        if self._automaton is None:
            return
        for offset in range(0, max(len(text), 1), _SLICE):
            part = text[offset : offset + _SLICE + _OVERLAP]
            kept = np.frombuffer(part.translate(_KEPT), np.bool_)
            letters = np.frombuffer(part.lower(), np.uint8)[kept].tobytes()
            found = self._automaton.find_matches_as_indexes(letters, overlapping=True)
            if not found:
                continue
            where = np.flatnonzero(kept)
            for index, first, last in found:
                start, end = int(where[first]), int(where[last - 1]) + 1
                if start < _SLICE:
                    yield index, offset + start, offset + end


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    before = text[start - 1] if start else 0
    after = text[end] if end < len(text) else 0
    return before not in ALNUM and after not in ALNUM


def _bounded(text: bytes, start: int, end: int, *, free: bool) -> bool:
    before = start == 0 or _may_end(text[start - 1], text[start], free)
    after = end == len(text) or _may_end(text[end - 1], text[end], free)
    return before and after and not in_code(text, start, end)


def _may_end(left: int, right: int, free: bool) -> bool:
    """Tell whether a word may end between two characters."""
    both = {left, right}
    if both <= DIGITS:
        return False
    # A word of ideographs ends nowhere in particular; in the normal form, so does one before ASCII.
    other_script = max(both) >= _IDEOGRAPH or (left >= _ASCII) != (right >= _ASCII)
    return free or not both <= LETTERS or other_script


def in_code(text: bytes, start: int, end: int) -> bool:
    """Tell whether a match is part of hex digits or base64, where letters are chance."""
    low = max(start - _AROUND, 0)
    around = text[low : end + _AROUND]
    for pattern, coded in ((_HEX, True), (_CODED, False)):
        for run in pattern.finditer(around):
            if run.start() <= start - low < run.end():
                longer = len(run[0]) > end - start
                if longer and (coded or looks_coded(run[0])):
                    return True
    return False


def looks_coded(run: bytes) -> bool:
    """Tell whether a run looks like base64, not like words.

    It changes between capitals, small letters and digits far more often.
    """
    if len(run) < _CODED_LENGTH:
        return False
    classes = run.translate(_CLASSES)
    pairs = [(a, b) for a, b in pairwise(classes) if a and b]
    changes = sum(a != b for a, b in pairs)
    return bool(pairs) and changes >= _CODED_CHANGES * len(pairs)


def _class_of(byte: int) -> int:
    character = chr(byte)
    if not character.isascii() or not character.isalnum():
        return 0
    return 1 if character.isdigit() else 2 if character.isupper() else 3


_CLASSES = bytes(_class_of(byte) for byte in range(256))
