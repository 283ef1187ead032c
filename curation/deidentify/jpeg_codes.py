"""The codes of a Huffman table, and the order in which a scan codes the blocks of its components.

Source: ITU-T T.81, A.2, C.2 and F.2.2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .jpeg_frame import Frame

_WINDOW_BITS = 16


@dataclass(frozen=True, slots=True)
class Codes:
    """A Huffman table, three ways.

    `code` and `bits` give a symbol's code and its length, 0 where it has none: (256,) int64.
    `symbol` and `length` give what 16 bits of a scan begin with, length 0 where it is no code:
    (65536,) uint8.
    """

    code: NDArray[np.int64]
    bits: NDArray[np.int64]
    symbol: NDArray[np.uint8]
    length: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the blocks of a frame follow one another in its only scan.

    `units` are the MCUs, across and down; `shapes` the blocks of each component in one of them,
    (down, across).
    """

    across: int
    down: int
    shapes: tuple[tuple[int, int], ...]

    @property
    def units(self) -> int:
        """MCUs in all."""
        return self.across * self.down

    @property
    def owners(self) -> NDArray[np.int64]:
        """The position of the component that each block of an MCU belongs to, (blocks,)."""
        return np.repeat(
            np.arange(len(self.shapes)), [down * across for down, across in self.shapes]
        )

    def planes(self, scan: NDArray[np.int16]) -> list[NDArray[np.int16]]:
        """Return (rows, columns, 64) for each component of blocks in scan order.

        `scan` is (units, blocks of an MCU, 64).
        """
        out, at = [], 0
        for down, across in self.shapes:
            part = scan[:, at : at + down * across]
            grid = part.reshape(self.down, self.across, down, across, 64).swapaxes(1, 2)
            out.append(grid.reshape(self.down * down, self.across * across, 64))
            at += down * across
        return out

    def scan(self, planes: list[NDArray[np.int16]]) -> NDArray[np.int16]:
        """Return blocks in scan order, (units, blocks of an MCU, 64): the inverse of `planes`."""
        parts = []
        for plane, (down, across) in zip(planes, self.shapes, strict=True):
            grid = plane.reshape(self.down, down, self.across, across, 64).swapaxes(1, 2)
            parts.append(grid.reshape(self.units, down * across, 64))
        return np.concatenate(parts, axis=1)


def layout(frame: Frame) -> Layout:
    """Return the order of blocks in a scan of all components of a frame."""
    width, height = frame.mcu
    # Alone in a scan, a component is coded block by block, whatever its sampling factors (A.2.2).
    alone = len(frame.components) == 1
    shapes = tuple((1, 1) if alone else (part.down, part.across) for part in frame.components)
    return Layout(-(-frame.width // width), -(-frame.height // height), shapes)


@lru_cache(maxsize=64)
def codes_of(table: bytes) -> Codes:
    """Return the codes of a table: 16 counts per code length, followed by the symbols."""
    counts = np.frombuffer(table[:16], np.uint8)
    symbols = np.frombuffer(table[16:], np.uint8)
    lengths = np.repeat(np.arange(1, 17), counts)
    # As canonical codes ascend, each begins where the places of the one before it end.
    places = 1 << (_WINDOW_BITS - lengths)
    code, bits = np.zeros(256, np.int64), np.zeros(256, np.int64)
    code[symbols] = (np.cumsum(places) - places) >> (_WINDOW_BITS - lengths)
    bits[symbols] = lengths
    symbol, length = np.zeros(1 << _WINDOW_BITS, np.uint8), np.zeros(1 << _WINDOW_BITS, np.uint8)
    symbol[: places.sum()] = np.repeat(symbols, places)
    length[: places.sum()] = np.repeat(lengths, places)
    return Codes(code, bits, symbol, length)
