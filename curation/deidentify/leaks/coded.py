"""Bytes written as letters: base64, base32 and hex, wherever a run of such letters stands."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

_WRAPPED = re.compile(r"(?<=[0-9A-Za-z+/_-]{8})[ \t>]*\r?\n[ \t>]*(?=[0-9A-Za-z+/_-]{2})")
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{7,}")
_BASE32 = re.compile(r"(?<![0-9A-Za-z])(?:[A-Z2-7]{8,}|[a-z2-7]{8,})(?![0-9A-Za-z])")
_HEX = re.compile(
    r"(?:0x)?[0-9A-Fa-f]{2}(?:(?:[\s:;,.-]|, )?(?:0x)?[0-9A-Fa-f]{2}){4,}(?:[0-9A-Fa-f])?"
)
_URL_SAFE = str.maketrans("-_", "+/")
FILE_LENGTH = 64
"""From so many letters on, a run may hold a whole file."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What runs of one text decode to: small ones joined by barriers, large ones as files."""

    how: str
    joined: bytes
    files: tuple[bytes, ...]


def decoded_runs(text: str, known: set[tuple[str, str]]) -> Iterator[Decoded]:
    """Yield what the runs of a text decode to, under each code; noise where they were words.

    Runs in `known` are left out, the others added to it.
    """
    text = _WRAPPED.sub("", text)
    for decode, pattern in ((_from_base64, _BASE64), (_from_hex, _HEX), (_from_base32, _BASE32)):
        if runs := [run for run in pattern.findall(text) if (pattern.pattern, run) not in known]:
            known.update((pattern.pattern, run) for run in runs)
            yield decode(runs)


def _from_base64(runs: list[str]) -> Decoded:
    runs = [run.translate(_URL_SAFE) for run in runs]
    # Letters before a run shift it, so each of the four places is tried as its start; a file's
    # first place is not among these, as the file is opened.
    shifted = (
        "".join(_padded(run[shift:]) for run in runs if shift or len(run) < FILE_LENGTH)
        for shift in range(4)
    )
    joined = b"".join(map(binascii.a2b_base64, shifted))
    files = tuple(
        binascii.a2b_base64(run[: len(run) // 4 * 4] + _rest(run))
        for run in runs
        if len(run) >= FILE_LENGTH
    )
    return Decoded("base64", joined, files)


def _padded(run: str) -> str:
    """Return a run as whole groups of four that end in a zero byte: "A" is six zero bits."""
    return run + "A" * (4 - len(run) % 4) + "AAAA"


def _rest(run: str) -> str:
    rest = run[len(run) // 4 * 4 :]
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""


def _from_hex(runs: list[str]) -> Decoded:
    found = []
    for run in runs:
        digits = re.sub(r"0x|[^0-9A-Fa-f]", "", run)
        found += [bytes.fromhex(digits[at : at + (len(digits) - at) // 2 * 2]) for at in (0, 1)]
    files = tuple(data for data in found[::2] if len(data) >= FILE_LENGTH)
    return Decoded("hex", b"\x00".join(found), files)


def _from_base32(runs: list[str]) -> Decoded:
    found = [base64.b32decode(run.upper() + "A" * (-len(run) % 8)) for run in runs]
    files = tuple(data for data in found if len(data) >= FILE_LENGTH)
    return Decoded("base32", b"\x00".join(found), files)
