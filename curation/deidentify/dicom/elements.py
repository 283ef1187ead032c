"""The elements of a data set, one by one: a broken one costs itself, not the file."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, cast

from ...errors import ImageError
from .stream import Budget, TooManyReadsError, ending_bytes

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset

MOST_LEVELS = 32
"""How deep sequences may lie in sequences; reports nest to a dozen or two."""

_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Element:
    """One element; `items` are those of a sequence, `values` what any other holds.

    `values` are pydicom's: text, numbers, names, tags or bytes, none where it is empty.
    `is_broken`: there are bytes, but they do not fit the element's VR.
    """

    tag: int
    name: str
    vr: str
    values: tuple[object, ...] = ()
    items: tuple[Dataset, ...] = ()
    raw: bytes = b""
    is_broken: bool = False


def elements(
    dataset: Dataset, budget: Budget, level: int = 0, only: Container[str] | None = None
) -> Iterator[Element]:
    """Yield the elements of one level of a data set, in order of their tags, or those named `only`.

    Raises: ImageError with reason unreadable where an element is cut off or sequences are nested
    deeper than MOST_LEVELS, too_large where there are too many of them.
    """
    from pydicom.dataelem import RawDataElement

    if level > MOST_LEVELS:
        raise ImageError("unreadable", f"DICOM sequences nested deeper than {MOST_LEVELS}")
    for tag in sorted(dataset.keys()):
        budget.spend()
        if only is not None and tag_name(int(tag)) not in only:
            continue
        found: DataElement | RawDataElement = dataset.get_item(tag, keep_deferred=True)
        if isinstance(found, RawDataElement):
            yield _from_raw(dataset, found, budget)
        else:
            yield _from_made(found)


def texts(element: Element) -> tuple[str, ...]:
    """Return what an element says as text, without padding; none for bytes, tags and sequences."""
    if element.vr in ("AT", "SQ"):
        return ()
    said = (str(v) for v in element.values if not isinstance(v, bytes | bytearray))
    return tuple(text for text in (s.strip(" \x00\t\r\n") for s in said) if text)


@lru_cache(maxsize=8192)
def tag_name(tag: int) -> str:
    """Return the keyword of a tag, or "(gggg,eeee)" where the standard has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def _from_raw(dataset: Dataset, raw: RawDataElement, budget: Budget) -> Element:
    tag, name, value = int(raw.tag), tag_name(int(raw.tag)), raw.value or b""
    vr = _standard_vr(raw)
    if raw.length not in (_UNDEFINED, len(value)):
        raise ImageError("unreadable", f"the DICOM element {name} is cut off")
    try:
        if vr == "SQ":
            return Element(tag, name, vr, items=_items(dataset, raw, value, budget))
        return _from_made(_converted(dataset, raw), value)
    except (ImageError, MemoryError):
        raise
    except Exception:
        # Whatever a converter raises of a damaged value, the element is not taken over.
        if budget.is_spent:
            raise TooManyReadsError from None
        return Element(tag, name, vr, raw=value, is_broken=True)


def _standard_vr(raw: RawDataElement) -> str:
    from pydicom.datadict import dictionary_VR

    if raw.VR not in (None, "UN"):
        return str(raw.VR)
    try:
        return dictionary_VR(raw.tag)
    except KeyError:
        return "UN"


def _items(
    dataset: Dataset, raw: RawDataElement, value: bytes, budget: Budget
) -> tuple[Dataset, ...]:
    from pydicom.filereader import read_sequence

    stream = cast(BinaryIO, ending_bytes(value, budget))
    encoding = dataset.original_character_set
    found = read_sequence(stream, raw.is_implicit_VR, raw.is_little_endian, len(value), encoding)
    return tuple(found)


def _converted(dataset: Dataset, raw: RawDataElement) -> DataElement:
    from pydicom.dataelem import convert_raw_data_element

    return convert_raw_data_element(raw, encoding=dataset.original_character_set, ds=dataset)


def _from_made(element: DataElement, raw: bytes = b"") -> Element:
    from pydicom.valuerep import PersonName

    tag, name, vr = int(element.tag), tag_name(int(element.tag)), str(element.VR)
    if vr == "SQ":
        return Element(tag, name, vr, items=tuple(element.value or ()))
    value = element.value
    if value is None or (isinstance(value, str | bytes) and not value):
        return Element(tag, name, vr, raw=raw)
    if isinstance(value, str | bytes | bytearray) or not hasattr(value, "__iter__"):
        return Element(tag, name, vr, (value,), raw=_bytes_of(value) or raw)
    if isinstance(value, PersonName):  # one value, though its letters can be iterated over
        return Element(tag, name, vr, (value,), raw=raw)
    return Element(tag, name, vr, tuple(value), raw=raw)


def _bytes_of(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else b""
