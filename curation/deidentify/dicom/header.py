"""What a DICOM file says of itself, without its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ImageError
from ...pixels import Limits
from .colour import Grey
from .elements import elements, texts
from .frames import open_frames
from .image_kind import KINDS
from .read import OpenDicom, open_dicom, quietly
from .stream import Budget

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """A file's header: how many frames can be read of it, and every element before its pixels.

    `elements` are dotted keywords ("SpecimenDescriptionSequence.SpecimenIdentifier"; "(0009,1001)"
    where there is none); `fields` says what those say that are texts or numbers, of several items
    of a sequence the first. `problem` is why there are no frames. `grey` is how grey is shown.
    """

    frames: int
    elements: tuple[str, ...]
    fields: Mapping[str, str]
    problem: str | None = None
    grey: Grey | None = None


def read_header(path: Path, limits: Limits | None = None) -> DicomHeader:
    """Read the header of a DICOM file; no pixel is read.

    Raises: ImageError with reason unreadable, too_small, too_large or dicom_unsupported; OSError.
    """
    with open_dicom(path) as opened:
        fields = header_fields(opened)
        names = tuple(fields)
        said = {name: text for name, text in fields.items() if text is not None}
        try:
            frames = open_frames(opened, limits or Limits())
        except ImageError as error:
            if error.reason not in KINDS:
                raise
            return DicomHeader(0, names, said, error.reason)
        return DicomHeader(len(frames), names, said, grey=frames.show.grey)


def header_fields(opened: OpenDicom) -> dict[str, str | None]:
    """Return every element of an open file: dotted keyword -> text, None where it has none.

    Raises: ImageError with reason unreadable or too_large.
    """
    found: dict[str, str | None] = {}
    with quietly():
        budget = Budget()
        for dataset in (opened.meta, opened.dataset):
            for name, text in _fields(dataset, budget, "", 0):
                if found.get(name) is None:
                    found[name] = text
    return found


def _fields(
    dataset: Dataset, budget: Budget, prefix: str, level: int
) -> Iterator[tuple[str, str | None]]:
    for element in elements(dataset, budget, level):
        name = f"{prefix}{element.name}"
        yield name, "\\".join(texts(element)) or None
        for item in element.items:
            yield from _fields(item, budget, f"{name}.", level + 1)
