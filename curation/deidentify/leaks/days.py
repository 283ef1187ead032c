"""Days as people and programs write them: found in a text in every usual spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from .runs import flags_of, runs_of

Spelling = Literal["day", "compact day", "short day"]
"""compact: eight digits without a separator; short: a year of two digits."""
EARLIEST, LATEST = 1880, 2100

# English, German, French, Spanish, Italian, without accents; what they share is written once.
_MONTHS: tuple[str, ...] = (
    "january|januar|janner|janvier|enero|gennaio|jan|ene|gen",
    "february|februar|feber|fevrier|febrero|febbraio|feb|fev",
    "march|marz|maerz|mars|marzo|mar|mrz",
    "april|avril|abril|aprile|apr|avr|abr",
    "may|mai|mayo|maggio|mag",
    "june|juni|juin|junio|giugno|jun|giu",
    "july|juli|juillet|julio|luglio|jul|lug|juil",
    "august|aout|agosto|aug|ago",
    "september|septembre|septiembre|settembre|sept|sep|set",
    "october|oktober|octobre|octubre|ottobre|oct|okt|ott",
    "november|novembre|noviembre|nov",
    "december|dezember|decembre|diciembre|dicembre|dec|dez|dic",
)
_MONTH_OF = {
    name.encode(): number
    for number, names in enumerate(_MONTHS, start=1)
    for name in names.split("|")
}
# Longest first: "mar" must not be taken for "march".
_NAMES = b"|".join(sorted(_MONTH_OF, reverse=True))
_CLOCK = (24, 60, 60)
_GAP = rb"[\s.,/_'-]{0,3}(?:(?:of|de|di)\s)?"
_NUMERIC = re.compile(
    rb"(?<!\d)(\d{1,4})(\s?[-./_ ]\s?)(\d{1,2})\2(\d{1,4})(?!\d)|(?<!\d)(\d{8})(\d{4}|\d{6})?(?!\d)"
)
_FLAGS = flags_of(b"0123456789-./_ \t\n")
_SHORTEST = 6
# First a quick look at whether a word may begin as a month does.
_MONTH = re.compile(rb"(?=[adefgjlmnos][a-z][a-z])(?:" + _NAMES + rb")(?![a-z])")
_AROUND = 16
_NAME, _DAY = rb"(" + _NAMES + rb")(?![a-z])", rb"(\d{1,2})(?:st|nd|rd|th)?"
_DAY_NAME_YEAR = re.compile(rb"(?<!\d)" + _DAY + _GAP + _NAME + _GAP + rb"(\d{4}|\d{2})(?!\d)")
_NAME_DAY_YEAR = re.compile(rb"(?<![a-z])" + _NAME + _GAP + _DAY + _GAP + rb"(\d{4})(?!\d)")
_YEAR_NAME_DAY = re.compile(rb"(?<!\d)(\d{4})" + _GAP + _NAME + _GAP + rb"(\d{1,2})(?!\d)")


@dataclass(frozen=True, slots=True)
class SpelledDay:
    """One day that a text may mean, and where it says so."""

    day: date
    spelling: Spelling
    start: int
    end: int


def days_in(lower: bytes) -> Iterator[SpelledDay]:
    """Yield every day that a text in normal form, lower case, may mean; 03/04 means two."""
    yield from numeric_days_in(lower)
    for month in _MONTH.finditer(lower):
        yield from _named(lower, max(month.start() - _AROUND, 0), month.end() + _AROUND)


def numeric_days_in(text: bytes) -> Iterator[SpelledDay]:
    """Yield the days that are written with digits and separators alone."""
    for start, end in runs_of(text, _FLAGS, _SHORTEST):
        for match in _NUMERIC.finditer(text, start, end):
            if not match[5]:
                yield from _numeric(match)
            elif match[6] is None or _is_time(match[6]):
                yield from _days(_orders_of_eight(match[5]), "compact day", match)


def _named(lower: bytes, start: int, end: int) -> Iterator[SpelledDay]:
    """Yield the days around the name of a month."""
    for match in _DAY_NAME_YEAR.finditer(lower, start, end):
        spelling: Spelling = "day" if len(match[3]) == 4 else "short day"
        orders = [(year, _MONTH_OF[match[2]], int(match[1])) for year in _years(match[3])]
        yield from _days(orders, spelling, match)
    for match in _NAME_DAY_YEAR.finditer(lower, start, end):
        yield from _days([(int(match[3]), _MONTH_OF[match[1]], int(match[2]))], "day", match)
    for match in _YEAR_NAME_DAY.finditer(lower, start, end):
        yield from _days([(int(match[1]), _MONTH_OF[match[2]], int(match[3]))], "day", match)


def _numeric(match: re.Match[bytes]) -> Iterator[SpelledDay]:
    first, second, third = match[1], match[3], match[4]
    if len(first) == 4 and len(third) <= 2:
        orders = [(int(first), int(second), int(third)), (int(first), int(third), int(second))]
        yield from _days(orders, "day", match)
    elif len(third) == 4 and len(first) <= 2:
        orders = [(int(third), int(second), int(first)), (int(third), int(first), int(second))]
        yield from _days(orders, "day", match)
    # Two-digit years look like versions and times unless every part has two digits.
    elif len(first) == len(second) == len(third) == 2:
        a, b, c = int(first), int(second), int(third)
        short = [order for y in _years(third) for order in ((y, b, a), (y, a, b))]
        short += [(y, b, c) for y in _years(first)]
        yield from _days(short, "short day", match)


def _orders_of_eight(digits: bytes) -> list[tuple[int, int, int]]:
    a, b, c, d = (int(digits[i : i + 2]) for i in range(0, 8, 2))
    return [(100 * a + b, c, d), (100 * c + d, b, a), (100 * c + d, a, b)]


def _years(digits: bytes) -> list[int]:
    year = int(digits)
    return [year] if len(digits) == 4 else [1900 + year, 2000 + year]


def _is_time(digits: bytes) -> bool:
    return all(
        int(digits[i : i + 2]) < most
        for i, most in zip(range(0, len(digits), 2), _CLOCK, strict=False)
    )


def _days(
    orders: list[tuple[int, int, int]], spelling: Spelling, match: re.Match[bytes]
) -> Iterator[SpelledDay]:
    for year, month, day in dict.fromkeys(orders):
        if EARLIEST <= year <= LATEST:
            try:
                yield SpelledDay(date(year, month, day), spelling, *match.span())
            except ValueError:
                continue  # no such day: 31/02, or the parts in another order
