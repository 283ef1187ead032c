"""Dates and ages as laboratories write them."""

from __future__ import annotations

import re
from datetime import date

_YEAR_FIRST = re.compile(r"(\d{4})[-./ ]?(\d{2})[-./ ]?(\d{2})(?:[T ]?[\d:.,+\-Z ]*)?")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[T ][\d:.,+\-Z ]*)?")
# With strokes, one half of the world writes the day first and the other the month.
_STROKES = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?:[T ][\d:.,+\-Z APMapm]*)?")
_YEAR = re.compile(r"(\d{4})(?:[-./]\d{1,2})?")
_AGE = re.compile(r"(\d{1,3})(?:[.,]\d+)?\s*(y|yr|yrs|years?|m|months?|w|weeks?|d|days?)?", re.I)
OLDEST = 90


def parse_date(text: str) -> date | None:
    """Return the day that a text says beyond doubt, None otherwise (as for 03/04/2020)."""
    text = text.strip()
    if match := _YEAR_FIRST.fullmatch(text):
        return _date(*map(int, match.groups()))
    if match := _DAY_FIRST.fullmatch(text):
        day, month, year = map(int, match.groups())
        return _date(year, month, day)
    if match := _STROKES.fullmatch(text):
        first, second, year = map(int, match.groups())
        days = {
            found for found in (_date(year, second, first), _date(year, first, second)) if found
        }
        return days.pop() if len(days) == 1 else None
    return None


def parse_year(text: str) -> int | None:
    """Return the year that a text says, None where it says none."""
    found = parse_date(text)
    if found is not None:
        return found.year
    text = text.strip()
    match = _STROKES.fullmatch(text)
    if match and _date(int(match[3]), int(match[1]), int(match[2])):
        return int(match[3])
    match = _YEAR.fullmatch(text)
    year = int(match[1]) if match else None
    return year if year is not None and 1900 <= year <= date.max.year else None


def parse_age_years(text: str) -> int | None:
    """Return an age in whole years from "45", "045Y", "7 months"; None where it is none."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    per_year = {"m": 12, "w": 52, "d": 365}.get((match[2] or "y")[0].casefold(), 1)
    years = int(match[1]) // per_year
    return years if years <= 130 else None


def age_band(years: int) -> str:
    """Return the ten-year band of an age; from 90 on there is one band for all."""
    if years >= OLDEST:
        return f"{OLDEST}+"
    low = years // 10 * 10
    return f"{low}-{low + 9}"


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day) if year >= 1900 else None
    except ValueError:
        return None
