"""The leak scan: searching what is about to be published for what the vault saw in the source.

scan_for_leaks     every byte of a file or folder
identifiers.py     what is searched for: words, numbers and days, and what cannot be
search.py          one search in text or in noise; chance.py says what may be chance
pieces.py          what a file is taken apart into, by the openers in openers.py
"""

from .report import Hit, LeftOut, Scan, Unread
from .scan import NotPublicError, scan_for_leaks

__all__ = ["Hit", "LeftOut", "NotPublicError", "Scan", "Unread", "scan_for_leaks"]
