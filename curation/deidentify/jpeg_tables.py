"""The quantisation and Huffman tables of a JPEG: parsed in full, vouched for, written anew.

A table is up to 190 bytes that any encoder may choose, and a decoder never looks at what the scan
does not refer to. So a table is kept only where it is one of the tables that the standard prints
(scaled, for quantisation), or where its order leaves no room for text; see `read_quantisation` and
`read_huffman`. Source: ITU-T T.81, B.2.4.1, B.2.4.2, C.2 and annex K.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from itertools import pairwise

DC, AC = 0, 1
Quantisation = tuple[int, bytes]
"""Slot 0..3, and 64 values of 1..255 in zigzag order."""
Huffman = tuple[int, int, bytes]
"""Class DC or AC, slot 0..3, and 16 counts per code length followed by the symbols."""

_DQT, _DHT = 0xDB, 0xC4
_MAX_DC_SIZE, _MAX_AC_SIZE = 11, 10  # bits of a difference and of a coefficient at 8 bits a sample
_TEXT = re.compile(rb"[0-9A-Za-z .,:;/_^+-]{5,}")
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51"
    "575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex("11121218151 82f1a1a2f63423842".replace(" ", "")) + b"\x63" * 50
ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)
"""Row and column of each place in the zigzag order (figure A.6)."""
TRANSPOSED = tuple(ZIGZAG.index((column, row)) for row, column in ZIGZAG)
"""Where each place of a transposed block, in zigzag order, lies in the block."""
_LUMA_TRANSPOSED = bytes(_LUMA[place] for place in TRANSPOSED)
_DC_CODES = (
    bytes.fromhex("00010501010101010100000000000000") + bytes(range(12)),
    bytes.fromhex("00030101010101010101010000000000") + bytes(range(12)),
)
_AC_CODES = (
    bytes.fromhex(
        "0002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552"
        "d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465"
        "666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8"
        "b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
    bytes.fromhex(
        "00020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c1092333"
        "52f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a6364"
        "65666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6"
        "b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)
STANDARD_CODES: tuple[tuple[bytes, bytes], tuple[bytes, bytes]] = (_DC_CODES, _AC_CODES)
"""Annex K.3, by class and slot: they code every symbol that 8-bit baseline can need."""


class MalformedJpegError(ValueError):
    """The bytes do not follow the part of the JPEG standard that this walk vouches for."""


@lru_cache(maxsize=256)
def read_quantisation(body: bytes) -> tuple[Quantisation, ...]:
    """Return the tables of a DQT segment.

    Raises: MalformedJpegError for values outside 1..255, bytes left over, and a table that is not
    a scaled one of annex K and spells text.
    """
    tables, position = [], 0
    while position < len(body):
        width, slot = body[position] >> 4, body[position] & 15
        end = position + 1 + 64 * (width + 1)
        if width > 1 or slot > 3 or end > len(body):
            raise MalformedJpegError("a quantisation table is cut short or odd")
        values = struct.unpack(f">64{'BH'[width]}", body[position + 1 : end])
        if min(values) < 1 or max(values) > 255:
            raise MalformedJpegError("a quantisation table has values outside 1 to 255")
        tables.append((slot, _vouched_quantisation(bytes(values))))
        position = end
    return tuple(tables)


@lru_cache(maxsize=256)
def read_huffman(body: bytes, progressive: bool) -> tuple[Huffman, ...]:
    """Return the tables of a DHT segment.

    Vouched for are the tables of annex K.3, and tables whose symbols are possible ones, each once,
    and ascending within each code length, as encoders that fit tables to an image write them.

    Raises: MalformedJpegError for anything else.
    """
    tables, position = [], 0
    while position < len(body):
        kind, slot = body[position] >> 4, body[position] & 15
        end = position + 17 + sum(body[position + 1 : position + 17])
        if kind > AC or slot > 3 or position + 17 > len(body) or end > len(body):
            raise MalformedJpegError("a Huffman table is cut short or odd")
        codes = bytes(body[position + 1 : end])
        if codes not in STANDARD_CODES[kind]:
            _check_codes(codes, _symbols(kind, progressive))
        tables.append((kind, slot, codes))
        position = end
    return tuple(tables)


@lru_cache(maxsize=256)
def write_quantisation(table: Quantisation) -> bytes:
    """Return a table as a DQT segment of its own."""
    slot, values = table
    return segment(_DQT, bytes([slot]) + values)


@lru_cache(maxsize=256)
def write_huffman(table: Huffman) -> bytes:
    """Return a table as a DHT segment of its own."""
    kind, slot, codes = table
    return segment(_DHT, bytes([kind << 4 | slot]) + codes)


def segment(marker: int, body: bytes) -> bytes:
    """Return a marker segment: 0xFF, marker, length, body."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _vouched_quantisation(values: bytes) -> bytes:
    if values in _scaled_tables():
        return values
    # Entries of frequencies that an image does not have change no pixel, so that they could spell
    # anything; a flat run (0x63 is an "c") says nothing.
    if any(len(set(run)) > 2 for run in _TEXT.findall(values)):
        raise MalformedJpegError("a quantisation table of no known kind spells text")
    return values


@lru_cache(maxsize=1)
def _scaled_tables() -> frozenset[bytes]:
    """Annex K.1 at the qualities 1 to 100 of the Independent JPEG Group: what most files hold.

    And transposed, as files that were turned without loss hold them.
    """
    scales = [5000 // quality if quality < 50 else 200 - 2 * quality for quality in range(1, 101)]
    return frozenset(
        bytes(min(max((value * scale + 50) // 100, 1), 255) for value in base)
        for base in (_LUMA, _LUMA_TRANSPOSED, _CHROMA)
        for scale in scales
    )


@lru_cache(maxsize=4)
def _symbols(kind: int, progressive: bool) -> frozenset[int]:
    if kind == DC:
        return frozenset(range(_MAX_DC_SIZE + 1))
    runs = range(0, 256, 16)
    sized = {run | size for run in runs for size in range(1, _MAX_AC_SIZE + 1)}
    # Without a size: end of block and sixteen zeros; in a progressive scan also longer ends.
    return frozenset(sized | (set(runs) if progressive else {0x00, 0xF0}))


def _check_codes(codes: bytes, possible: frozenset[int]) -> None:
    counts, symbols = codes[:16], codes[16:]
    if len(set(symbols)) != len(symbols) or not possible.issuperset(symbols):
        raise MalformedJpegError("a Huffman table has symbols twice, or impossible ones")
    code = position = 0
    for length, count in enumerate(counts, 1):
        code = (code << 1) + count
        # No code is all ones (C.2).
        if count and code >= 1 << length:
            raise MalformedJpegError("a Huffman table has more codes than fit")
        run = symbols[position : position + count]
        if any(here >= following for here, following in pairwise(run)):
            raise MalformedJpegError("a Huffman table of no known kind is out of order")
        position += count
