"""The proof that no text follows the last code of the entropy-coded bytes of a JPEG.

A decoder stops at the last code of a scan. Up to seven bytes that may follow are in its bit buffer
by then, so that it does not even warn of them (it does of eight). Where these seven could be read
as five characters in a row in any 8-bit character set, a second decoding, at an eighth of the size,
proves that they code pixels: with the last byte taken away, the decoder must run out of bits.
About a third of all files need it; decoding all of them twice would cost three times as much.

What may stay: seven bytes that are no text, and the bits that fill up the last byte of a scan or
restart interval.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import simplejpeg

from .jpeg import CleanJpeg

_EOI = b"\xff\xd9"
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BUFFERED_BYTES = 7
_TEXT = re.compile(rb"[\x20-\x7e\xa0-\xfe]{5}")
_RAN_OUT = "premature end of data segment"
_MAX_SIDE_PX = 65500  # of libjpeg
_MAX_INTERVALS = 4096


def may_hide_text(jpeg: CleanJpeg) -> bool:
    """Return whether text may follow the last code of a scan of a JPEG that decodes cleanly."""
    cuts = _cut_intervals(jpeg) if 0 < jpeg.restarts < _units(jpeg) else _cut_scans(jpeg)
    return not all(_runs_out(cut) for cut in cuts)


def _runs_out(cut: bytes) -> bool:
    try:
        # The least size asked for makes it an eighth; 0 would mean the size as it is.
        simplejpeg.decode_jpeg(cut, "GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return _RAN_OUT in str(error)
    return False


def _units(jpeg: CleanJpeg) -> int:
    width, height = jpeg.frame.mcu
    return -(-jpeg.width // width) * -(-jpeg.height // height)


def _cut_scans(jpeg: CleanJpeg) -> Iterator[bytes]:
    """Yield the file with one of its scans cut, for each that may end in text."""
    for start, end in jpeg.scans:
        coded = jpeg.data[start:end]
        if _ends_in_text(coded):
            yield jpeg.data[:start] + _shorter(coded) + jpeg.data[end:]


def _cut_intervals(jpeg: CleanJpeg) -> Iterator[bytes]:
    """Yield restart intervals, cut, as images of one row: at each, decoding starts anew."""
    ((start, end),) = jpeg.scans
    intervals = _RESTART.split(jpeg.data[start:end])
    width, height = jpeg.frame.mcu
    if len(intervals) > _MAX_INTERVALS or jpeg.restarts * width > _MAX_SIDE_PX:
        yield jpeg.data  # does not run out: too long to prove counts as not proved
        return
    left = _units(jpeg)
    for coded in intervals:
        size = struct.pack(">HH", height, min(jpeg.restarts, left) * width)
        head = jpeg.data[: jpeg.frame_at + 5] + size + jpeg.data[jpeg.frame_at + 9 : start]
        if _ends_in_text(coded):
            yield head + _shorter(coded) + _EOI
        left -= jpeg.restarts


def _ends_in_text(coded: bytes) -> bool:
    tail = coded[-2 * _BUFFERED_BYTES :].replace(b"\xff\x00", b"\xff")
    return _TEXT.search(tail[-_BUFFERED_BYTES:]) is not None


def _shorter(coded: bytes) -> bytes:
    return coded[: -2 if coded.endswith(b"\xff\x00") else -1]
