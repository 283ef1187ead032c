"""Reading one file: what is text is searched as text, what is not for strings, and both opened."""

from __future__ import annotations

from .coded import Decoded, decoded_runs
from .collector import Collector
from .decoders import (
    QUOTED,
    unescaped,
    unescaped_bytes,
    without_markup,
    without_soft_breaks,
)
from .encodings import ZEROS, as_text, marked_text, whole_words
from .normal import BARRIER, normal
from .openers import opened
from .pieces import MAX_DEPTH, Data, Inner, Many, Opened, Room, Sealed, begins
from .place import Place
from .search import Search
from .streams import streams_in
from .strings import BLOCK, OVERLAP, Strings, strings_in

_TEXT_BLOCK, _TEXT_OVERLAP = 16 * 2**20, 1 << 16
_SMALL = 1 << 16
_TABLE, _TABLE_PAGES = b"PAR1", "table pages"
_WIDE = "UTF-16 or UTF-32"
_TOO_DEEP = "it is nested too deep"


class Reader:
    """Searches one file and everything inside it."""

    def __init__(self, search: Search, collector: Collector, room: Room) -> None:
        self._search, self._collector, self._room = search, collector, room
        self._known: set[int] = set()

    def read(self, data: memoryview) -> None:
        """Search the bytes of a file."""
        self._bytes(data, Place((), own="text", table=begins(data, _TABLE)))

    def _piece(self, piece: Inner, outer: Place) -> None:
        place = Place((*outer.where, piece.carrier), own=piece.own, fields=piece.fields)
        if len(place.where) > MAX_DEPTH:
            self._collector.seal(outer.where, _TOO_DEEP)
        elif isinstance(piece.content, str):
            self._text(piece.content, place)
        elif isinstance(piece.content, tuple):
            self._many(piece.content, place)
        elif piece.pixels:
            self._strings(piece.content, place)
        elif not self._seen(place, piece.content):
            self._bytes(memoryview(piece.content), place)

    def _seen(self, place: Place, content: Data | str) -> bool:
        """Tell whether a small piece was searched before.

        Most cells carry the same segments, and what is coded is met on more than one way.
        """
        if len(content) > _SMALL:
            return False
        is_text = isinstance(content, str)
        code = hash((place, is_text, content if isinstance(content, str) else bytes(content)))
        known = code in self._known
        self._known.add(code)
        return known or not len(content)

    def _bytes(self, data: memoryview, place: Place) -> None:
        """Search bytes that may be a text, and open them."""
        if len(data) <= _TEXT_BLOCK and (text := marked_text(data)) is not None:
            self._text(text, place)
        for offset in range(0, len(data), _TEXT_BLOCK):
            block = bytes(data[offset : offset + _TEXT_BLOCK + _TEXT_OVERLAP])
            text = as_text(block, inside=offset > 0)
            if text is None or "\x00" in text:
                self._strings(block, place)
            if text is not None:
                self._text(ZEROS.sub("\x00", text), place)
        spans = self._parts(opened(data, self._room), place)
        self._parts(streams_in(data, self._room, spans), place)

    def _many(self, values: Many, place: Place) -> None:
        """Search many images at once, and open them one by one."""
        buffer = b"".join(values)
        self._strings(buffer, place)
        spans, offset = [], 0
        for value in values:
            found = self._parts(opened(value, self._room), place)
            spans += [(start + offset, end + offset) for start, end in found]
            offset += len(value)
        self._parts(streams_in(memoryview(buffer), self._room, spans), place)

    def _parts(self, parts: Opened, outer: Place) -> list[tuple[int, int]]:
        """Search the parts of a piece; return the ranges of it that they stand for."""
        spans = []
        for part in parts:
            if part.span is not None:
                spans.append(part.span)
            if isinstance(part, Sealed):
                self._collector.seal((*outer.where, part.carrier), part.why)
            else:
                self._piece(part, outer)
        return spans

    def _strings(self, data: Data, place: Place) -> None:
        """Search what may be text in bytes."""
        fields = place.fields and len(data) <= _SMALL
        shortest = 5 if fields else self._search.shortest
        for offset in range(0, len(data), BLOCK):
            block = bytes(data[offset : offset + BLOCK + OVERLAP])
            found = strings_in(block, shortest, self._search.shortest_text)
            self._foreign(block, place)
            self._found(found, place if fields else place.by_chance(), fields=fields)

    def _found(self, found: Strings, place: Place, *, fields: bool) -> None:
        if fields:
            self._text(_decode(found.short), place)
        elif found.short:
            finds = self._search.in_noise(found.short)
            # The numbers and days of a table are judged by columns, not by its stored bytes.
            self._collector.add(place.where, (f for f in finds if not (place.table and f.test)))
        if found.text:
            self._text(_decode(found.text), place.owned(_TABLE_PAGES if place.table else ""))
        if found.wide:
            self._text(found.wide, place.inside(_WIDE))

    def _foreign(self, block: bytes, place: Place) -> None:
        for find, encoding in self._search.in_foreign(block):
            where = place.where if encoding == "utf-8" else (*place.where, encoding)
            self._collector.add(where, [find])

    def _text(self, text: str, place: Place) -> None:
        """Search a text as it stands, with its escapes undone, without its markup, and decoded."""
        if self._seen(place, text):
            return
        plain, escapes = unescaped(text)
        views = {text: place}
        views.setdefault(plain, place.escaped(escapes))
        for view, there in [*views.items(), (without_markup(plain), place)]:
            if view not in views or there is views[view]:
                self._plain_text(view, there)
        if (joined := without_soft_breaks(text)) != text:
            self._text(joined, place.escaped(QUOTED))
        for name, data in unescaped_bytes(text):
            self._strings(data, place.inside(name))
            self._parts(streams_in(memoryview(data), self._room, []), place.inside(name))
        known: set[tuple[str, str]] = set()
        for view, there in views.items():
            for decoded in decoded_runs(view, known):
                self._decoded(decoded, there.inside(decoded.how))

    def _plain_text(self, text: str, place: Place) -> None:
        finds = self._search.in_text(
            normal(text), self._collector.tally(place.own), chance=place.chance
        )
        self._collector.add(place.where, finds, place.own)

    def _decoded(self, decoded: Decoded, place: Place) -> None:
        """Search what runs of letters decode to; most are words that were no code."""
        words = BARRIER.join(whole_words(decoded.joined))
        if len(place.where) > MAX_DEPTH:
            if words or decoded.files:
                self._collector.seal(place.where[:MAX_DEPTH], _TOO_DEEP)
            return
        if words:
            self._text(_decode(words), place.by_chance())
        data = memoryview(decoded.joined)
        self._strings(data, place)
        self._parts(streams_in(data, self._room, []), place)
        for file in decoded.files:
            self._bytes(memoryview(file), place)


def _decode(words: bytes) -> str:
    return words.decode("utf-8", "replace")
