"""The normal form in which identifiers and texts are compared.

A text keeps its length in ASCII, so that what stands around a match can be looked at; everything
else is folded: no accents, no case, compatibility characters (full-width digits, ligatures) as
ASCII, invisible characters gone, other punctuation as a blank. ASCII keeps its case, since case
tells words from base64; `.lower()` has the same length.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_FOREIGN = re.compile(r"[^\x00-\x7f]+")
# Letters that Unicode does not take apart.
_PLAIN = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ħ": "h"}
)
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_INVISIBLE = ("Mn", "Me", "Cf")

_DROPPED = bytes(byte for byte in range(0x80) if not (chr(byte).isdigit() or chr(byte).islower()))

BARRIER = b"\x00"
"""Stands between texts that do not belong together; it is in no identifier."""
DIGITS = frozenset(b"0123456789")
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") | frozenset(
    range(0x80, 0x100)
)
ALNUM = DIGITS | LETTERS


def normal(text: str) -> bytes:
    """Return the normal form of a text, UTF-8."""
    folded = text if text.isascii() else _FOREIGN.sub(lambda match: _folded(match[0]), text)
    return folded.encode("utf-8", "replace")


@lru_cache(maxsize=1 << 16)
def _folded(run: str) -> str:
    apart = unicodedata.normalize("NFKD", run)
    plain = unicodedata.normalize("NFKD", apart.casefold().translate(_PLAIN))
    return "".join(_plain_character(character) for character in plain)


def _plain_character(character: str) -> str:
    if unicodedata.category(character) in _INVISIBLE:
        return ""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return character if character.isalnum() or character.isascii() else " "


def key(text: str) -> bytes:
    """Return the letters and digits of a text in normal form, lower case: what is searched for."""
    return normal(text).lower().translate(None, _DROPPED)


def spelled_out(text: str) -> str | None:
    """Return a text with its umlauts as two letters ("Mueller"), None where it has none."""
    if text.isascii():
        return None
    composed = unicodedata.normalize("NFC", text).casefold()
    spelled = composed.translate(_SPELLED_OUT)
    return spelled if spelled != composed else None


def weight(form: bytes) -> int:
    """Return the length of a normal form in letters; an ideograph counts as two."""
    if form.isascii():
        return len(form)
    # A form may have been clipped inside a character.
    text = form.decode("utf-8", "ignore")
    return len(text) + sum("\u2e80" <= character <= "\ud7ff" for character in text)
