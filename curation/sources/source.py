"""What every source offers: a length, its labels, cells by position, and what identifies people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from ..errors import SourceError
from ..pixels import Pixels

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")


_NO_FIELDS: Mapping[str, str | None] = MappingProxyType({})


def no_fields() -> Mapping[str, str | None]:
    """Return the fields of a cell about which its source says nothing: one mapping for all."""
    return _NO_FIELDS


@dataclass(frozen=True, slots=True)
class CutFrom:
    """The field or slide region that a cell was cut from; `name` is private.

    `pixels` is the whole field, uint8 (h, w, 3) or (h, w), shared by its cells; `box` is left, top,
    right, bottom in its pixels.
    """

    name: str
    pixels: Pixels
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class RawCell:
    """One cell as it was found; nothing but pixels leaves `curate` unless the policy says so.

    The image is `data` as encoded, or `pixels` where the source decoded it: uint8, (h, w, 3) or
    (h, w). `fields` is column or element name -> text as found. `name` is private.
    """

    name: str
    label: str
    data: bytes | None
    fields: Mapping[str, str | None] = field(default_factory=no_fields)
    problem: str | None = None
    pixels: Pixels | None = None
    cut_from: CutFrom | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table holds what; None means: the first of the usual names there."""

    image: str | None = None
    label: str | None = None


_USUAL: Mapping[str, tuple[str, ...]] = {
    "file_name": ("file_name", "filename", "file", "image_path", "path"),
    "image": ("image", "img", "picture"),
    "label": ("label", "class", "cell_type", "cell_class", "category"),
}


class Source(Protocol):
    """A sized sequence of raw cells that can be read from any position."""

    @property
    def kind(self) -> str:
        """What kind of source it is, in words that may be published."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns and elements that a policy has to decide about."""

    def __len__(self) -> int:
        """Return the number of cells, unusable ones included."""

    def labels(self) -> Mapping[str, int]:
        """Return label as found -> cells, without reading an image."""

    def read(self, start: int, stop: int) -> Iterator[RawCell]:
        """Yield the cells of a range of positions."""

    def identifiers(self) -> Iterator[tuple[str, str]]:
        """Yield every value found outside the images: ("file", stem) and (column name, text)."""

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


def distinct_values(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str]]:
    """Yield every distinct text of some columns, as (column name, text)."""
    for name, values in columns.items():
        for value in dict.fromkeys(as_text(value) for value in values):
            if value is not None:
                yield name, value
