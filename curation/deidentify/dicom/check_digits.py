"""The check digits of SNOMED CT and LOINC: a record number in their place hardly ever has them."""

from __future__ import annotations

import re
from functools import cache

# 00 or 10 before the check digit says that it is a concept.
_SNOMED = re.compile(r"[1-9]\d{2,14}[01]0\d", re.ASCII)
_LOINC = re.compile(r"(\d{3,7})-(\d)", re.ASCII)


def has_check_digit(value: str, scheme: str) -> bool:
    """Whether a code is of SNOMED CT (SCT) or LOINC (LN), and its check digit is right."""
    if scheme == "SCT":
        return _SNOMED.fullmatch(value) is not None and _verhoeff(value) == 0
    match = _LOINC.fullmatch(value) if scheme == "LN" else None
    return match is not None and _luhn(match[1]) == int(match[2])


def _verhoeff(digits: str) -> int:
    """Return 0 where the last digit is right. Source: J. Verhoeff, MC Tract 29, 1969."""
    check = 0
    for position, digit in enumerate(reversed(digits)):
        check = _product(check, _permuted(position % 8, int(digit)))
    return check


def _product(a: int, b: int) -> int:
    """Multiply in the group of the symmetries of a pentagon; five and more are mirrored."""
    turned = a % 5 + (b % 5 if a < 5 else -(b % 5))
    return turned % 5 + 5 * ((a >= 5) != (b >= 5))


@cache
def _permuted(times: int, digit: int) -> int:
    for _ in range(times):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def _luhn(digits: str) -> int:
    doubled = "".join(
        str(int(digit) * (2 if position % 2 == 0 else 1))
        for position, digit in enumerate(reversed(digits))
    )
    return -sum(map(int, doubled)) % 10
