"""What a file is taken apart into: named pieces of bytes or text, and what could not be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PIECE, MAX_TOTAL = 256 * 2**20, 2 * 2**30
"""Bytes that one compressed stream, and all of one file together, may expand to."""
MAX_DEPTH = 10

Text = str
Data = bytes | memoryview
Many = tuple[memoryview, ...]


@dataclass(frozen=True, slots=True)
class Inner:
    """A piece found inside another.

    `span` is the range of the outer bytes that it stands for, so that they are not opened twice.
    Many images, such as a column of them, are one piece: searched together, opened one by one.
    `pixels` are searched and not opened further. `fields` are so few bytes that every run of
    letters in them is taken for text, not for chance. `own` names the column that a text of the
    product's own stands in: its numbers and days may be anybody's by chance.
    """

    carrier: str
    content: Data | Text | Many
    span: tuple[int, int] | None = None
    pixels: bool = False
    fields: bool = False
    own: str = ""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A piece that cannot be searched, and why."""

    carrier: str
    why: str
    span: tuple[int, int] | None = None


Opened = Iterator[Inner | Sealed]


class TooLargeError(Exception):
    """A stream expands to more than may be searched."""


class Room:
    """How many bytes a file may still expand to."""

    def __init__(self, total: int | None = None) -> None:
        self.left = MAX_TOTAL if total is None else total

    def most(self) -> int:
        """Return how long the next piece may be."""
        return min(self.left, MAX_PIECE)

    def take(self, n_bytes: int) -> None:
        """Count bytes of a piece that was opened."""
        self.left -= n_bytes


Opener = Callable[[memoryview, Room], Opened]
"""Looks at bytes; yields what is inside where it knows the format, nothing otherwise."""


def begins(data: memoryview, magic: bytes, at: int = 0) -> bool:
    """Tell whether bytes stand at a place."""
    return bytes(data[at : at + len(magic)]) == magic


def too_large(room: Room) -> str:
    """Return why something larger than the room is not searched."""
    return f"it expands to more than {room.most() // 2**20} MiB, as a zip bomb would"
