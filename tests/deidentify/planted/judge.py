"""A plain search of its own: is a text anywhere in some files, whatever they are packed in?

It shares nothing with the product's leak scan, so that each shows what the other may miss.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_DAY = re.compile(r"(\d{4})[-:]?(\d\d)[-:]?(\d\d)")
_WORD = re.compile(r"[^\W\d_]{9,}|\d{8,}")
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
_PNG = b"\x89PNG\r\n\x1a\n"
_BETWEEN = b"\x00\n\x00\n"


class Judge:
    """Says whether a text, or a long word of it, is in some bytes, and in which."""

    def __init__(self, views: Iterable[tuple[str, bytes]]) -> None:
        # Only letters of ASCII have one lower case in every encoding; needles cover the others.
        views = [(name, view.lower()) for name, view in views]
        self._names = [name for name, _ in views]
        self._ends = list(accumulate(len(view) + len(_BETWEEN) for _, view in views))
        self._haystack = _BETWEEN.join(view for _, view in views)
        self._runs = _runs_of_three(self._haystack)

    def sees(self, text: str) -> str | None:
        """Return the name of what a text is in, in any spelling; None where it is nowhere."""
        places = (self._place(needle) for needle in needles(text))
        return next((place for place in places if place is not None), None)

    def sees_part(self, text: str) -> str | None:
        """Return the name of what a text, or a name or number in it, is in."""
        places = (self.sees(part) for part in (text, *_WORD.findall(text)))
        return next((place for place in places if place is not None), None)

    def _place(self, needle: bytes) -> str | None:
        # Thousands of texts are looked for, hardly one is there: a run that is nowhere tells soon.
        runs = (int.from_bytes(needle[at : at + 3], "little") for at in range(len(needle) - 2))
        at = self._haystack.find(needle) if all(self._runs[run] for run in runs) else -1
        return None if at < 0 else self._names[bisect_right(self._ends, at)]


@lru_cache(maxsize=10_000)
def needles(text: str) -> frozenset[bytes]:
    """Return the bytes that a text may stand as, letters of ASCII in lower case."""
    spelled = {text}
    if day := _DAY.fullmatch(text):
        year, month, number = day.groups()
        spelled |= {f"{year}-{month}-{number}", f"{year}:{month}:{number}", year + month + number,
                    f"{number}.{month}.{year}", f"{month}/{number}/{year}"}  # fmt: skip
    spelled |= {form for s in spelled for form in (s.lower(), s.upper())}
    spelled |= {unicodedata.normalize("NFD", s) for s in spelled}
    spelled |= {f for s in spelled for f in (json.dumps(s)[1:-1], quote(s), s.encode().hex())}
    found = {_encoded(s, encoding).lower() for s in spelled for encoding in _ENCODINGS}
    return frozenset(found - {b""})


def _runs_of_three(data: bytes) -> bytes:
    """Return for every number of three bytes whether they stand together somewhere."""
    letters = np.frombuffer(data, np.uint8).astype(np.int32)
    found = np.zeros(1 << 24, np.uint8)
    found[letters[:-2] | letters[1:-1] << 8 | letters[2:] << 16] = 1
    return found.tobytes()


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return b""


def everything(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name of a file, bytes) of all that a folder says.

    That is names, times of change, and what is in files, as it is and unpacked.
    """
    for path in sorted([root, *root.rglob("*")]):
        name = str(path.relative_to(root.parent))
        yield f"name of {name}", name.encode(errors="surrogateescape")
        changed = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
        yield f"time of {name}", f"{changed:%Y-%m-%d %H:%M:%S}".encode()
        if path.is_file() and not path.is_symlink():
            yield from ((name, view) for view in unpacked(path.read_bytes()))


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield some bytes as they are, and everything that is packed in them."""
    yield data
    if data[:4] == data[-4:] == b"PAR1":
        yield from _in_parquet(data)
    elif data[:8] == _PNG:
        yield from _in_png(data)
    elif zipfile.is_zipfile(io.BytesIO(data)):
        yield from _in_zip(data)
    elif data[128:132] == b"DICM":
        yield _in_high_bits(data)


def _in_parquet(data: bytes) -> Iterator[bytes]:
    table = pq.read_table(pa.BufferReader(data))
    for metadata in (table.schema.metadata, *(field.metadata for field in table.schema)):
        yield from (part for pair in (metadata or {}).items() for part in pair)
    for name in table.column_names:
        yield name.encode()
        for value in table[name].to_pylist():
            yield from _in_value(value)


def _in_value(value: object) -> Iterator[bytes]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _in_value(part)
    elif isinstance(value, bytes):
        yield from unpacked(value)
    elif value is not None:
        yield str(value).encode()


def _in_png(data: bytes) -> Iterator[bytes]:
    """Yield what inflates in chunks of text and profiles, and the rows of pixels."""
    at, pixels = 8, b""
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels += body
        elif kind in (b"zTXt", b"iTXt", b"iCCP", b"zzZt"):
            # The stream begins behind a keyword of unknown length.
            yield from (_inflated(body[start:]) for start in range(len(body)))
        at += 12 + length
    yield _inflated(pixels)


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""


def _in_zip(data: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for part in archive.infolist():
            yield part.filename.encode() + part.comment + part.extra
            yield from unpacked(archive.read(part))


def _in_high_bits(data: bytes) -> bytes:
    """Return what the unused upper four bits of 16-bit samples spell, two samples a letter."""
    values = np.frombuffer(data[-2 * (len(data) // 2) :], "<u2")
    high = (values >> 12).astype(np.uint8)
    pairs = high[len(high) % 2 :].reshape(-1, 2)
    shifted = high[1 : len(high) - (len(high) + 1) % 2].reshape(-1, 2)
    return b"\x00".join(
        (p[:, 0] << 4 | p[:, 1]).astype(np.uint8).tobytes() for p in (pairs, shifted)
    )
