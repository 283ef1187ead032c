"""The rule for a DICOM element: the policy's own, or what PS3.15 and its options make of it."""

from __future__ import annotations

from functools import cache

from .dicom.tables import Fate, fate
from .policy import DicomRules, Rule, find_rule


def element_rule(rules: DicomRules, name: str) -> Rule | None:
    """Return the rule for an element by its dotted keyword, None where it is refused.

    Whatever the profile would keep in a cleaned file, a corpus only takes what a rule names.
    """
    named = find_rule(rules.elements, name)
    if named is not None:
        return named
    how = _fate_of(name.rpartition(".")[2])
    refused = {
        "unknown": True,
        "private": rules.private == "refuse",
        "unlisted": rules.unlisted_standard == "refuse",
    }
    return None if refused.get(how) else Rule(names=(name,), action="drop")


@cache
def _fate_of(keyword: str) -> Fate:
    from pydicom.datadict import repeater_has_keyword, tag_for_keyword

    if keyword.startswith("("):
        return fate(int(keyword[1:5], 16) << 16 | int(keyword[6:10], 16))
    if repeater_has_keyword(keyword):
        return "graphics"
    tag = tag_for_keyword(keyword)
    return "unknown" if tag is None else fate(tag)
