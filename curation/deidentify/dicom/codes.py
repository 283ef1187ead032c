"""Codes that say what a specimen is and not whose: known ones, with the meanings that are known.

A code's value and meaning are texts that a person typed. Those that the dictionary of pydicom
holds (the context groups of PS3.16) are passed on with the dictionary's meaning. SNOMED CT and
LOINC have many more; of these a code stays if its check digit is right and its meaning is made of
plain words of specimens and stains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from .check_digits import has_check_digit

_LEGACY, _CURRENT = "SRT", "SCT"
_ANATOMY = frozenset((4, 4029, 4031, 4040, 8103, 8134))
_SPECIMENS = _ANATOMY | frozenset((8110, 8111, 8112, 8113, 8114, 8115, 8130, 8131))
"""Context groups of body parts; and of specimens, stains and microscopy with them."""

# Body parts that the defined terms spell otherwise. Source: DICOM PS3.16 annex L.
_SHORT_PARTS = frozenset(
    ("CSPINE", "TSPINE", "LSPINE", "SSPINE", "WHOLEBODY", "HEADNECK", "ARTERY", "BLOOD",
     "BONEMARROW", "EXTREMITY")
)  # fmt: skip

_PLAIN = frozenset(
    ("blood", "smear", "smears", "film", "slide", "peripheral", "image", "images", "photo",
     "microscopy", "microscope", "digital", "scan", "whole", "field", "stain", "stained", "test",
     "unknown", "anonymous", "routine", "examination", "study", "series", "of", "and", "with",
     "for", "the", "in", "on", "specimen", "sample", "venous", "capillary", "aspirate", "fluid")
)  # fmt: skip


def meaning(value: str, scheme: str, said: str = "") -> str | None:
    """Return the meaning under which a code may stand, None where the code may not; `said` is the
    file's own, for codes that the dictionary does not know.
    """
    if scheme == _LEGACY:
        current = _legacy().get(value)
        return _meanings().get((current, _CURRENT)) if current else None
    known = _meanings().get((value, scheme))
    if known is None and is_plain(said) and has_check_digit(value, scheme):
        return said
    return known


def is_plain(text: str) -> bool:
    """Whether a text consists of words of specimens and stains alone."""
    words = re.findall(r"\w+", text.casefold())
    return bool(words) and all(word in plain_words() for word in words)


def is_body_part(term: str) -> bool:
    """Whether a term of up to 16 capitals is a name of anatomy, as Body Part Examined has it."""
    return term in _SHORT_PARTS or term in _parts()


@cache
def plain_words() -> frozenset[str]:
    """Return words, in lower case, that say what a specimen is and nothing about whose."""
    texts = (_letters(text).casefold().split() for text in _texts_of(_SPECIMENS))
    return frozenset(word for words in texts for word in words) | _PLAIN


@cache
def _meanings() -> Mapping[tuple[str, str], str]:
    found = [
        (bool(groups), value, scheme, text)
        for scheme, entries in _concepts().items()
        for codes in entries.values()
        for value, (text, groups) in codes.items()
    ]
    # Of two meanings that of a context group is what DICOM writes.
    return {(value, scheme): text for _, value, scheme, text in sorted(found)}


def _concepts() -> Mapping[str, Mapping[str, Mapping[str, tuple[str, list[int]]]]]:
    """Return scheme -> keyword -> code -> (meaning, context groups)."""
    from pydicom.sr import _concepts_dict

    concepts: Mapping[str, Any] = _concepts_dict.concepts
    return concepts


@cache
def _legacy() -> Mapping[str, str]:
    from pydicom.sr._snomed_dict import mapping

    return mapping[_LEGACY]


@cache
def _parts() -> frozenset[str]:
    return frozenset(_letters(name).replace(" ", "").upper()[:16] for name in _texts_of(_ANATOMY))


def _texts_of(groups: frozenset[int]) -> Iterator[str]:
    for entries in _concepts().values():
        for codes in entries.values():
            yield from (text for text, found in codes.values() if groups & set(found))


def _letters(text: str) -> str:
    return "".join(c if c.isalpha() else " " for c in text)
