"""From the bytes of a frame to its stored values, (h, w) or (h, w, 3), one decoder a syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError
from ..jpeg import MAX_SCANS
from .codestream import RGB_IDS, CodeStream, read_jpeg, read_jpeg2000
from .layout import Layout

Stored = NDArray[np.integer[Any]]
"""(h, w) or (h, w, 3), the stored values: unused bits are gone, the sign is applied."""

_PREFIX = "1.2.840.10008.1.2"
NATIVE = (_PREFIX, *(f"{_PREFIX}.{n}" for n in ("1", "1.99", "2")))
BASELINE = f"{_PREFIX}.4.50"
_JPEG = (BASELINE, *(f"{_PREFIX}.4.{n}" for n in (51, 57, 70)))
_LOSSY = _JPEG[:2]
_JPEG_LS = tuple(f"{_PREFIX}.4.{n}" for n in (80, 81))
_JPEG_2000 = tuple(f"{_PREFIX}.4.{n}" for n in (90, 91))
_HTJ2K = tuple(f"{_PREFIX}.4.{n}" for n in (201, 202, 203))
_RLE = f"{_PREFIX}.5"
_SPREAD_MOST = 255  # run-length coding makes of 2 bytes 128 at most


def decode_frame(data: bytes, layout: Layout, syntax: str, *, is_swapped: bool = False) -> Stored:
    """Return the stored values of a frame; colours of lossy JPEG as RGB.

    `is_swapped`: uncompressed bytes stand in big-endian words.

    Raises: ImageError with reason unreadable or dicom_unsupported.
    """
    if syntax in NATIVE or not syntax:
        return _in_range(_native(data, layout, is_swapped), layout, shifted=True)
    decoder = next((found for syntaxes, found in _DECODERS if syntax in syntaxes), None)
    if decoder is None:
        raise ImageError("dicom_unsupported", "a transfer syntax that is not decoded here")
    try:
        found = decoder(data, layout, syntax)
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # A decoder of a damaged frame may raise anything; it only costs this frame.
        raise ImageError("unreadable", f"DICOM frame: {type(error).__name__}") from None
    return _in_range(_shaped(found, layout), layout, shifted=syntax == _RLE)


def is_decoded_to_rgb(syntax: str) -> bool:
    """Whether the decoder of a transfer syntax returns colours as RGB, whatever they were."""
    return syntax in _LOSSY


def colours_are_rgb(stream: CodeStream, layout: Layout) -> bool:
    """Whether the samples of a JPEG stream are RGB, not YCbCr.

    The marks in the stream outrank the header, which is often copied from the uncompressed file.
    """
    if stream.component_ids in RGB_IDS:
        return True
    if stream.is_jfif:
        return False
    if stream.adobe_transform is not None:
        return stream.adobe_transform == 0
    return layout.photometric == "RGB"


def check_stream(stream: CodeStream, layout: Layout) -> None:
    """Refuse a frame of other size than the header declares, before it is decoded.

    Raises: ImageError with reason unreadable.
    """
    if (stream.width, stream.height) != (layout.columns, layout.rows):
        raise ImageError(
            "unreadable",
            f"a DICOM frame of {stream.width}x{stream.height} px; expected "
            f"{layout.columns}x{layout.rows}",
        )
    if stream.samples != layout.samples or stream.precision > layout.bits_allocated:
        raise ImageError("unreadable", "a DICOM frame of other samples than the header declares")


def _jpeg(data: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    import imagecodecs

    stream = read_jpeg(data)
    check_stream(stream, layout)
    if b"\xff\xd9" not in data[-64:]:
        raise ImageError("unreadable", "a JPEG frame that is cut off")
    if data.count(b"\xff\xda") > 2 * MAX_SCANS:  # a table may hold these bytes too
        raise ImageError("unreadable", f"a JPEG frame of more than {2 * MAX_SCANS} scans")
    if layout.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    if syntax not in _LOSSY:
        # No conversion: lossless JPEG is rarely marked, and the header says what it holds.
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"))
    space = "RGB" if colours_are_rgb(stream, layout) else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace="RGB"))


def _jpeg_ls(data: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    import imagecodecs

    check_stream(read_jpeg(data), layout)
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg_2000(data: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    import imagecodecs

    check_stream(read_jpeg2000(data), layout)
    return np.asarray(imagecodecs.jpeg2k_decode(data, planar=False))


def _htj2k(data: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    import imagecodecs

    check_stream(read_jpeg2000(data), layout)
    return np.asarray(imagecodecs.htj2k_decode(data, planar=False))


def _rle(data: bytes, layout: Layout, syntax: str) -> NDArray[Any]:
    import imagecodecs

    size = layout.rows * layout.columns * layout.samples * layout.bits_allocated // 8
    if layout.bits_allocated < 8 or len(data) * _SPREAD_MOST < size:
        raise ImageError("unreadable", "a run-length frame that is cut off")
    kind = np.dtype(f"<u{layout.bits_allocated // 8}")
    found = np.frombuffer(imagecodecs.dicomrle_decode(data, kind, out=size), kind)
    if found.size != layout.rows * layout.columns * layout.samples:
        raise ImageError("unreadable", "a run-length frame of other length than declared")
    return np.moveaxis(found.reshape(layout.samples, layout.rows, layout.columns), 0, -1)


_Decoder = Callable[[bytes, Layout, str], NDArray[Any]]
_DECODERS: tuple[tuple[tuple[str, ...], _Decoder], ...] = (
    (_JPEG, _jpeg),
    (_JPEG_LS, _jpeg_ls),
    (_JPEG_2000, _jpeg_2000),
    (_HTJ2K, _htj2k),
    ((_RLE,), _rle),
)


def _native(data: bytes, layout: Layout, is_swapped: bool) -> NDArray[Any]:
    count = layout.rows * layout.columns * layout.samples
    if layout.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[:count].reshape(layout.rows, layout.columns)
    if layout.is_subsampled:
        return _shared_colour(_bytes(data, is_swapped), layout)
    if layout.bits_allocated == 8:
        values: NDArray[Any] = _bytes(data, is_swapped)[:count]
    else:
        order = ">" if is_swapped else "<"
        values = np.frombuffer(data, f"{order}u{layout.bits_allocated // 8}")
    if layout.samples == 1:
        return values.reshape(layout.rows, layout.columns)
    if layout.is_planar:
        return np.moveaxis(values.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return values.reshape(layout.rows, layout.columns, layout.samples)


def _bytes(data: bytes, is_swapped: bool) -> NDArray[np.uint8]:
    values = np.frombuffer(data, np.uint8)
    # Bytes written as words of the other end: pairs stand swapped.
    return values.reshape(-1, 2)[:, ::-1].reshape(-1) if is_swapped else values


def _shared_colour(values: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Spread the colour that two pixels share: each four bytes are Y, Y, Cb, Cr."""
    pairs = values.reshape(layout.rows, -1, 4)
    luma = pairs[:, :, :2].reshape(layout.rows, -1)
    blue, red = (np.repeat(pairs[:, :, n], 2, axis=1) for n in (2, 3))
    return np.stack([luma, blue, red], axis=-1)[:, : layout.columns]


def _shaped(found: NDArray[Any], layout: Layout) -> NDArray[Any]:
    grey = (layout.rows, layout.columns)
    expected = grey if layout.samples == 1 else (*grey, layout.samples)
    if found.shape == (*grey, 1) and layout.samples == 1:
        found = found[:, :, 0]
    if found.shape != expected or not np.issubdtype(found.dtype, np.integer):
        raise ImageError("unreadable", "a DICOM frame of other shape than the header declares")
    return found


def _in_range(found: NDArray[Any], layout: Layout, *, shifted: bool = False) -> Stored:
    """Drop the bits that hold no pixel (old overlays lie there), and apply the sign.

    `shifted`: the bits lie where the header says; compressed ones begin at the lowest bit.
    """
    is_unsigned = np.issubdtype(found.dtype, np.unsignedinteger)
    if is_unsigned and not layout.is_signed and found.dtype.itemsize * 8 == layout.bits_stored:
        return found
    wide = found.astype(np.int64)
    if is_unsigned:
        low = layout.high_bit + 1 - layout.bits_stored if shifted else 0
        wide = (wide >> low) & ((1 << layout.bits_stored) - 1)
        if layout.is_signed:
            sign = 1 << (layout.bits_stored - 1)
            wide = (wide ^ sign) - sign
    return np.clip(wide, *value_range(layout))


def value_range(layout: Layout) -> tuple[int, int]:
    """Return the smallest and the largest value that a sample can have."""
    if layout.is_signed:
        return -(1 << (layout.bits_stored - 1)), (1 << (layout.bits_stored - 1)) - 1
    return 0, (1 << layout.bits_stored) - 1
