"""Telling text from other bytes, and in which encoding it is."""

from __future__ import annotations

import re

ZEROS = re.compile("\x00+")
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
# ASCII but its controls, and the letters beyond it.
_WESTERN = bytes((9, 10, 12, 13, *range(32, 127), *range(0xC0, 0x100)))
_SAMPLE, _MOSTLY = 1 << 16, 0.98
_WORDS = re.compile(
    rb"(?<![^\x00])(?=[^\x00]{5})"
    rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}){2,}(?![^\x00])"
)


def marked_text(data: memoryview) -> str | None:
    """Return a text that begins with a byte order mark, None where there is none."""
    for mark, encoding in _MARKS:
        if bytes(data[: len(mark)]) == mark:
            return bytes(data).decode(encoding, "replace")
    return None


def as_text(block: bytes, *, inside: bool) -> str | None:
    """Return a block as text, None where it is none; `inside` one, a character may be cut."""
    if inside:
        block = block.lstrip(bytes(range(0x80, 0xC0)))
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        if error.start >= len(block) - 3 and len(block) > 3:
            return block[: error.start].decode()
    return block.decode("cp1252", "replace") if _is_western(block[:_SAMPLE]) else None


def _is_western(sample: bytes) -> bool:
    """Tell whether bytes look like text in the encoding of western Windows, or in Latin-1."""
    letters = len(sample) - len(sample.translate(None, _WESTERN))
    return b"\x00" not in sample and letters >= _MOSTLY * len(sample)


def whole_words(decoded: bytes) -> list[bytes]:
    """Return the runs of bytes between barriers that are nothing but text of UTF-8."""
    found: list[bytes] = _WORDS.findall(decoded)
    return found
