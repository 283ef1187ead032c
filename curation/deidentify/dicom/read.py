"""Opening a DICOM file up to its pixel data, whatever is wrong with it."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ...errors import ImageError
from .elements import elements
from .stream import MOST_HEADER_BYTES, Budget, EndingStream, TooManyReadsError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DICOM_SUFFIXES = (".dcm", ".dicom")
_MAGIC = b"DICM"
_PREAMBLE = 128
_PIXEL_TAGS = (0x7FE00010, 0x7FE00009, 0x7FE00008)
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = (b"OB", b"OW", b"UN", b"OF", b"OD", b"OL", b"OV")
# Without file meta a data set begins with group 0008, little or big endian.
_FIRST_GROUPS = (b"\x08\x00", b"\x00\x08", b"\x02\x00")


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the value of the pixel data lies; `length` is None where it is encapsulated."""

    tag: int
    vr: str
    offset: int
    length: int | None


@dataclass(frozen=True, slots=True)
class OpenDicom:
    """An open file: its data set before the pixel data, and the bytes that hold the rest."""

    dataset: Dataset
    meta: Dataset
    transfer_syntax: str
    is_little_endian: bool
    stream: BinaryIO
    pixels: PixelElement | None


def is_dicom(path: Path) -> bool:
    """Whether a file is called or begins as a DICOM file does."""
    if path.suffix.casefold() in DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(_PREAMBLE + 4)[_PREAMBLE:] == _MAGIC


@contextmanager
def open_dicom(path: Path) -> Iterator[OpenDicom]:
    """Open a DICOM file and read it up to its pixel data.

    Raises: ImageError with reason unreadable, too_large or dicom_unsupported; OSError where the
    file cannot be opened.
    """
    with path.open("rb") as file:
        with quietly(), naming_errors():
            opened = _parse(file)
        yield opened


@contextmanager
def quietly() -> Iterator[None]:
    """Keep pydicom's warnings and log, which quote what they found, to itself."""
    logger = logging.getLogger("pydicom")
    was = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was


@contextmanager
def naming_errors() -> Iterator[None]:
    """Name what the reader or a decoder of a damaged file raises.

    Raises: ImageError with reason unreadable.
    """
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        # It may be anything, and its text quotes what was read: only its type goes on.
        raise ImageError("unreadable", f"DICOM: {type(error).__name__}") from None


def _parse(file: BinaryIO) -> OpenDicom:
    budget = Budget()
    try:
        return _parse_within(file, budget)
    except OSError:
        # pydicom turns what it does not expect, and so a spent budget, into an OSError.
        if budget.is_spent:
            raise TooManyReadsError from None
        raise


def _parse_within(file: BinaryIO, budget: Budget) -> OpenDicom:
    from pydicom.filereader import read_dataset

    stream = EndingStream(file, budget, MOST_HEADER_BYTES)
    meta = _read_meta(stream, budget)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    is_implicit, is_little = _encoding(syntax, stream)
    body: BinaryIO = file
    if syntax == _deflated():
        body = io.BytesIO(_inflate(stream.read()))
        stream = EndingStream(body, budget, MOST_HEADER_BYTES)
    dataset = read_dataset(cast(BinaryIO, stream), is_implicit, is_little, stop_when=_is_pixel_data)
    is_implicit, is_little = _settled(dataset, is_implicit, is_little)
    pixels = _pixel_element(body, is_implicit, is_little)
    if pixels is None and body.tell() >= MOST_HEADER_BYTES:
        raise ImageError("too_large", "more before the pixel data than is read of one file")
    return OpenDicom(dataset, meta, syntax, is_little, body, pixels)


def _is_pixel_data(tag: int, vr: str | None, length: int) -> bool:
    return tag in _PIXEL_TAGS


def _read_meta(stream: EndingStream, budget: Budget) -> Dataset:
    from pydicom.filereader import read_dataset

    if stream.read(_PREAMBLE + 4)[_PREAMBLE:] != _MAGIC:
        stream.seek(0)
        first = stream.read(2)
        stream.seek(0)
        if first not in _FIRST_GROUPS:
            raise ImageError("unreadable", "no DICOM file: neither its mark nor a first element")
    start = stream.tell()
    if stream.read(2) != b"\x02\x00":
        stream.seek(start)
        from pydicom.dataset import Dataset

        return Dataset()
    stream.seek(start)
    meta = read_dataset(
        cast(BinaryIO, stream), False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )
    # One that is cut off may name another syntax than the file is in.
    for _ in elements(meta, budget):
        pass
    return meta


def _encoding(syntax: str, stream: EndingStream) -> tuple[bool, bool]:
    """Return whether the data set is in implicit VR, and whether in little endian."""
    from pydicom.uid import UID

    if not syntax:
        return _guessed_encoding(stream)
    uid = UID(syntax)
    if uid.is_private or not uid.is_transfer_syntax:
        raise ImageError("dicom_unsupported", "a transfer syntax that is not of the standard")
    return uid.is_implicit_VR, uid.is_little_endian


def _guessed_encoding(stream: EndingStream) -> tuple[bool, bool]:
    start = stream.tell()
    head = stream.read(6)
    stream.seek(start)
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    return not is_explicit, not (is_explicit and head[:1] == b"\x00")


def _settled(dataset: Dataset, is_implicit: bool, is_little: bool) -> tuple[bool, bool]:
    # Files are met that say explicit and are implicit; the reader notes what it found.
    found_implicit, found_little = dataset.original_encoding
    return (
        is_implicit if found_implicit is None else found_implicit,
        is_little if found_little is None else found_little,
    )


def _deflated() -> str:
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    return str(DeflatedExplicitVRLittleEndian)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    found = inflater.decompress(data, MOST_HEADER_BYTES)
    if inflater.unconsumed_tail:
        raise ImageError("too_large", "unpacks to more than is read of one file")
    return found


def _pixel_element(stream: BinaryIO, is_implicit: bool, is_little: bool) -> PixelElement | None:
    end = "<" if is_little else ">"
    head = stream.read(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack_from(f"{end}HH", head)
    tag = group << 16 | element
    if tag not in _PIXEL_TAGS:
        return None
    if is_implicit:
        vr, width = "OW", 8
    else:
        if head[4:6] not in _LONG_VRS:
            raise ImageError("unreadable", "pixel data of a VR that holds none")
        vr, width = head[4:6].decode("ascii"), 12
    (length,) = struct.unpack_from(f"{end}I", head, width - 4)
    start = stream.seek(width - len(head), io.SEEK_CUR)
    return PixelElement(tag, vr, start, None if length == _UNDEFINED else int(length))
