"""The pixel data of a cleaned file: written anew from pixels, or scans of which the rest is gone.

JPEG baseline               the scans bit for bit, where the walker vouches for them
grey, uncompressed or deep  the stored values, uncompressed
colour, uncompressed        sRGB of 8 bits, uncompressed
compressed otherwise        the same, as lossless JPEG-LS where 8 bits hold it
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ...pixels import Limits, Pixels, release_image
from .decode import BASELINE
from .frames import Frames, is_rgb_scan
from .layout import GREY

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TEXT_FOUND = "burned_in_text"
Screen = Callable[[Pixels], bool]
_EXPLICIT, _JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"
_MOST_NATIVE_BYTES = 0xFFFFFFFE
_NOT_OF_GREY = ("ICCProfile", "ColorSpace", "PlanarConfiguration")
_NOT_OF_RGB = (
    "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "PresentationLUTShape",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewPixels:
    """What was written, as the header has to describe it."""

    transfer_syntax: str
    photometric: str
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    frames: int

    @property
    def is_native(self) -> bool:
        """Whether frames follow each other uncompressed."""
        return self.transfer_syntax == _EXPLICIT


def write_pixels(
    frames: Frames, spool: BinaryIO, limits: Limits, screen: Screen | None
) -> NewPixels:
    """Write the frames of a file as the value of a new pixel data element.

    `screen` says of a frame as a viewer shows it whether there is text in it.

    Raises: ImageError with reason burned_in_text where there is, unreadable or dicom_unsupported
    where a frame cannot be decoded, too_large where uncompressed data exceed what DICOM can hold.
    """
    scans = _write_scans(frames, spool, limits, screen)
    if scans is not None:
        return scans
    spool.seek(0)
    spool.truncate()
    return _write_arrays(frames, spool, screen)


def describe_pixels(dataset: Dataset, new: NewPixels, value: BinaryIO) -> None:
    """Put written pixels into a cleaned data set, with the elements that describe them."""
    from pydicom.dataelem import DataElement
    from pydicom.uid import UID

    layout = {
        "SamplesPerPixel": new.samples, "PhotometricInterpretation": new.photometric,
        "BitsAllocated": new.bits_allocated, "BitsStored": new.bits_stored,
        "HighBit": new.bits_stored - 1, "PixelRepresentation": int(new.is_signed),
    }  # fmt: skip
    for name, said in layout.items():
        setattr(dataset, name, said)
    if "NumberOfFrames" in dataset or new.frames > 1:
        dataset.NumberOfFrames = new.frames
    if new.transfer_syntax == BASELINE:
        dataset.LossyImageCompression = "01"
    if new.samples == 3:
        dataset.PlanarConfiguration = 0
    _leave_out(dataset, _NOT_OF_GREY if new.samples == 1 else _NOT_OF_RGB)
    value.seek(0)
    element = DataElement(0x7FE00010, "OB" if new.bits_allocated == 8 else "OW", value)
    element.is_undefined_length = not new.is_native
    dataset.add(element)
    dataset.file_meta.TransferSyntaxUID = UID(new.transfer_syntax)


def _leave_out(dataset: Dataset, names: Sequence[str]) -> None:
    for name in names:
        if name in dataset:
            del dataset[name]


def _write_scans(
    frames: Frames, spool: BinaryIO, limits: Limits, screen: Screen | None
) -> NewPixels | None:
    layout, is_rgb = frames.layout, False
    if frames.opened.transfer_syntax != BASELINE:
        return None
    _write_item(spool, b"")  # an empty offset table
    for number in range(len(frames)):
        scan = frames.scan(number)
        released = None if scan is None else release_image(scan, limits)
        if scan is None or released is None or released.codec != "jpeg":
            return None
        if number and is_rgb != is_rgb_scan(scan):
            return None
        is_rgb = is_rgb_scan(scan)
        _check_text(released.pixels, screen)
        _write_item(spool, released.data)
    photometric = layout.photometric if layout.samples == 1 else "YBR_FULL_422"
    return NewPixels(
        BASELINE, "RGB" if is_rgb else photometric, layout.samples, 8, 8, False, len(frames)
    )


def _write_item(spool: BinaryIO, data: bytes) -> None:
    padded = data + bytes(len(data) % 2)
    spool.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(padded)) + padded)


def _check_text(pixels: Pixels, screen: Screen | None) -> None:
    if screen is not None and screen(pixels):
        raise ImageError(TEXT_FOUND, "text was found in a frame")


def _write_arrays(frames: Frames, spool: BinaryIO, screen: Screen | None) -> NewPixels:
    new = _array_form(frames)
    size = frames.layout.rows * frames.layout.columns * new.samples * new.bits_allocated // 8
    if new.is_native and size * new.frames > _MOST_NATIVE_BYTES:
        raise ImageError("too_large", "more uncompressed pixels than a DICOM file can hold")
    if not new.is_native:
        _write_item(spool, b"")
    for values in _arrays(frames, new, screen):
        if new.is_native:
            spool.write(values.tobytes())
        else:
            _write_item(spool, _as_jpeg_ls(values))
    if spool.tell() % 2:
        spool.write(b"\x00")
    return new


def _array_form(frames: Frames) -> NewPixels:
    layout, count = frames.layout, len(frames)
    if layout.photometric not in GREY:
        return NewPixels(_EXPLICIT if frames.is_native else _JPEG_LS, "RGB", 3, 8, 8, False, count)
    if layout.bits_stored == 1:
        return NewPixels(_EXPLICIT, "MONOCHROME2", 1, 8, 8, False, count)
    allocated = next(bits for bits in (8, 16, 32) if layout.bits_stored <= bits)
    is_plain = layout.bits_stored == 8 and not layout.is_signed
    syntax = _JPEG_LS if is_plain and not frames.is_native else _EXPLICIT
    return NewPixels(
        syntax, layout.photometric, 1, allocated, layout.bits_stored, layout.is_signed, count
    )


def _arrays(frames: Frames, new: NewPixels, screen: Screen | None) -> Iterator[NDArray[Any]]:
    kind = np.dtype(f"<{'i' if new.is_signed else 'u'}{new.bits_allocated // 8}")
    as_shown = new.samples == 3 or frames.layout.bits_stored == 1
    for number in range(len(frames)):
        seen = frames.shown(number) if as_shown or screen is not None else None
        if seen is not None:
            _check_text(seen, screen)
        if as_shown and seen is not None:
            yield np.ascontiguousarray(seen)
        else:
            yield np.ascontiguousarray(frames.stored(number).astype(kind))


def _as_jpeg_ls(values: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(values))
