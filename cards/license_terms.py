"""What a licence asks of whoever passes the cells on, decided by its SPDX id.

Only families whose terms the id itself tells are decided; any other known id, and any text, is
left to a person.
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

Term = Literal[
    "attribution", "share-alike", "non-commercial", "no derivatives", "no redistribution"
]

_ASKS_NOTHING = re.compile(r"CC0-1\.0|0BSD|MIT-0|Unlicense|PDDL-1\.0|CC-PDDC")
_ASKS_NOTICE = re.compile(
    r"MIT|BSD-[\w.-]+|Apache-[\d.]+|ISC|Zlib|ODC-By-1\.0|CDLA-Permissive-[\d.]+|ECL-2\.0|Python-2\.0"
)
_ASKS_SAME = re.compile(
    r"(L|A)?GPL-[\d.]+(-only|-or-later)?|MPL-[\d.]+|ODbL-1\.0|CDLA-Sharing-1\.0|EUPL-[\d.]+|GFDL-.+"
)
_CREATIVE = re.compile(r"CC-BY(?P<words>(-NC)?(-SA|-ND)?)-\d\.\d(-[A-Z]{2,3})?")
_FORBIDDEN_WORDS = re.compile(
    r"all rights reserved|proprietary|no[ -]?redistribution|not for redistribution"
    r"|do not (re)?distribute|confidential",
    re.I,
)


def spdx_id(text: str) -> str | None:
    """Return the SPDX id that a text is, however it is written; None where it is none.

    An expression of several ("MIT AND CC-BY-4.0") is none: its parts are judged one by one.
    """
    if re.search(r"\s", text.strip()):
        return None
    try:
        return str(canonicalize_license_expression(text.strip()))
    except InvalidLicenseExpression:
        return None


def terms_of(text: str) -> frozenset[Term] | None:
    """Return what a licence asks of a copy; None where the id does not tell."""
    if _FORBIDDEN_WORDS.search(text):
        return frozenset({"no redistribution"})
    known = spdx_id(text)
    if known is None or known.startswith("LicenseRef-"):
        return None
    if found := _CREATIVE.fullmatch(known):
        words = found["words"]
        terms: set[Term] = {"attribution"}
        if "NC" in words:
            terms.add("non-commercial")
        if "SA" in words:
            terms.add("share-alike")
        if "ND" in words:
            terms.add("no derivatives")
        return frozenset(terms)
    if _ASKS_NOTHING.fullmatch(known):
        return frozenset()
    if _ASKS_NOTICE.fullmatch(known):
        return frozenset({"attribution"})
    if _ASKS_SAME.fullmatch(known):
        return frozenset({"attribution", "share-alike"})
    return None


def split_licenses(text: str) -> list[str]:
    """Return the licences that a release states, of one text: "MIT; CC-BY-4.0" are two."""
    return [part.strip() for part in text.split(";") if part.strip()]


def refusal(row: str, released: str) -> str | None:
    """Return why cells under one licence cannot be released under others; None where they can.

    A curated cell, cropped or coded anew, and what is drawn after it, is a derivative.
    """
    terms = terms_of(row)
    if terms is None:
        return None
    if "no redistribution" in terms:
        return "forbids to pass them on"
    if "no derivatives" in terms:
        return "forbids derivatives (ND), and a curated or drawn cell is one"
    offered = split_licenses(released)
    if any(_same(row, one) for one in offered):
        return None
    if "share-alike" in terms:
        return f"asks for the same licence (SA), and the release says {released}"
    kept: set[Term] = set()
    for one in offered:
        kept |= terms_of(one) or set()
    unknown = any(terms_of(one) is None for one in offered)
    dropped = sorted(terms - kept)
    if dropped and not unknown:
        return f"asks for {', '.join(dropped)}, and the release says {released}"
    return None


def _same(one: str, other: str) -> bool:
    return (spdx_id(one) or one.casefold()) == (spdx_id(other) or other.casefold())
