"""DICOM files as containers of pictures: a frame is a picture, its elements are fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..deidentify.dicom.frames import open_frames, read_frame
from ..deidentify.dicom.header import read_header
from ..deidentify.dicom.identifiers import identifiers
from ..deidentify.dicom.read import DICOM_SUFFIXES, is_dicom, open_dicom
from ..errors import ImageError, SourceError
from ..pixels import Limits
from ..private_names import file_words
from .image_files import DICOM_PREFIX, FoundImage, Picture

__all__ = [
    "DICOM_SUFFIXES", "dicom_identifiers", "dicom_pictures", "is_dicom", "read_dicom_pictures",
]  # fmt: skip


def dicom_pictures(path: Path, limits: Limits | None = None) -> Iterator[Picture]:
    """Yield a picture for each frame of a DICOM file, with the header's elements as fields.

    A file without pictures that can be taken yields one picture with its problem: "unreadable",
    "dicom_no_image" (reports, directories), "slide_label_image", "burned_in_annotation",
    "dicom_unsupported", "too_small" or "too_large".

    Raises: SourceError where the file cannot be read.
    """
    try:
        header = read_header(path, limits)
    except ImageError as error:
        yield Picture(path, 0, problem=error.reason)
        return
    except OSError as error:
        raise _unreadable(path, error) from None
    fields = {f"{DICOM_PREFIX}{name}": header.fields.get(name) for name in header.elements}
    if header.problem is not None:
        yield Picture(path, 0, fields, header.problem)
        return
    for frame in range(header.frames):
        yield Picture(path, frame, fields)


def read_dicom_pictures(
    path: Path, frames: Sequence[int], limits: Limits | None = None, position: int | None = None
) -> Iterator[FoundImage]:
    """Yield frames of a DICOM file by their numbers: JPEG bytes, sRGB pixels, or a problem.

    `position` is that of the file in its source, for errors.

    Raises: SourceError where the file cannot be read.
    """
    try:
        with open_dicom(path) as opened:
            found = open_frames(opened, limits or Limits())
            for number in frames:
                yield _image(read_frame(found, number))
    except ImageError as error:
        # Nothing was yielded: a frame that cannot be decoded costs only itself.
        for _ in frames:
            yield FoundImage(problem=error.reason)
    except OSError as error:
        raise _unreadable(path, error, position) from None


def dicom_identifiers(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a DICOM file says of people and devices, as ("dicom:<dotted keyword>", text).

    Raises: SourceError where the file cannot be read; one that is no DICOM says nothing.
    """
    try:
        with open_dicom(path) as opened:
            yield from identifiers(opened.meta)
            yield from identifiers(opened.dataset)
    except ImageError:
        return
    except OSError as error:
        raise _unreadable(path, error) from None


def _image(found: object) -> FoundImage:
    if isinstance(found, ImageError):
        return FoundImage(problem=found.reason)
    if isinstance(found, bytes):
        return FoundImage(data=found)
    return FoundImage(pixels=found)  # type: ignore[arg-type]


def _unreadable(path: Path, error: OSError, position: int | None = None) -> SourceError:
    return SourceError(
        f"{file_words(path, position)} of the source cannot be read: {error.strerror}. Next: make "
        "it readable or take it out of the source, and run the same command again"
    )
