"""Sorting what the vault saw into words, numbers and days, and saying what cannot be searched."""

from __future__ import annotations

import codecs
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from ...vocabulary import fold, known_names
from .days import days_in
from .names import Strength, looks_like_name, name_forms
from .normal import key, normal, spelled_out, weight
from .numbers import LONGEST, SHORTEST

SHORTEST_WORD, SHORTEST_NAME = 5, 2
SHORT, LABEL, PLAIN_NUMBER = "too short", "a label's name", "a measured number or a time of day"
_GIVEN, _ROTATED, _CLIPPED, _LONG = 4, 8, 64, 7
_NUMBER = re.compile(r"[\d\s\-_./]+")
_DECIMAL = re.compile(r"[-+]?\d{0,4}[.,]\d+|\d\d:\d\d(:\d\d)?(\.\d+)?")
_AFTER_DAY = re.compile(rb"[t ]?[\d:.+\- ]*z?")
_BETWEEN = re.compile(r"[\W_]+")
_UID = re.compile(r"[0-2](\.\d+){4,}")
_LONG_DIGITS = re.compile(rb"\d{7,12}")


class Form(NamedTuple):
    """One way in which an identifier may be written."""

    owner: int
    strength: Strength
    gap: int
    """Most characters between two letters: a name has more between its parts than a code."""
    blanks: bool
    how: str = ""


@dataclass(slots=True)
class Wanted:
    """Everything searched for; owners are positions in `identifiers`."""

    identifiers: list[tuple[str, str]] = field(default_factory=list)
    words: dict[bytes, list[Form]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[bytes, list[int]] = field(default_factory=lambda: defaultdict(list))
    days: dict[date, list[int]] = field(default_factory=lambda: defaultdict(list))
    foreign: list[tuple[int, str]] = field(default_factory=list)
    """Owners and texts with other letters than ASCII."""
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)


def sort_identifiers(found: Iterable[tuple[str, str]]) -> Wanted:
    """Sort (kind, value) pairs into what is searched for; what is left out is counted by kind."""
    wanted, labels = Wanted(), known_names()
    for kind, value in dict.fromkeys(found):
        value = value.strip()
        why = LABEL if fold(value) in labels else _add(wanted, kind, value)
        if why:
            wanted.left_out[kind, why] += 1
    return wanted


def _add(wanted: Wanted, kind: str, value: str) -> str | None:
    """Add one identifier; return why it is left out instead."""
    owner = len(wanted.identifiers)
    days, is_day = _own_days(value) if any(map(str.isdecimal, value)) else (set(), False)
    if not days and _DECIMAL.fullmatch(value):
        return PLAIN_NUMBER
    forms = [] if _NUMBER.fullmatch(value) else list(_word_forms(owner, kind, value))
    # A day is judged as a day: as numbers, chance would explain hardly any.
    numbers = set() if is_day else set(_own_numbers(value, days))
    if long := _long_number(value):
        forms.append((long, Form(owner, "whole", 1, True)))
    if not (days or forms or numbers):
        return SHORT
    wanted.identifiers.append((kind, value))
    wanted.foreign += [(owner, text) for text in _foreign(kind, value)]
    for form in dict.fromkeys(forms):
        wanted.words[form[0]].append(form[1])
    for number in numbers:
        wanted.numbers[number].append(owner)
    for day in days:
        wanted.days[day].append(owner)
    return None


def _own_days(value: str) -> tuple[set[date], bool]:
    """Return the days that a value is or holds, and whether it is one and nothing else."""
    lower = normal(value).lower()
    days, alone = set(), False
    for found in days_in(lower):
        whole = found.start == 0 and bool(_AFTER_DAY.fullmatch(lower, found.end))
        year_first = lower[found.start :].startswith(_year_first(found.day))
        # Among eight digits, and in a year of two, a day is easily seen where none is meant.
        meant = {"day": True, "compact day": year_first, "short day": whole}[found.spelling]
        if meant:
            days.add(found.day)
            alone = alone or whole
    return days, alone


def _year_first(day: date) -> bytes:
    return f"{day:%Y%m%d}".encode()


def _own_numbers(value: str, days: set[date]) -> Iterator[bytes]:
    """Yield the number that a value is, and the long ones that it holds beside other things."""
    if _NUMBER.fullmatch(value):
        digits = re.sub(r"\D", "", value).lstrip("0").encode()
        if SHORTEST <= len(digits) <= LONGEST:
            yield digits
    if _UID.fullmatch(value):
        return  # its components are those of every UID under its root
    known_days = {_year_first(day) for day in days}
    for run in _LONG_DIGITS.findall(normal(value)):
        significant = run.lstrip(b"0")
        if len(significant) >= _LONG and significant not in known_days:
            yield significant


def _long_number(value: str) -> bytes | None:
    digits = re.sub(r"\D", "", value).lstrip("0")
    whole = _NUMBER.fullmatch(value) and len(digits) > LONGEST
    return digits.encode() if whole else None


def _word_forms(owner: int, kind: str, value: str) -> Iterator[tuple[bytes, Form]]:
    if looks_like_name(kind, value):
        for text, strength in name_forms(value):
            yield from _forms(owner, text, strength, gap=4, blanks=True)
        return
    # As it stands it must be found, whatever stands between its own letters.
    own = max((len(run.encode()) for run in _BETWEEN.findall(value)), default=1)
    gap = max(4 if len(value) > 24 else 1, own)
    blanks = " " in value or kind not in ("file", "folder")
    yield from _forms(owner, value, "whole", gap=gap, blanks=blanks)


def _foreign(kind: str, value: str) -> Iterator[str]:
    """Yield the texts that are sought in other encodings than UTF-8."""
    if value.isascii():
        return
    yield value
    if looks_like_name(kind, value):
        for text, strength in name_forms(value):
            if strength in ("whole", "part") and text != value and not text.isascii():
                yield text


def _forms(
    owner: int, text: str, strength: Strength, *, gap: int, blanks: bool
) -> Iterator[tuple[bytes, Form]]:
    for spelled in (text, spelled_out(text)):
        if spelled is None:
            continue
        form = key(spelled)[:_CLIPPED]
        fits = _strength_for(strength, form, person=gap == 4 and blanks)
        if fits:
            yield form, Form(owner, fits, gap, blanks)
        if fits == "whole" and len(form) >= _ROTATED and form.isalpha():
            rotated = codecs.encode(form.decode("utf-8", "ignore"), "rot13").encode()
            yield rotated, Form(owner, "whole", gap, blanks, "ROT13")


def _strength_for(strength: Strength, form: bytes, *, person: bool) -> Strength | None:
    length = weight(form)
    if strength == "given":
        return strength if length >= _GIVEN else None
    if length >= SHORTEST_WORD:
        return strength
    return "short" if person and length >= SHORTEST_NAME else None
