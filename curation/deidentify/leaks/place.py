"""Where a piece stands inside a file, and how what is found in it is to be judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

Where = tuple[str, ...]
"""The carriers around a piece, outermost first; empty for the file itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file.

    `own` names the sort of the product's own texts, whose numbers and days may be anybody's;
    `fields` are so few bytes that every run of letters is text; what came together by `chance`
    holds no names shorter than a word; `table` is the stored form of a Parquet file.
    """

    where: Where
    own: str = ""
    fields: bool = False
    chance: bool = False
    table: bool = False

    def inside(self, carrier: str) -> Place:
        """Return the place inside a code or another encoding here."""
        return Place((*self.where, carrier), chance=self.chance)

    def escaped(self, escapes: str) -> Place:
        """Return the same place with escapes undone."""
        return replace(self, where=(*self.where, escapes))

    def owned(self, own: str) -> Place:
        """Return the same place as text of another sort."""
        return replace(self, own=own)

    def by_chance(self) -> Place:
        """Return the same place for characters that may be no text."""
        return replace(self, chance=True, fields=False)
