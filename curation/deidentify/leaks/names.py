"""How a person's name is written: family and given names in either order, initials, parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from .normal import key

Strength = Literal["whole", "part", "given", "short"]
"""How much a find says.

whole  the identifier itself: a find is a hit anywhere
part   a family name alone, or with initials: a hit where it fills a field, possible in prose
given  a given name alone: possible
short  too short to be sought in prose: a hit only where it fills a field
"""

_PERSON = re.compile(
    r"names?$|person|patient|subject|physician|operator|author|observer"
    r"|doctor|technician|reader|contact|referr|family|surname|given|^user|_by$"
)
_NOT_PERSON = re.compile(r"institution|hospital|study|station|device|stain|file|folder|model")
_WORDS = re.compile(r"[^\W\d_]+(?:['’.][^\W\d_]+)*\.?")


def names_a_person(kind: str) -> bool:
    """Tell whether the values of a column or element are people's names, by what it is called."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.removeprefix("column ")).casefold()
    words = re.sub(r"[\s.\-]+", "_", words)
    return bool(_PERSON.search(words)) and not _NOT_PERSON.search(words)


def looks_like_name(kind: str, value: str) -> bool:
    """Tell whether a value is taken for a name: no digits, few words, or DICOM's carets."""
    if any(character.isdigit() for character in value) or len(value) > 100:
        return False
    if "^" in value:
        return True
    return names_a_person(kind) and 1 <= len(_WORDS.findall(value)) <= 6


def name_forms(value: str) -> Iterator[tuple[str, Strength]]:
    """Yield (text, strength) for every way to write a name; "=" separates scripts in DICOM."""
    for written in value.split("="):
        family, given = _family_and_given(written)
        yield written, "whole"
        if not family or not given:
            continue
        yield from _orders(family, given)
        # Of a double name, each half is used alone.
        for part in dict.fromkeys([" ".join(family), *_halves(family)]):
            yield part, "part"
        for part in _halves(given):
            yield part, "given"


def _orders(family: list[str], given: list[str]) -> Iterator[tuple[str, Strength]]:
    last, first = " ".join(family), " ".join(given)
    yield f"{last} {first}", "whole"
    yield f"{first} {last}", "whole"
    if len(given) > 1:
        yield f"{last} {given[0]}", "whole"
        yield f"{given[0]} {last}", "whole"
    initials = "".join(name[0] for name in given)
    for short in dict.fromkeys((initials, initials[0])):
        yield f"{short} {last}", "part"
        yield f"{last} {short}", "part"


def _family_and_given(written: str) -> tuple[list[str], list[str]]:
    if "^" in written:
        family, _, rest = written.partition("^")
        return _names(family), _names(" ".join(rest.split("^")[:2]))
    if "," in written:
        family, _, rest = written.partition(",")
        return _names(family), _names(rest)
    words = _names(written)
    return words[-1:], words[:-1]


def _names(text: str) -> list[str]:
    return re.findall(r"[^\s_,^]+", text)


def _halves(names: list[str]) -> Iterator[str]:
    for name in names:
        halves = re.split(r"[-‐–]", name)
        yield from (half for half in dict.fromkeys([name, *halves]) if len(key(half)) >= _SHORTEST)


_SHORTEST = 3
