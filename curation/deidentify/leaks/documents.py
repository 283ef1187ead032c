"""Headers of array files, and the streams of PDF."""

from __future__ import annotations

import base64
import re

from .pieces import Inner, Opened, Room, Sealed, begins

_MOST_HEADER = 100 * 2**20
_MOST_PAGE = 4 * 2**20
_SHOWS_TEXT = re.compile(rb"\)\s*-?[\d.]*\s*\]\s*TJ\b")
_KERNED = re.compile(rb"\)\s*-?[\d.]*\s*\(")
_ASCII85 = re.compile(rb"<~|(?<=/ASCII85Decode)[^~]{0,200}?stream\r?\n")


def open_safetensors(data: memoryview, room: Room) -> Opened:
    """Yield the header of a safetensors file: names, shapes and the free metadata."""
    length = int.from_bytes(data[:8], "little")
    if 2 <= length <= min(_MOST_HEADER, len(data) - 8) and begins(data, b"{", 8):
        yield Inner("safetensors header", data[8 : 8 + length])


def open_numpy(data: memoryview, room: Room) -> Opened:
    """Yield the header of a NumPy file."""
    if begins(data, b"\x93NUMPY") and len(data) > 12:
        wide = data[6] >= 2
        start = 12 if wide else 10
        length = int.from_bytes(data[8:start], "little")
        yield Inner("NumPy header", data[start : start + length])


def open_pdf(data: memoryview, room: Room) -> Opened:
    """Yield what a PDF writes in base 85; its deflated streams are found as zlib streams."""
    if not begins(data, b"%PDF-"):
        return
    whole = bytes(data)
    if b"/Encrypt" in whole:
        yield Sealed("PDF", "it is encrypted")
    for match in _ASCII85.finditer(whole):
        end = whole.find(b"~>", match.end())
        if end < 0:
            continue
        try:
            decoded = base64.a85decode(whole[match.end() : end])
        except ValueError:
            yield Sealed(f"PDF stream at byte {match.end()}", "its base 85 is broken")
            continue
        yield Inner(f"PDF stream at byte {match.end()}", decoded)


def open_pdf_text(data: memoryview, room: Room) -> Opened:
    """Yield the text of a page without the spaces that set its letters apart."""
    if len(data) <= _MOST_PAGE and _SHOWS_TEXT.search(page := bytes(data)):
        yield Inner("PDF text", _KERNED.sub(b"", page).decode("latin-1"))
