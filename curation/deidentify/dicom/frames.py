"""The frames of a DICOM file, as a viewer shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import ImageError
from ...pixels import Limits, Pixels, check_size
from ..jpeg import MalformedJpegError, clean_jpeg
from .codestream import read_jpeg
from .colour import Show, read_show, shown
from .decode import BASELINE, NATIVE, Stored, check_stream, colours_are_rgb, decode_frame
from .fragments import Span, is_swapped, locate_frames, read_spans
from .image_kind import check_kind
from .layout import Layout, read_layout
from .read import OpenDicom, open_dicom, quietly

PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of an open file, each read when it is asked for."""

    opened: OpenDicom
    layout: Layout
    show: Show
    spans: tuple[tuple[Span, ...], ...]

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def is_native(self) -> bool:
        """Whether the frames are uncompressed."""
        return is_native(self.opened)

    def encoded(self, number: int) -> bytes:
        """Return the bytes of a frame as they lie in the file."""
        return read_spans(self.opened.stream, self.spans[number])

    def stored(self, number: int) -> Stored:
        """Return the stored values of a frame.

        Raises: ImageError with reason unreadable or dicom_unsupported.
        """
        return _stored(self.encoded(number), self)

    def scan(self, number: int) -> bytes | None:
        """Return a frame as a JPEG of its scan alone, None where that would look otherwise.

        Of MONOCHROME1 it is the scan as stored: black and white are exchanged.

        Raises: ImageError with reason unreadable where the frame is of another size.
        """
        return _scan(self.encoded(number), self)

    def shown(self, number: int) -> Pixels:
        """Return a frame as a viewer shows it, in sRGB.

        Raises: ImageError with reason unreadable or dicom_unsupported.
        """
        return _shown(self.encoded(number), self)


def open_frames(opened: OpenDicom, limits: Limits) -> Frames:
    """Return the frames of an open file; nothing is decoded yet.

    Raises: ImageError with reason unreadable, dicom_unsupported, dicom_no_image,
    slide_label_image, burned_in_annotation, too_small or too_large.
    """
    check_kind(opened)
    with quietly():
        layout = read_layout(opened.dataset)
        check_size(layout.columns, layout.rows, limits)
        show = read_show(opened.dataset, layout, opened.transfer_syntax)
    _check_pixels(opened)
    return Frames(opened, layout, show, locate_frames(opened, layout))


def read_frames(
    path: Path, start: int = 0, stop: int | None = None, limits: Limits | None = None
) -> Iterator[bytes | Pixels | ImageError]:
    """Yield the frames of a file: a JPEG of nothing but its scan, or sRGB pixels.

    Pixels are uint8, (h, w, 3) or (h, w). A frame that cannot be decoded yields its error, so that
    it costs only itself.

    Raises: ImageError where no frame can be read, as `open_frames`; OSError.
    """
    with open_dicom(path) as opened:
        frames = open_frames(opened, limits or Limits())
        for number in range(*slice(start, stop).indices(len(frames))):
            yield read_frame(frames, number)


def read_frame(frames: Frames, number: int) -> bytes | Pixels | ImageError:
    """Return one frame: a JPEG of nothing but its scan, sRGB pixels, or why there are none."""
    try:
        data = frames.encoded(number)
        # A grey scan that is shown inverted or windowed is another picture than the scan.
        is_plain = frames.layout.photometric != "MONOCHROME1"
        scan = _scan(data, frames) if is_plain else None
        return _shown(data, frames) if scan is None else scan
    except ImageError as error:
        return error


def _check_pixels(opened: OpenDicom) -> None:
    pixels = opened.pixels
    if pixels is not None and pixels.tag != PIXEL_DATA:
        raise ImageError("dicom_unsupported", "pixels as floating-point numbers")
    if pixels is not None and (pixels.length is None) == is_native(opened):
        raise ImageError("unreadable", "DICOM pixel data in another syntax than the file names")


def is_native(opened: OpenDicom) -> bool:
    """Whether a file's transfer syntax is one without compression."""
    return not opened.transfer_syntax or opened.transfer_syntax in NATIVE


def _stored(data: bytes, frames: Frames) -> Stored:
    opened, layout = frames.opened, frames.layout
    swapped = is_swapped(opened, layout)
    with quietly():
        return decode_frame(data, layout, opened.transfer_syntax, is_swapped=swapped)


def _shown(data: bytes, frames: Frames) -> Pixels:
    stored = _stored(data, frames)
    with quietly():
        return shown(stored, frames.show)


def _scan(data: bytes, frames: Frames) -> bytes | None:
    layout = frames.layout
    if frames.opened.transfer_syntax != BASELINE or frames.show.profile or layout.bits_stored != 8:
        return None
    stream = read_jpeg(data)
    check_stream(stream, layout)
    try:
        clean = clean_jpeg(data).data
    except MalformedJpegError:
        return None  # the decoder has the last word
    if layout.samples == 3 and is_rgb_scan(clean) != colours_are_rgb(stream, layout):
        return None
    return clean


def is_rgb_scan(clean: bytes) -> bool:
    """Whether a cleaned JPEG says that its colours are RGB: it begins with Adobe's mark."""
    return clean[2:4] == b"\xff\xee"
