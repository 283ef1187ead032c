"""Whole-slide files (TIFF, SVS, NDPI): regions of the full-resolution image, and nothing else.

Only the tiles that a region touches are decoded. Label, macro and thumbnail images show the
patient's label; they are never decoded, and a slide is no cell: without boxes it is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ImageError, SourceError
from ..pixels import Limits, Pixels
from .boxes import Box
from .slide_text import page_texts
from .slide_tiles import check_page, read_box
from .tiff_directories import Directory, is_tiff, read_directories

SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".btf", ".tf8", ".tf2")
TIFF_SUFFIXES = (".tif", ".tiff")
MAYBE_SLIDES = (*SLIDE_SUFFIXES, *TIFF_SUFFIXES)

_REDUCED = 1  # the bit of NewSubfileType that says: a smaller picture of another one
_SOURCE_LENS = 65421  # NDPI: the objective; -1 is the macro image, -2 a map of what was focused on
_MAX_TEXTS = 20_000
_ASSOCIATED = re.compile(r"\b(label|macro|thumbnail|overview|barcode|preview)\b", re.IGNORECASE)
_HEAD_CHARS = 300
_OME_TAG = re.compile(r"<(?:\w+:)?(Image|Pixels)\b([^<>]*)>")
_OME_SIZE = re.compile(r"\bSize([XY])\s*=\s*[\"'](\d+)")
_OME_NAME = re.compile(r"\bName\s*=\s*[\"']([^\"']*)")


@dataclass(frozen=True, slots=True)
class Slide:
    """An open slide: size of its full-resolution image in px, and the words it holds."""

    width: int
    height: int
    texts: tuple[tuple[str, str | None], ...]
    page: Any
    limits: Limits

    def read_region(self, box: Box) -> Pixels:
        """Return a region at full resolution as sRGB, (h, w, 3) or (h, w) uint8.

        Raises: ImageError with reason unreadable or too_large.
        """
        left, top, right, bottom = box
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            raise ValueError(f"region {box} is not inside {self.width}x{self.height} px")
        if (right - left) * (bottom - top) > self.limits.max_pixels:
            raise ImageError("too_large", f"a region of {right - left}x{bottom - top} px")
        return read_box(self.page, box)


def is_slide(path: Path, limits: Limits) -> bool:
    """Return whether a file is a whole slide: several sizes of one picture, or one too large."""
    suffix = path.suffix.casefold()
    if suffix in SLIDE_SUFFIXES:
        return True
    if suffix not in TIFF_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            found = read_directories(file) if is_tiff(file.read(4)) else []
    except (ImageError, OSError):
        return False  # the reader of single images will say what is wrong with it
    return _is_pyramid(found) or any(d.is_tiled and d.pixels > limits.max_pixels for d in found)


def _is_pyramid(found: Sequence[Directory]) -> bool:
    largest = max(found, key=lambda directory: directory.pixels, default=None)
    if largest is None or not largest.is_tiled:
        return False
    return largest.has_sizes or any(other.pixels < largest.pixels for other in found)


def refuse_slides(paths: Iterable[Path], limits: Limits) -> None:
    """Refuse whole slides where cells are expected.

    Raises: SourceError.
    """
    count = sum(is_slide(path, limits) for path in paths)
    if count:
        raise SourceError(
            f"{count} of the source's files are whole slides; a slide is no cell, and its label "
            "image shows whose it is. Next: give a table of boxes that says where its cells lie"
        )


@contextmanager
def open_slide(path: Path, limits: Limits) -> Iterator[Slide]:
    """Open a slide for the time of a `with` block; no pixel is decoded yet.

    Raises: ImageError with reason unreadable, several_images (focal planes or channels), too_large
        (a tile) or slide_without_image (only label, macro or thumbnail).
    """
    with ExitStack() as stack:
        yield _open(path, limits, stack)


def _open(path: Path, limits: Limits, stack: ExitStack) -> Slide:
    ndpi = path.suffix.casefold() == ".ndpi"
    try:
        file = stack.enter_context(path.open("rb"))
        count = len(read_directories(file, ndpi=ndpi))
        file.seek(0)  # the reader takes the place where a file stands for its beginning
        tiff = stack.enter_context(_tifffile().TiffFile(file, **_plain(ndpi)))
        return _slide([tiff.pages[number] for number in range(count)], limits)
    except ImageError:
        raise
    except OSError as error:
        raise ImageError("unreadable", error.strerror or "it cannot be read") from None
    except Exception as error:
        # The reader of a damaged file may raise anything, and its tags may be of any type; the
        # slide is quarantined.
        raise ImageError("unreadable", f"its directories: {type(error).__name__}") from None


def _tifffile() -> Any:
    import tifffile

    # What it logs quotes the names of files and the values of tags.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    return tifffile


def _plain(ndpi: bool) -> dict[str, bool]:
    """Return the flags that keep the reader from following what formats of microscopes promise."""
    others = ("ome", "lsm", "scanimage", "stk", "eer")
    return {f"is_{name}": False for name in others} | {"is_ndpi": ndpi, "_multifile": False}


def _slide(pages: Sequence[Any], limits: Limits) -> Slide:
    page = _full_page(pages)
    check_page(page, limits)
    texts = dict.fromkeys(text for found in pages for text in page_texts(found))
    if len(texts) > _MAX_TEXTS:
        raise ImageError("unreadable", f"more than {_MAX_TEXTS} texts in its directories")
    return Slide(int(page.imagewidth), int(page.imagelength), tuple(texts), page, limits)


def _full_page(pages: Sequence[Any]) -> Any:
    """Return the full-resolution image of the slide itself."""
    own = [page for page in pages if not _is_associated(page)]
    largest = max((page.imagewidth * page.imagelength for page in own), default=0)
    full = [page for page in own if page.imagewidth * page.imagelength == largest > 0]
    if not full:
        raise ImageError(
            "slide_without_image", "it holds label, macro or thumbnail images, but no slide image"
        )
    if len(full) > 1:
        raise ImageError("several_images", f"{len(full)} focal planes or channels; expected one")
    return full[0]


def _is_associated(page: Any) -> bool:
    """Return whether a page is a label, macro or thumbnail image, or a smaller level."""
    if int(page.subfiletype) & _REDUCED:
        return True
    lens = page.tags.valueof(_SOURCE_LENS)
    if lens is not None and not lens > 0:
        return True
    description = page.description or ""
    if description.startswith("Aperio") and not page.is_tiled:
        return True  # the thumbnail says no more of itself than this
    if description.lstrip("\ufeff").startswith("<"):
        return _is_named_associated(page, description)
    return bool(_ASSOCIATED.search(description.partition("|")[0][:_HEAD_CHARS]))


def _is_named_associated(page: Any, xml: str) -> bool:
    """Return whether OME-XML calls every image of a page's size a label, macro or thumbnail."""
    name, names = "", []
    for tag, attributes in _OME_TAG.findall(xml):
        if tag == "Image":
            found = _OME_NAME.search(attributes)
            name = found[1] if found else ""
        elif _says_size(attributes, page.imagewidth, page.imagelength):
            names.append(name)
    return bool(names) and all(_ASSOCIATED.search(name) for name in names)


def _says_size(attributes: str, width: int, height: int) -> bool:
    sizes = dict(_OME_SIZE.findall(attributes))
    return sizes == {"X": str(width), "Y": str(height)}
