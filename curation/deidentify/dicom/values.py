"""One element's value as it may be released: validated, and written anew from what was parsed.

A kept element is no free pass: a text that is not on its list, a number outside its range or a
date that is none is left out. So a name that somebody typed into the wrong field does not leave.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from ..dates import OLDEST
from ..vault import Vault
from .codes import is_body_part
from .elements import Element, tag_name, texts
from .tables import fate, kept

Value = str | int | float
Made = TypeVar("Made")

_DA = re.compile(r"(\d{4})(?:\.?)(\d{2})(?:\.?)(\d{2})", re.ASCII)
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?", re.ASCII)
_AGE = re.compile(r"(\d{3})([DWMY])", re.ASCII)
_PER_YEAR = {"D": 365, "W": 52, "M": 12, "Y": 1}
_SEXES = ("F", "M", "O")
_MOST_VALUES = 64
_DIGITS = 9
_INTEGER_VRS = ("US", "SS", "UL", "SL", "IS", "US or SS")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose data set it is: the pseudonym, and the days by which all dates are moved.

    Both are None where the file names no patient: then dates go.
    """

    pseudonym: str | None
    shift_days: int | None


def read_subject(patient_id: str, vault: Vault) -> Subject:
    """Return the subject of a data set; the same as a table's column of patients would give."""
    if not patient_id:
        return Subject(None, None)
    return Subject(vault.pseudonym("subject", patient_id), vault.shift_days(patient_id))


def clean_numbers(element: Element) -> list[Value]:
    """Return the numbers of an element, to nine digits; none where one is out of range."""
    from pydicom.datadict import dictionary_VR

    low, high = kept().numbers[element.name]
    is_whole = dictionary_VR(element.tag) in _INTEGER_VRS
    made = [_number(value, low, high, is_whole) for value in element.values[:_MOST_VALUES]]
    return _all_or_none(made) if len(element.values) <= _MOST_VALUES else []


def _number(value: object, low: float, high: float, is_whole: bool) -> Value | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not low <= value <= high or (is_whole and value != int(value)):
        return None
    return int(value) if is_whole else float(f"{float(value):.{_DIGITS}g}")


def clean_terms(element: Element) -> list[Value]:
    """Return the values of an element that are on its list, empty ones in place of others."""
    allowed = {term.casefold(): term for term in kept().terms[element.name]}
    said = [str(value).strip(" \x00") for value in element.values[:_MOST_VALUES]]
    made: list[Value] = [allowed.get(text.casefold(), "") for text in said]
    return made if any(made) else []


def clean_body_part(element: Element) -> list[Value]:
    """Return a name of anatomy; none for any other text."""
    said = texts(element)
    return [said[0]] if len(said) == 1 and is_body_part(said[0]) else []


def clean_pointers(element: Element) -> list[Value]:
    """Return tags of other elements; none where one is not of the standard."""
    from pydicom.tag import BaseTag

    tags = [int(value) for value in element.values if isinstance(value, BaseTag)]
    if len(tags) != len(element.values) or any(not _is_standard(tag) for tag in tags):
        return []
    return list(tags)


def _is_standard(tag: int) -> bool:
    return fate(tag) not in ("private", "graphics", "unknown") and not tag_name(tag).startswith("(")


def clean_date(element: Element, subject: Subject) -> list[Value]:
    """Return the days of dates and times, moved; the time of day goes. None without a subject."""
    if subject.shift_days is None:
        return []
    pattern = _DA if element.vr == "DA" else _DT
    said = [str(value).strip(" \x00") for value in element.values[:_MOST_VALUES]]
    return _all_or_none([_moved(pattern.fullmatch(text), subject.shift_days) for text in said])


def _moved(match: re.Match[str] | None, days: int) -> str | None:
    if match is None:
        return None
    try:
        moved = date(*map(int, match.groups())) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return moved.strftime("%Y%m%d") if moved.year >= 1000 else None


def clean_age(element: Element) -> list[Value]:
    """Return an age; from 90 years on it is 90."""
    said = texts(element)
    match = _AGE.fullmatch(said[0]) if len(said) == 1 else None
    if match is None:
        return []
    years = int(match[1]) // _PER_YEAR[match[2]]
    return [f"{OLDEST:03d}Y" if years >= OLDEST else match[0]]


def clean_sex(element: Element) -> list[Value]:
    """Return F, M or O."""
    said = [text.upper() for text in texts(element)]
    return [said[0]] if len(said) == 1 and said[0] in _SEXES else []


def clean_uids(element: Element, vault: Vault) -> list[Value]:
    """Return UIDs: registered ones as they are, any other one replaced."""
    return [replaced_uid(text, vault) for text in texts(element)]


def is_registered(uid: str) -> bool:
    """Whether a UID is one of the standard: a class, a syntax, a coding scheme."""
    from pydicom.uid import UID

    return bool(UID(uid).type)


def replaced_uid(uid: str, vault: Vault) -> str:
    """Return a registered UID as it is; any other as a keyed one, the same in every file."""
    if is_registered(uid):
        return uid
    digest = vault.pseudonym("uid, first half", uid) + vault.pseudonym("uid, second half", uid)
    # Source: DICOM PS3.5 B.2, UIDs from 128-bit numbers.
    return f"2.25.{int(digest, 16)}"


def clean_pseudonym(element: Element, subject: Subject, vault: Vault) -> list[Value]:
    """Return the vault's pseudonym of an identifier, the same as in a corpus."""
    kind = kept().pseudonyms[element.name]
    if kind == "subject":
        return [] if subject.pseudonym is None else [subject.pseudonym]
    return [vault.pseudonym(kind, text) for text in texts(element)[:1]]


def _all_or_none(made: list[Made | None]) -> list[Made]:
    found = [value for value in made if value is not None]
    return found if len(found) == len(made) else []
