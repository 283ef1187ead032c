"""Streams for untrusted files: reads end where the file ends, and there are only so many."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

from ...errors import ImageError

MOST_READS = 1_500_000
"""The reads of a slide whose header places 50,000 tiles one by one; a bomb gets no further."""
MOST_HEADER_BYTES = 256 * 2**20


class TooManyReadsError(ImageError):
    """A file has more elements than any microscope writes."""

    def __init__(self) -> None:
        super().__init__("too_large", "more elements than are read of one file")


class Budget:
    """How many reads are left for one file, over all the streams that its parts become."""

    def __init__(self) -> None:
        self._left = MOST_READS

    def spend(self) -> None:
        """Count one read.

        Raises: TooManyReadsError.
        """
        self._left -= 1
        if self._left < 0:
            raise TooManyReadsError

    @property
    def is_spent(self) -> bool:
        """Whether a read was refused."""
        return self._left < 0


class EndingStream:
    """A binary stream that never reads beyond `end`, however long a length the file declares."""

    def __init__(self, stream: BinaryIO, budget: Budget, end: int | None = None) -> None:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        self._stream = stream
        self._budget = budget
        self.end = size if end is None else min(size, end)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer at the end."""
        self._budget.spend()
        left = max(self.end - self._stream.tell(), 0)
        return self._stream.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


def ending_bytes(data: bytes, budget: Budget) -> EndingStream:
    """Return an ending stream over bytes in memory."""
    return EndingStream(io.BytesIO(data), budget)
