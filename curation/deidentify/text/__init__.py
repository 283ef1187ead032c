"""Burned-in text and barcodes: a cheap screen, the search, and the blanking of what it finds."""

from .find import FinderConfig, Look, TextFinder, find_text
from .hit import TextHit
from .redact import blank
from .screen import text_likeness

__all__ = [
    "FinderConfig", "Look", "TextFinder", "TextHit", "blank", "find_text", "text_likeness",
]  # fmt: skip
