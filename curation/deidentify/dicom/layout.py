"""How the pixels of a frame are stored, from the header, checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import ImageError
from .elements import Element, elements
from .stream import Budget

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_BITS = (1, 8, 16, 32)
_PHOTOMETRIC = "PhotometricInterpretation"
_NAMES = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PlanarConfiguration", "NumberOfFrames",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """The stored form of frames: sizes in px, bits of a sample, and what the samples mean."""

    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_planar: bool
    frames: int

    @property
    def is_subsampled(self) -> bool:
        """Whether pairs of pixels share their colour in uncompressed data."""
        return self.photometric == "YBR_FULL_422"

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        if self.is_subsampled:
            return self.rows * (self.columns + self.columns % 2) * 16
        return self.rows * self.columns * self.samples * self.bits_allocated


def read_layout(dataset: Dataset) -> Layout:
    """Return how the frames of a data set are stored.

    Raises: ImageError with reason unreadable where the description contradicts itself, and
    dicom_unsupported for what no camera of a microscope writes.
    """
    names = (*_NAMES, _PHOTOMETRIC)
    found = {e.name: e for e in elements(dataset, Budget(), only=names)}
    photometric = _text(found.get(_PHOTOMETRIC))
    bits = _number(found, "BitsAllocated")
    stored = _number(found, "BitsStored", bits)
    layout = Layout(
        rows=_number(found, "Rows"),
        columns=_number(found, "Columns"),
        samples=_number(found, "SamplesPerPixel", 1),
        photometric=photometric,
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=_number(found, "HighBit", stored - 1),
        is_signed=_number(found, "PixelRepresentation", 0) == 1,
        is_planar=_number(found, "PlanarConfiguration", 0) == 1,
        frames=_number(found, "NumberOfFrames", 1),
    )
    _check(layout)
    return layout


def _number(found: dict[str, Element], name: str, otherwise: int | None = None) -> int:
    element = found.get(name)
    if element is None or not (element.values or element.is_broken):
        if otherwise is None:
            raise ImageError("unreadable", f"the DICOM element {name} is missing")
        return otherwise
    value = element.values[0] if len(element.values) == 1 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise ImageError("unreadable", f"the DICOM element {name} is no whole number")
    return int(value)


def _text(element: Element | None) -> str:
    if element is None or len(element.values) != 1:
        raise ImageError("unreadable", f"the DICOM element {_PHOTOMETRIC} is missing")
    return str(element.values[0]).strip(" \x00").upper()


def _check(layout: Layout) -> None:
    if layout.photometric not in (*GREY, *COLOUR, "PALETTE COLOR"):
        raise ImageError("dicom_unsupported", "a colour model of no microscope's camera")
    expected = 3 if layout.photometric in COLOUR else 1
    if layout.samples != expected:
        raise ImageError("unreadable", f"{layout.samples} samples a pixel; expected {expected}")
    if layout.bits_allocated not in _BITS:
        raise ImageError("dicom_unsupported", f"{layout.bits_allocated} bits a sample")
    if min(layout.rows, layout.columns, layout.frames, layout.bits_stored) < 1:
        raise ImageError("unreadable", "a frame of no pixels, or no frame")
    if not layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated:
        raise ImageError("unreadable", "bits stored, bits allocated and high bit contradict")
    if layout.is_subsampled and layout.bits_allocated != 8:
        raise ImageError("dicom_unsupported", "shared colour at other than 8 bits")
