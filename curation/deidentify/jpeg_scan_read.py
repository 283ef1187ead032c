"""The DCT coefficients of a JPEG of one sequential scan, read without a decoder.

At every bit of the scan numpy looks up what a code that begins there would be, so that the only
step taken one after the other is the hop from each code to the next. Read strictly: every code is
one of its table, every block full, and less than a byte is left at the end of each interval.
Source: ITU-T T.81, F.2.2 and E.2.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .jpeg_codes import Layout, codes_of, layout
from .jpeg_frame import Frame
from .jpeg_tables import AC, DC, MalformedJpegError
from .jpeg_walk import Scan

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LEAST_BITS_OF_A_BLOCK = 2
# Hops within a block: an end of block goes beyond what any run reaches, what is no code further.
_END, _NO_CODE = 128, 192
_STRIDE = 256
_MOST = 32767


@dataclass(frozen=True, slots=True)
class _Bits:
    """The bits of a scan: `windows` are the 32 bits that begin at each, (bits,) uint32."""

    windows: NDArray[np.uint32]
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Hops:
    """What a code at each bit does: how many bits it takes (0: it is none), how far it goes."""

    bits: bytes
    forward: bytes


def read_scan(scan: Scan, frame: Frame, restarts: int) -> list[NDArray[np.int16]]:
    """Return the quantised coefficients of each component, (rows, columns, 64) in zigzag order.

    Rows and columns are blocks, those included that fill up the last MCUs.

    Raises: MalformedJpegError where the scan is damaged, or more follows than fills its last byte.
    """
    order = layout(frame)
    intervals = _RESTART.split(scan.coded) if restarts else [scan.coded]
    # Before memory is taken: a header may speak of any size.
    if order.units * len(order.owners) * _LEAST_BITS_OF_A_BLOCK > 8 * len(scan.coded):
        raise MalformedJpegError("the scan is too short for its size")
    units = _units_of_intervals(order.units, restarts, len(intervals))
    bits = _bits_of(intervals)
    hops = {table: _hops(bits, table[0], codes) for table, codes in scan.tables.items()}
    tables = [scan.header.parts[owner][1:] for owner in order.owners]
    per_block = [(hops[DC, dc_slot], hops[AC, ac_slot]) for dc_slot, ac_slot in tables]
    places, spots = _hop(per_block, bits.ends, units)
    blocks = np.zeros((order.units * len(per_block), 64), np.int16)
    block, index = np.divmod(spots, _STRIDE)
    for slot, (dc_slot, ac_slot) in enumerate(tables):
        for kind, codes in ((DC, scan.tables[DC, dc_slot]), (AC, scan.tables[AC, ac_slot])):
            kept = (block % len(per_block) == slot) & ((index == 0) == (kind == DC)) & (index < 64)
            windows = bits.windows[places[kept]]
            blocks[block[kept], index[kept]] = _values(windows, codes)
    coefficients = blocks.reshape(order.units, len(per_block), 64)
    _add_up_dc(coefficients, order, restarts)
    return order.planes(coefficients)


def _units_of_intervals(units: int, restarts: int, intervals: int) -> list[int]:
    starts = list(range(0, units, restarts or units))
    if len(starts) != intervals:
        raise MalformedJpegError("the scan has a wrong number of restart intervals")
    return [end - start for start, end in pairwise([*starts, units])]


def _bits_of(intervals: list[bytes]) -> _Bits:
    plain = [coded.replace(b"\xff\x00", b"\xff") for coded in intervals]
    data = np.frombuffer(b"".join(plain) + bytes(4), np.uint8).astype(np.uint64)
    five = sum(data[i : len(data) - 4 + i] << np.uint64(32 - 8 * i) for i in range(5))
    shifts = np.arange(8, 0, -1, dtype=np.uint64)
    windows = (np.asarray(five)[:, None] >> shifts).astype(np.uint32).ravel()
    return _Bits(windows, tuple(8 * int(end) for end in np.cumsum([len(part) for part in plain])))


def _hops(bits: _Bits, kind: int, table: bytes) -> _Hops:
    codes = codes_of(table)
    first = bits.windows >> np.uint32(16)
    length, symbol = codes.length[first], codes.symbol[first]
    size = symbol & 15
    # One more, as the hop before may end at the last bit.
    step = np.append(length + size, np.uint8(0)).astype(np.uint8)
    forward = np.full(len(step), _NO_CODE, np.uint8)
    forward[:-1] = (symbol >> 4) + 1
    forward[:-1][symbol == 0] = _END
    left = bits.ends[-1] - np.arange(len(step))
    none = (np.append(length, np.uint8(0)) == 0) | (step > left)
    step[none], forward[none] = 0, _NO_CODE
    return _Hops(step.tobytes(), b"" if kind == DC else forward.tobytes())


def _hop(
    per_block: list[tuple[_Hops, _Hops]], ends: tuple[int, ...], units: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each code begins, and which coefficient it codes: block * 256 + index."""
    chain = [(dc.bits, ac.bits, ac.forward) for dc, ac in per_block]
    places: list[int] = []
    spots: list[int] = []
    at = base = 0
    for end, count in zip(ends, units, strict=True):
        for _ in range(count):
            for dc_bits, ac_bits, ac_forward in chain:
                if not dc_bits[at]:
                    raise MalformedJpegError("a code of the scan is in no table")
                places.append(at)
                spots.append(base)
                at += dc_bits[at]
                index = 1
                while index < 64:
                    index += ac_forward[at]
                    places.append(at)
                    spots.append(base + index - 1)
                    at += ac_bits[at]
                if 64 < index <= _END or index > _NO_CODE:
                    raise MalformedJpegError("a block of the scan is damaged")
                base += _STRIDE
        if not end - 8 < at <= end:
            raise MalformedJpegError("the scan ends before or behind its last code")
        at = end
    return np.array(places, np.int64), np.array(spots, np.int64)


def _values(windows: NDArray[np.uint32], table: bytes) -> NDArray[np.int16]:
    """Return the values, int16, that the codes at the beginning of 32 bits announce."""
    codes = codes_of(table)
    first = windows >> np.uint32(16)
    size = (codes.symbol[first] & 15).astype(np.int64)
    value = (windows.astype(np.int64) >> (32 - codes.length[first] - size)) & ((1 << size) - 1)
    # A first bit of 0 stands for a negative value (table F.1).
    negative = (size > 0) & (value < 1 << np.maximum(size - 1, 0))
    signed: NDArray[np.int64] = np.where(negative, value - (1 << size) + 1, value)
    return signed.astype(np.int16)


def _add_up_dc(coefficients: NDArray[np.int16], order: Layout, restarts: int) -> None:
    """Replace each difference by the sum of its interval up to it (F.2.2.1)."""
    for owner in range(len(order.shapes)):
        mine = order.owners == owner
        differences = coefficients[:, mine, 0].astype(np.int64)
        sums = np.cumsum(differences).reshape(differences.shape)
        if restarts:
            before = sums[:, -1][restarts - 1 : -1 : restarts]
            parts = np.repeat(np.append(0, before), restarts)[: order.units]
            sums = sums - parts[:, None]
        if np.abs(sums).max() > _MOST:
            raise MalformedJpegError("a DC coefficient is out of range")
        coefficients[:, mine, 0] = sums
