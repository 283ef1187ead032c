"""Numbers as people write record numbers: whole, zero-padded, or in groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .runs import flags_of, runs_of

SHORTEST, LONGEST = 5, 12
"""Significant digits that are looked for."""
_MOST_GROUPS = 5
_SPAN = re.compile(rb"\d[\d \-_./]{3,}\d")
_FLAGS = flags_of(b"0123456789 -_./")
_PARTS = re.compile(rb"\d+|[^\d]+")
_SEPARATORS = frozenset((b" ", b"-", b"_", b".", b"/"))


@dataclass(frozen=True, slots=True)
class Number:
    """Digits without leading zeros, and where they stand."""

    digits: bytes
    start: int
    end: int


def numbers_in(text: bytes) -> Iterator[Number]:
    """Yield numbers of a text in normal form, and neighbouring groups of digits taken together.

    Groups belong together where one and the same character separates them. The fraction of a
    decimal number is none.
    """
    for start, end in runs_of(text, _FLAGS, SHORTEST):
        if text[start:end].isdigit():
            yield from _number(text[start:end], start, end)
            continue
        for span in _SPAN.finditer(text, start, end):
            yield from _groups(span[0], span.start())


def _groups(span: bytes, start: int) -> Iterator[Number]:
    parts = _PARTS.findall(span)
    starts = [start]
    for part in parts:
        starts.append(starts[-1] + len(part))
    for index in range(0, len(parts), 2):
        yield from _from(parts, starts, index)


def _from(parts: list[bytes], starts: list[int], index: int) -> Iterator[Number]:
    if not _is_fraction(parts, index):
        yield from _number(parts[index], starts[index], starts[index + 1])
    joined = parts[index]
    separator = parts[index + 1] if index + 2 < len(parts) else b""
    if separator not in _SEPARATORS or len(joined) < 2:
        return
    last = min(len(parts), index + 2 * _MOST_GROUPS - 1)
    for other in range(index + 2, last, 2):
        if parts[other - 1] != separator or len(parts[other]) < 2:
            return
        joined += parts[other]
        if not (separator == b"." and other == index + 2):
            yield from _number(joined, starts[index], starts[other + 1])


def _is_fraction(parts: list[bytes], index: int) -> bool:
    return index >= 2 and parts[index - 1] == b"." and (index < 4 or parts[index - 3] != b".")


def _number(digits: bytes, start: int, end: int) -> Iterator[Number]:
    significant = digits.lstrip(b"0")
    if SHORTEST <= len(significant) <= LONGEST:
        yield Number(significant, start, end)
