"""What a data set says that must not be published: for the vault, and the search for leaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from .codes import is_plain, meaning
from .elements import Element, elements, texts
from .read import quietly
from .stream import Budget
from .tables import Fate, fate, profile_actions
from .values import (
    Value,
    clean_age,
    clean_body_part,
    clean_numbers,
    clean_sex,
    clean_terms,
    is_registered,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREFIX = "dicom:"
_TEXT_VRS = ("PN", "LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE")
_NUMBER_VRS = ("IS", "DS", "TM")
_PROSE_VRS = ("LO", "SH", "ST", "LT", "UT", "UC")
_NAME_PARTS = re.compile(r"[\^=,\s]+")
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_LEAST_PART = 3
_LEAST_DIGITS = 6
_PRINTED = re.compile(rb"[\x20-\x7e\xa0-\xff]{5,}")
_MOST_BYTES = 64 * 1024  # a longer value of bytes is a picture or a table
# Texts about devices and programs that PS3.15 leaves in place; as search words they are found in
# any text about software.
_HARMLESS = frozenset(("SoftwareVersions", "Manufacturer", "ManufacturerModelName"))


def identifiers(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield every text that cleaning removes or replaces, as ("dicom:<dotted keyword>", text).

    Of names each part of three letters and more stands alone too, of times the day. Left out is
    what identifies nobody: empty values, codes, numbers but long ones, times of day, and prose
    made of the words of specimens and stains alone.

    Raises: ImageError with reason unreadable or too_large.
    """
    with quietly():
        found = list(_identifiers(dataset, Budget(), PREFIX, 0))
    yield from dict.fromkeys(found)


def _identifiers(
    dataset: Dataset, budget: Budget, prefix: str, level: int
) -> Iterator[tuple[str, str]]:
    for element in elements(dataset, budget, level):
        kind = f"{prefix}{element.name}"
        how = fate(element.tag)
        if how == "codes":
            for item in element.items:
                yield from _of_code(item, kind, budget)
        for item in element.items:
            yield from _identifiers(item, budget, f"{kind}.", level + 1)
        if how not in ("code", "said anew", "pixels", "profile"):
            yield from ((kind, text) for text in _of_element(element, how))


def _of_code(item: Dataset, kind: str, budget: Budget) -> Iterator[tuple[str, str]]:
    said = {e.name: " ".join(texts(e)) for e in elements(item, budget, only=_CODE)}
    value, scheme, own = (said.get(name, "") for name in _CODE)
    if meaning(value, scheme, own) is None:
        yield from (
            (f"{kind}.{name}", text)
            for name, text in (("CodeValue", value), ("CodeMeaning", own))
            if text and not is_plain(text)
        )


def _of_element(element: Element, how: Fate) -> Iterator[str]:
    if how in _CHECKS and _is_kept(element, _CHECKS[how]):
        return
    if element.is_broken or not element.values:
        yield from _printed(element)
        return
    if element.vr == "UN" or (how in ("private", "removed") and element.vr == "OB"):
        yield from _printed(element)
    for text in texts(element):
        yield from _of_text(element, how, text)


_CHECKS: Mapping[Fate, Callable[[Element], list[Value]]] = {
    "age": clean_age, "sex": clean_sex, "body part": clean_body_part, "number": clean_numbers,
    "term": clean_terms,
}  # fmt: skip


def _is_kept(element: Element, clean: Callable[[Element], list[Value]]) -> bool:
    made = clean(element)
    return bool(made) and all(value != "" for value in made)


def _of_text(element: Element, how: Fate, text: str) -> Iterator[str]:
    vr = element.vr
    if vr == "UI":
        yield from () if is_registered(text) else (text,)
    elif vr in ("DA", "DT"):
        yield from dict.fromkeys((text, text[:8]))
    elif vr in _TEXT_VRS or (vr in _NUMBER_VRS and any(c.isalpha() for c in text)):
        yield from _of_words(element, how, text)
    elif vr in (*_NUMBER_VRS, "CS", "AS") and _is_telling(element, how, text):
        yield text


def _is_telling(element: Element, how: Fate, text: str) -> bool:
    """Whether a term or number says more than terms and numbers do."""
    if sum(c.isdigit() for c in text) >= _LEAST_DIGITS and element.vr != "TM":
        return element.vr == "CS" or how == "private" or element.tag in profile_actions()
    return element.vr in ("CS", "AS") and how in _CHECKS and not is_plain(text)


def _of_words(element: Element, how: Fate, text: str) -> Iterator[str]:
    if not any(c.isalnum() for c in text) or element.name in _HARMLESS:
        return
    if element.vr in _PROSE_VRS and how != "pseudonym" and is_plain(text):
        return
    yield text
    if element.vr == "PN":
        parts = (part for part in _NAME_PARTS.split(text) if len(part) >= _LEAST_PART)
        yield from (part for part in parts if part != text and any(c.isalpha() for c in part))


def _printed(element: Element) -> Iterator[str]:
    if not 0 < len(element.raw) <= _MOST_BYTES:
        return
    for run in _PRINTED.findall(element.raw):
        text = run.decode("latin-1").strip()
        if len(text) >= _LEAST_DIGITS - 1 and any(c.isalnum() for c in text):
            yield text
