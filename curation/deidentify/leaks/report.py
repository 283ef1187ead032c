"""What a leak scan says. No value of an identifier stands in it, nor a name that holds one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """An identifier was found; its value is not repeated here, only its keyed short id.

    `carrier` says where inside the file, outermost first: "Parquet column note > base64".
    """

    file: str
    carrier: str
    kind: str
    short_id: str


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """Something could not be searched, so nothing can be said of it."""

    file: str
    carrier: str
    why: str


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """How many identifiers of a kind were not searched for, or not everywhere, and why."""

    kind: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan did: identifiers searched for, left out, files read, and what was found.

    `possible` are finds that may as well be chance or an ordinary word; a person has to look.
    `text_only` of the identifiers searched for are too short to be looked for in compressed pixels.
    """

    searched: int
    left_out: int
    files: int
    hits: tuple[Hit, ...]
    possible: tuple[Hit, ...] = ()
    not_searched: tuple[Unread, ...] = ()
    left_out_why: tuple[LeftOut, ...] = ()
    text_only: tuple[LeftOut, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found and everything was searched."""
        return not self.hits and not self.not_searched
