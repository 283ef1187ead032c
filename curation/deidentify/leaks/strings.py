"""What may be text in bytes that are none: runs of printable characters, and UTF-16 and UTF-32.

The bulk of a corpus is compressed pixels, so this is what a scan spends its time on: four bytes at
a time are tested at once, and only what passes is looked at closely.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .normal import BARRIER

BLOCK, OVERLAP = 1 << 18, 1 << 12
_HIGH, _BLANK = np.uint32(0x80808080), np.uint32(0x20202020)
_EVEN, _ODD = np.uint32(0x00FF00FF), np.uint32(0xFF00FF00)
_CHARACTER = rb"[\t\n\r\x20-\x7e\xa0-\xff]"
_WIDE = re.compile(
    rb"(?:" + _CHARACTER + rb"\x00\x00\x00){4,}" + _CHARACTER + rb"?"
    rb"|(?:" + _CHARACTER + rb"\x00){4,}" + _CHARACTER + rb"?"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Strings:
    """The runs of one block, each kind joined by barriers: `text` long ones, `wide` from UTF-16."""

    short: bytes
    text: bytes
    wide: str


def strings_in(block: bytes, shortest: int, shortest_text: int) -> Strings:
    """Return the runs of printable characters of at least `shortest` bytes.

    Those of `shortest_text` bytes are text: random bytes have none of that length.
    """
    near = block if shortest < 7 else _near(block, _long_enough(block, _printable(block)))
    pattern = re.compile(rb"[\t\n\r\x20-\x7e]{%d,}" % shortest)
    runs: list[bytes] = pattern.findall(near)
    short = BARRIER.join(run for run in runs if len(run) < shortest_text)
    return Strings(
        short, BARRIER.join(run for run in runs if len(run) >= shortest_text), _wide(block)
    )


def _wide(block: bytes) -> str:
    words = _words(block)
    every_other = ((words & _ODD) == 0) | ((words & _EVEN) == 0)
    every_other &= words != 0
    runs = [run.replace(b"\x00", b"") for run in _WIDE.findall(_near(block, every_other))]
    return "\x00".join(run.decode("latin-1") for run in runs)


def _words(block: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(block[: len(block) // 4 * 4], np.uint32)


def _printable(block: bytes) -> NDArray[np.bool_]:
    """Tell of each aligned four bytes whether all are printable ASCII, (n // 4,) bool.

    A tab or a line's end ends a run here; the bytes around what passes are looked at anyway.
    """
    words = _words(block)
    low = words | _HIGH
    low -= _BLANK
    low &= _HIGH
    low ^= _HIGH
    low |= words
    low &= _HIGH
    flags: NDArray[np.bool_] = low == 0
    return flags


def _long_enough(block: bytes, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the flagged words that are part of seven printable bytes or more, (n // 4,) bool."""
    hits = np.flatnonzero(flags)
    padded = np.frombuffer(bytes(3) + block + bytes(3), np.uint8)
    left = [_PRINTABLE[padded[4 * hits + offset]] for offset in (2, 1, 0)]
    right = [_PRINTABLE[padded[4 * hits + offset]] for offset in (7, 8, 9)]
    lengths = np.zeros(len(hits), np.uint8)
    for first, second, third in (left, right):
        second &= first
        third &= second
        lengths += first
        lengths += second
        lengths += third
    kept = np.zeros(len(flags), np.bool_)
    kept[hits[lengths >= 3]] = True
    return kept


def _near(block: bytes, flags: NDArray[np.bool_]) -> bytes:
    """Return the flagged words of a block with their neighbours; a barrier where one is left out.

    A run of seven bytes holds a whole aligned word, and at most three bytes on either side of it.
    """
    hits = np.flatnonzero(flags)
    if not len(hits):
        return block if len(block) < 8 else b""
    wanted = np.zeros(len(flags) + 2, np.bool_)
    wanted[hits] = wanted[hits + 1] = wanted[hits + 2] = True
    wanted[0] = wanted[-1] = False
    edges = np.flatnonzero(wanted[1:] != wanted[:-1]).tolist()
    pieces = [
        block[4 * start : 4 * stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]
    # The bytes behind the last whole word may continue the last piece.
    if wanted[-2]:
        pieces[-1] += block[len(flags) * 4 :]
    return (BARRIER * 4 + b"\xff").join(pieces)


_PRINTABLE = np.array([32 <= byte < 127 or byte in b"\t\n\r" for byte in range(256)], np.uint8)
