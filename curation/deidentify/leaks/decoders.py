"""Undoing the escapes of text: HTML, percent, backslash, quoted-printable, and markup."""

from __future__ import annotations

import html
import quopri
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

QUOTED = "quoted-printable"
_ROUNDS = 4
_PERCENT = re.compile(r"%u([0-9A-Fa-f]{4})|((?:%[0-9A-Fa-f]{2})+)")
_BACKSLASH = re.compile(
    r"\\+(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|N\{U\+([0-9A-Fa-f]+)\}"
    r"|((?:x[0-9A-Fa-f]{2}\\*)+(?<!\\))|((?:[0-3][0-7]{2}\\*)+(?<!\\))|'([0-9A-Fa-f]{2})"
    r"|([nrtbf])|(.))", re.DOTALL
)  # fmt: skip
_SOFT_BREAK = re.compile(r"=\r?\n(?!$)")
_BYTE = re.compile(r"\\x([0-9A-Fa-f]{2})")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_QUOTED = re.compile(r"=(?:[0-9A-F]{2}|[0-9a-f]{2}|\r?\n)")
_MARKUP = re.compile(r"</?([A-Za-z][\w:.-]*)(?:\s[^<>]*|/)?>|<!--.*?-->", re.DOTALL)
_BLOCKS = re.compile(
    r"(?i)(td|th|tr|li|ul|ol|p|div|br|h\d|table|option|dt|dd|text|title|svg|g|desc|c|v|row|si|item"
    r"|w:p|w:tr|w:tc|a:p)"
)


def _from_html(text: str) -> str:
    return html.unescape(text) if "&" in text else text


def _from_percent(text: str) -> str:
    def decoded(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _as_text(bytes.fromhex(match[2].replace("%", "")))

    return _PERCENT.sub(decoded, text) if "%" in text else text


def _from_backslash(text: str) -> str:
    if "\\" not in text:
        return text
    # A character beyond the first plane is written as two halves.
    return (
        _BACKSLASH.sub(_unescaped, text)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3] or match[4]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    if match[5]:
        return _as_text(bytes.fromhex(re.sub(r"[x\\]", "", match[5])))
    if match[6]:
        return _as_text(bytes(int(octal, 8) for octal in re.findall(r"\d{3}", match[6])))
    if match[7]:
        return _as_text(bytes.fromhex(match[7]))
    return "\n" if match[8] else match[9] or ""


def _from_quoted(text: str) -> str:
    if not _QUOTED.search(text):
        return text
    return _as_text(quopri.decodestring(text.encode("utf-8", "replace")))


def without_soft_breaks(text: str) -> str:
    """Return a mail's text without the line ends that its transport put in, inside escapes too."""
    return _SOFT_BREAK.sub("", text)


def without_markup(text: str) -> str:
    """Return a text without its tags; a tag that begins a new block leaves a line's end."""
    if "<" not in text:
        return text
    return _MARKUP.sub(lambda tag: "\n\n" if tag[1] and _BLOCKS.fullmatch(tag[1]) else "", text)


def _as_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def unescaped_bytes(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield what escapes of single bytes say where it is no text, but compressed or UTF-16."""
    codes = (
        ("percent-encoding", _PERCENT, unquote_to_bytes),
        (QUOTED, _QUOTED, lambda escaped: quopri.decodestring(escaped.encode())),
        ("backslash escapes", _BYTE, _bytes_from_backslash),
    )
    for name, pattern, decode in codes:
        if pattern.search(text):
            data = decode(text.encode("utf-8", "replace").decode())
            if _BINARY.search(data):
                yield name, data


def _bytes_from_backslash(text: str) -> bytes:
    return _BYTE.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1", "replace")


DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("HTML entities", _from_html),
    ("percent-encoding", _from_percent),
    ("backslash escapes", _from_backslash),
    (QUOTED, _from_quoted),
)


def unescaped(text: str) -> tuple[str, str]:
    """Return a text with every escape undone, one inside another too, and which there were."""
    names: dict[str, None] = {}
    for _ in range(_ROUNDS):
        before = text
        for name, decode in DECODERS:
            after = decode(text)
            if after != text:
                names[name], text = None, after
        if text == before:
            break
    return text, ", ".join(names)
