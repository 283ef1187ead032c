"""Counting the numbers and days of a text, to tell finds from chance.

A report is full of numbers, and a corpus may hold days that were moved: some of them are some
patient's by chance. Where finds are no more than chance lets expect, they are possible, not hits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from .chance import expected_days, expected_numbers, likely_by_chance
from .days import SpelledDay, Spelling


@dataclass(slots=True)
class Tally:
    """The distinct numbers and days of texts of one sort, such as one column."""

    numbers: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    days: dict[Spelling, set[date]] = field(default_factory=lambda: defaultdict(set))

    def see_number(self, digits: bytes) -> None:
        """Count a number."""
        self.numbers[len(digits)].add(digits)

    def see_day(self, found: SpelledDay) -> None:
        """Count a day."""
        self.days[found.spelling].add(found.day)

    def chance_numbers(self, known: Mapping[bytes, object]) -> Iterator[bytes]:
        """Yield the numbers seen that are known, where that is no more than chance."""
        lengths: dict[int, int] = defaultdict(int)
        for digits in known:
            lengths[len(digits)] += 1
        for length, seen in self.numbers.items():
            common = seen & known.keys()
            expected = expected_numbers(len(seen), length, lengths[length])
            if common and likely_by_chance(len(common), expected):
                yield from common

    def chance_days(self, known: Mapping[date, object]) -> Iterator[date]:
        """Yield the days seen that are known, where that is no more than chance."""
        ordered = sorted(known)
        sure: set[date] = set()
        maybe: set[date] = set()
        for seen in self.days.values():
            common = seen & known.keys()
            expected = expected_days(sorted(seen), ordered)
            (maybe if likely_by_chance(len(common), expected) else sure).update(common)
        yield from maybe - sure
