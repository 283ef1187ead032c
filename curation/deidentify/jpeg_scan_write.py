"""DCT coefficients as the entropy-coded bytes of one sequential scan.

Source: ITU-T T.81, F.1.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .jpeg_codes import Layout, codes_of
from .jpeg_tables import AC, DC, STANDARD_CODES, MalformedJpegError

_ZEROS, _END = 0xF0, 0x00
_MOST_DC, _MOST_AC = 2047, 1023
# Places of tokens in a block: DC, then for each coefficient up to three runs of sixteen zeros and
# itself, then the end of the block.
_STRIDE, _PER_COEFFICIENT = 260, 4

Ints = NDArray[np.int64]


def write_scan(planes: list[NDArray[np.int16]], order: Layout) -> bytes:
    """Return a scan of coefficients, (rows, columns, 64) in zigzag order for each component.

    The codes are those of annex K.3: of luminance for the first component, of chrominance for the
    others.

    Raises: MalformedJpegError where a value is larger than these can code.
    """
    blocks = order.scan(planes)
    slots = np.tile(np.minimum(order.owners, 1), order.units)
    differences = _differences(blocks, order).ravel()
    flat = blocks.reshape(-1, 64).astype(np.int64)
    if np.abs(differences).max() > _MOST_DC or np.abs(flat[:, 1:]).max() > _MOST_AC:
        raise MalformedJpegError("a coefficient is larger than the standard codes allow")
    everywhere = np.arange(len(flat)) * _STRIDE
    parts = [
        (everywhere, *_coded(DC, slots, 0 * differences, differences)),
        *_runs(flat, slots),
    ]
    place, code, bits = (np.concatenate(part) for part in zip(*parts, strict=True))
    turn = np.argsort(place, kind="stable")
    return _packed(code[turn], bits[turn])


def _differences(blocks: NDArray[np.int16], order: Layout) -> Ints:
    out = np.empty(blocks.shape[:2], np.int64)
    for owner in range(len(order.shapes)):
        mine = order.owners == owner
        values = blocks[:, mine, 0].astype(np.int64)
        out[:, mine] = np.diff(values.ravel(), prepend=0).reshape(values.shape)
    return out


def _runs(flat: Ints, slots: Ints) -> list[tuple[Ints, Ints, Ints]]:
    """Return (place, code, bits) of AC coefficients, of long runs of zeros and of ends."""
    block, index = np.nonzero(flat[:, 1:])
    index = index + 1
    first = np.diff(block, prepend=-1) != 0
    zeros = index - np.where(first, 0, np.roll(index, 1)) - 1
    place = block * _STRIDE + index * _PER_COEFFICIENT
    here = _coded(AC, slots[block], (zeros & 15) << 4, flat[block, index])
    long = zeros >> 4
    which = np.repeat(np.arange(len(long)), long)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(long) - long, long)
    skips = _coded(AC, slots[block[which]], np.full(len(which), _ZEROS), 0 * which)
    short = np.flatnonzero(flat[:, 63] == 0)
    ends = _coded(AC, slots[short], np.full(len(short), _END), 0 * short)
    return [
        (place + _PER_COEFFICIENT - 1, *here),
        (place[which] + nth, *skips),
        (short * _STRIDE + _STRIDE - 1, *ends),
    ]


def _coded(kind: int, slots: Ints, runs: Ints, values: Ints) -> tuple[Ints, Ints]:
    """Return codes with the bits of their values behind them, and their lengths in bits."""
    size = np.frexp(np.abs(values).astype(np.float64))[1].astype(np.int64)
    extra = np.where(values < 0, values + (1 << size) - 1, values)
    tables = [codes_of(codes) for codes in STANDARD_CODES[kind]]
    code = np.stack([table.code for table in tables])[slots, runs | size]
    bits = np.stack([table.bits for table in tables])[slots, runs | size]
    return code << size | extra, bits + size


def _packed(code: Ints, bits: Ints) -> bytes:
    """Return codes one behind the other, the last byte filled up with ones, 0xFF stuffed."""
    owner = np.repeat(np.arange(len(bits)), bits)
    left = np.repeat(np.cumsum(bits), bits) - np.arange(len(owner)) - 1
    stream = ((code[owner] >> left) & 1).astype(np.uint8)
    filled = np.append(stream, np.ones(-len(stream) % 8, np.uint8))
    return np.packbits(filled).tobytes().replace(b"\xff", b"\xff\x00")
