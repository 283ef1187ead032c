"""Reading one file: what is text is searched as text, what is not for strings, and both opened."""

from __future__ import annotations

import re

from .coded import decoded_runs
from .collector import Collector, Where
from .decoders import unescaped, unescaped_bytes, without_markup
from .normal import BARRIER, normal
from .openers import opened
from .pieces import MAX_DEPTH, Data, Inner, Many, Opened, Room, Sealed, begins
from .search import Search
from .streams import streams_in
from .strings import BLOCK, OVERLAP, Strings, strings_in

_TEXT_BLOCK, _TEXT_OVERLAP = 16 * 2**20, 1 << 16
_SMALL = 1 << 16
"""Bytes up to which a piece that was opened by name is taken for text fields, not for pixels."""
_SAMPLE, _MOSTLY = 1 << 16, 0.98
# ASCII but its controls, and the letters beyond it.
_WESTERN = bytes((9, 10, 12, 13, *range(32, 127), *range(0xC0, 0x100)))
_WORDS = re.compile(
    rb"(?<![^\x00])(?=[^\x00]{5})"
    rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}){2,}(?![^\x00])"
)
_ZEROS = re.compile("\x00+")
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # fmt: skip
FILE_TEXT = "text"


class Reader:
    """Searches one file and everything inside it."""

    def __init__(self, search: Search, collector: Collector, room: Room) -> None:
        self._search, self._collector, self._room = search, collector, room
        self._table = False
        self._known: set[int] = set()

    def read(self, data: memoryview) -> None:
        """Search the bytes of a file."""
        self._table = begins(data, b"PAR1")
        self._bytes(data, (), FILE_TEXT)

    def _piece(self, piece: Inner, where: Where) -> None:
        where = (*where, piece.carrier)
        if len(where) > MAX_DEPTH:
            self._collector.seal(where[:MAX_DEPTH], "it is nested too deep")
        elif isinstance(piece.content, str):
            self._text(piece.content, where, piece.own)
        elif isinstance(piece.content, tuple):
            self._many(piece.content, where)
        elif piece.pixels:
            self._noise(memoryview(piece.content), where)
        elif not self._seen(where, piece.content):
            self._bytes(memoryview(piece.content), where, piece.own)

    def _seen(self, where: Where, content: Data | str) -> bool:
        """Tell whether a small piece was searched before.

        Most cells carry the same segments, and what is coded is met on more than one way.
        """
        if len(content) > _SMALL:
            return False
        text = isinstance(content, str)
        code = hash((where, text, content if isinstance(content, str) else bytes(content)))
        known = code in self._known
        self._known.add(code)
        return known or not len(content)

    def _bytes(self, data: memoryview, where: Where, own: str = "") -> None:
        if len(data) <= _TEXT_BLOCK and (text := _marked_text(data)) is not None:
            self._text(text, where, own)
        for offset in range(0, len(data), _TEXT_BLOCK):
            block = bytes(data[offset : offset + _TEXT_BLOCK + _TEXT_OVERLAP])
            text = _as_text(block, inside=offset > 0)
            if text is None or "\x00" in text:
                self._strings(block, where, fields=bool(where) and len(data) <= _SMALL)
            if text is not None:
                self._text(_ZEROS.sub("\x00", text), where, own)
        self._opened(data, where)

    def _many(self, values: Many, where: Where) -> None:
        """Search many images at once, and open them one by one."""
        buffer = b"".join(values)
        self._noise(buffer, where)
        spans, offset = [], 0
        for value in values:
            found = self._parts(opened(value, self._room), where)
            spans += [(start + offset, end + offset) for start, end in found]
            offset += len(value)
        self._parts(streams_in(memoryview(buffer), self._room, spans), where)

    def _opened(self, data: memoryview, where: Where) -> None:
        spans = self._parts(opened(data, self._room), where)
        self._parts(streams_in(data, self._room, spans), where)

    def _parts(self, parts: Opened, where: Where) -> list[tuple[int, int]]:
        """Search the parts of a piece; return the ranges of it that they stand for."""
        spans = []
        for part in parts:
            if part.span is not None:
                spans.append(part.span)
            if isinstance(part, Sealed):
                self._collector.seal((*where, part.carrier), part.why)
            else:
                self._piece(part, where)
        return spans

    def _noise(self, data: Data, where: Where) -> None:
        self._strings(data, where, fields=False)

    def _strings(self, data: Data, where: Where, *, fields: bool) -> None:
        """Search what may be text in bytes; in `fields` every run of five characters is text."""
        shortest = 5 if fields else self._search.shortest
        for offset in range(0, len(data), BLOCK):
            block = bytes(data[offset : offset + BLOCK + OVERLAP])
            found = strings_in(block, shortest, self._search.shortest_text)
            self._foreign(block, where)
            self._found(found, where, fields=fields)

    def _found(self, found: Strings, where: Where, *, fields: bool) -> None:
        # The numbers and days of a table are judged column by column, not by its stored bytes.
        pages = self._table and not where
        if fields:
            self._text(_decode(found.short), where)
        elif found.short:
            finds = self._search.in_noise(found.short)
            self._collector.add(where, (f for f in finds if not pages or f.test is None))
        if found.text:
            self._text(_decode(found.text), where, "table pages" if pages else "")
        if found.wide:
            self._text(found.wide, (*where, "UTF-16 or UTF-32"))

    def _foreign(self, block: bytes, where: Where) -> None:
        for find, encoding in self._search.in_foreign(block):
            self._collector.add((*where, encoding) if encoding != "utf-8" else where, [find])

    def _text(self, text: str, where: Where, own: str = "") -> None:
        """Search a text as it stands, with its escapes undone, without its markup, and decoded."""
        if self._seen(where, text):
            return
        plain, escapes = unescaped(text)
        views = [(text, where)]
        if plain != text:
            views.append((plain, (*where, escapes)))
        bare = without_markup(plain)
        if bare != plain:
            views.append((bare, where))
        for view, there in views:
            tally = self._collector.tally(own)
            self._collector.add(there, self._search.in_text(normal(view), tally), own)
        for name, data in unescaped_bytes(text):
            self._strings(data, (*where, name), fields=len(data) <= _SMALL)
            self._parts(streams_in(memoryview(data), self._room, []), (*where, name))
        for view, there in views[:2]:
            self._decoded(view, there)

    def _decoded(self, text: str, where: Where) -> None:
        """Search what runs of letters decode to: base64, base32, hex."""
        for decoded in decoded_runs(text):
            there = (*where, decoded.how)
            if len(there) > MAX_DEPTH:
                if len(_WORDS.findall(decoded.joined)) > 0:
                    self._collector.seal(there[:MAX_DEPTH], "it is nested too deep")
                continue
            # What decodes to nothing but text is text; the rest are words that were no code.
            words = BARRIER.join(_WORDS.findall(decoded.joined))
            if words:
                self._text(_decode(words), there)
            self._noise(memoryview(decoded.joined), there)
            self._parts(streams_in(memoryview(decoded.joined), self._room, []), there)
            for file in decoded.files:
                self._bytes(memoryview(file), there)


def _marked_text(data: memoryview) -> str | None:
    """Return a text that begins with a byte order mark."""
    for mark, encoding in _MARKS:
        if data[: len(mark)] == mark:
            return bytes(data).decode(encoding, "replace")
    return None


def _as_text(block: bytes, *, inside: bool) -> str | None:
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


def _decode(words: bytes) -> str:
    return words.decode("utf-8", "replace")
