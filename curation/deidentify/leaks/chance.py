"""What may be chance: how long a find in noise must be, and when finds are too few to tell.

Compressed pixels are taken as random bytes, numbers and days as drawn at random from as many as
there are of their length or around them.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date

ALLOWED = 0.01
"""Chance finds that a scan may expect, in noise; and the likelihood below which finds are hits."""
_SPELLINGS = 4
"""A find may hold separators, and stand in another case than assumed: more ways than one."""
_PRINTABLE = 98
_NEARBY_DAYS = 365


def shortest_in_noise(n_bytes: int, n_identifiers: int, characters_a_byte: float) -> int:
    """Return the length from which finds in random bytes are no chance.

    `characters_a_byte` is the share of byte values that fit one character: 1/256 for a digit,
    2/256 for a letter in either case.
    """
    tries = max(n_bytes, 1) * max(n_identifiers, 1) * _SPELLINGS
    return max(5, math.ceil(math.log(ALLOWED / tries) / math.log(characters_a_byte)))


def shortest_text(n_bytes: int, n_identifiers: int) -> int:
    """Return from which length a run of printable characters in random bytes is text.

    In shorter ones, a word of five letters may stand by chance.
    """
    words = n_bytes * n_identifiers * _SPELLINGS * (2 / _PRINTABLE) ** 5
    return max(12, math.ceil(math.log(ALLOWED / max(words, 1)) / math.log(_PRINTABLE / 256)))


def likely_by_chance(found: int, expected: float) -> bool:
    """Tell whether so many finds or more are likely by chance: a Poisson tail above `ALLOWED`."""
    if expected > 50:
        return found < expected + 2.33 * math.sqrt(expected)
    below = math.exp(-expected) * math.fsum(expected**k / math.factorial(k) for k in range(found))
    return bool(1 - below >= ALLOWED)


def expected_numbers(distinct: int, digits: int, known: int) -> float:
    """Return how many of the distinct numbers of a text would be among those known by chance."""
    return distinct * known / (9 * 10.0 ** (digits - 1))


def expected_days(days: Sequence[date], known: Sequence[date]) -> float:
    """Return how many of the days of a text would be among those known (sorted) by chance."""
    numbers = [day.toordinal() for day in known]
    total = 0.0
    for day in days:
        here = day.toordinal()
        low = bisect_left(numbers, here - _NEARBY_DAYS)
        high = bisect_right(numbers, here + _NEARBY_DAYS)
        total += (high - low) / (2 * _NEARBY_DAYS + 1)
    return total
