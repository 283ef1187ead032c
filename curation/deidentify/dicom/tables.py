"""What becomes of each element: PS3.15 annex E's basic profile, and the list of what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

import yaml

from ...frozen import Frozen
from .elements import tag_name

PS3_15_EDITION = "dicomfields_2026c"
"""The newest edition of the tables that dicom-anonymizer carries."""

_FIRST_GROUP = 0x0008  # of a picture's data set

Fate = Literal[
    "date", "pseudonym", "age", "sex", "uid", "sequence", "codes", "pointer", "body part",
    "number", "term",  # kept, each in its way
    "code", "profile", "said anew",  # kept as what is known to be harmless
    "empty",  # PS3.15 wants the element to stay, without what it said
    "removed", "private", "graphics", "pixels", "unlisted", "unknown",
]  # fmt: skip


class Kept(Frozen):
    """The file `kept.yaml`: keywords of the elements that stay, by how they are cleaned."""

    dates: frozenset[str]
    pseudonyms: Mapping[str, Literal["subject", "slide"]]
    uids: frozenset[str]
    sequences: frozenset[str]
    said_anew: frozenset[str]
    code_parts: frozenset[str]
    codes: frozenset[str]
    pointers: frozenset[str]
    body_parts: frozenset[str]
    numbers: Mapping[str, tuple[float, float]]
    terms: Mapping[str, tuple[str, ...]]


@cache
def kept() -> Kept:
    """Return the list of what is kept."""
    text = files(__package__ or "").joinpath("kept.yaml").read_text(encoding="utf-8")
    return Kept.model_validate_json(json.dumps(yaml.safe_load(text)))


@cache
def profile_actions() -> Mapping[int, str]:
    """Return tag -> action of PS3.15's basic profile: "X", "Z", "D", "U", "Z/D", "X/Z/U*", ….

    Repeating groups (curves, overlays) are left out: whole groups go.
    """
    from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector

    table = dicom_anonymization_database_selector(PS3_15_EDITION)
    return {
        tag[0] << 16 | tag[1]: name.removesuffix("_TAGS").replace("_STAR", "*").replace("_", "/")
        for name, tags in table.items()
        if name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }


def fate(tag: int) -> Fate:
    """Return what becomes of an element."""
    group = tag >> 16
    if group % 2:
        return "private"
    if 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
        return "graphics"
    if group == 0x7FE0:
        return "pixels"
    if group < _FIRST_GROUP or tag & 0xFFFF == 0:
        return "removed"  # commands and directories; and lengths of groups, of the last century
    return _standard_fate(tag)


@lru_cache(maxsize=8192)
def _standard_fate(tag: int) -> Fate:
    name = tag_name(tag)
    if name.startswith("("):
        return "unknown"
    found = _kept_fate(name)
    if found is not None:
        return found
    action = profile_actions().get(tag)
    if action is None:
        return "unlisted"
    if action == "U":
        return "uid"
    return "empty" if "Z" in action else "removed"


def _kept_fate(name: str) -> Fate | None:
    table = kept()
    single: Mapping[str, Fate] = {
        "PatientAge": "age", "PatientSex": "sex", "ICCProfile": "profile"
    }  # fmt: skip
    named: tuple[tuple[Mapping[str, object] | frozenset[str], Fate], ...] = (
        (table.dates, "date"),
        (table.pseudonyms, "pseudonym"),
        (table.uids, "uid"),
        (table.sequences, "sequence"),
        (table.codes, "codes"),
        (table.code_parts, "code"),
        (table.said_anew, "said anew"),
        (table.pointers, "pointer"),
        (table.body_parts, "body part"),
        (table.numbers, "number"),
        (table.terms, "term"),
    )
    return single.get(name) or next((how for names, how in named if name in names), None)
