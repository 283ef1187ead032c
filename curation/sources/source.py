"""What every source offers: a length, its labels, cells by position, and what identifies people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import SourceError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")


@dataclass(frozen=True, slots=True)
class RawCell:
    """One cell as it was found; `name` is private and never leaves `curate`."""

    name: str
    label: str
    data: bytes | None
    subject: str | None = None
    slide: str | None = None
    site: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table holds what; None means: the first of the usual names there."""

    image: str | None = None
    label: str | None = None
    subject: str | None = None
    slide: str | None = None
    site: str | None = None


_USUAL: Mapping[str, tuple[str, ...]] = {
    "file_name": ("file_name", "filename", "file", "image_path", "path"),
    "image": ("image", "img", "picture"),
    "label": ("label", "class", "cell_type", "cell_class", "category"),
    "subject": ("subject", "subject_id", "patient_id", "patient", "case_id", "case"),
    "slide": ("slide", "slide_id", "smear", "accession"),
    "site": ("site", "hospital", "centre", "center", "laboratory"),
}


class Source(Protocol):
    """A sized sequence of raw cells that can be read from any position."""

    @property
    def kind(self) -> str:
        """What kind of source it is, in words that may be published."""

    @property
    def dropped_columns(self) -> tuple[str, ...]:
        """Names of the columns that are not taken over."""

    def __len__(self) -> int:
        """Return the number of cells, unusable ones included."""

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells, without reading an image."""

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield (kind, value) of everything that may identify someone, without the images."""

    def identity(self) -> str:
        """Return a text that changes when the source changes; private."""


def find_column(
    found: Sequence[str], role: str, wanted: str | None, where: str, *, required: bool = False
) -> str | None:
    """Return the column that plays a role, or None.

    Raises: SourceError where the wanted one is absent, or a required one cannot be guessed.
    """
    if wanted is not None:
        if wanted not in found:
            raise SourceError(f"{where} has no column {wanted!r}; it has: {', '.join(found)}")
        return wanted
    lower = {name.casefold(): name for name in reversed(found)}
    for name in _USUAL[role]:
        if name in lower:
            return lower[name]
    if required:
        raise SourceError(
            f"{where} has no column for the {role.replace('_', ' ')}: expected one of "
            f"{', '.join(_USUAL[role])}; found {', '.join(found)}"
        )
    return None


def as_text(value: Any) -> str | None:
    """Return a table's value as an identifier: text without outer blanks, None where empty."""
    if value is None or value != value:  # NaN is how a table reader spells an empty cell
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return text or None


def label_text(value: Any, names: Sequence[str]) -> str:
    """Return a label as found, "" where there is none; `names` are those of a `ClassLabel`."""
    if names and isinstance(value, int):
        # -1 is how `datasets` spells a missing class.
        return names[value] if 0 <= value < len(names) else ""
    return as_text(value) or ""


def refuse_synthetic(origins: Iterable[Any], where: str) -> None:
    """Refuse rows that say they are synthetic: curated, they would pass for real cells.

    Raises: SourceError.
    """
    if "synthetic" in origins:
        raise SourceError(
            f"{where} holds synthetic cells (column 'origin'); only real cells are curated"
        )


def value_identifiers(rows: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str]]:
    """Yield every distinct text of columns that are dropped, as ("value", text)."""
    for values in rows.values():
        for value in dict.fromkeys(as_text(value) for value in values):
            if value is not None:
                yield "value", value
