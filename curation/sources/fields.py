"""The fields that cells are cut from: images and whole slides, found by the names in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import ImageError, SourceError
from ..pixels import Limits, Pixels, decode_any
from .boxes import Box
from .image_files import Picture, image_files, path_text, pictures, read_pictures
from .slide_file import SLIDE_SUFFIXES, TIFF_SUFFIXES, is_slide, open_slide
from .source import IMAGE_SUFFIXES, no_fields

MISSING = "field_missing"
FIELD = "field_"
"""What the reasons begin with for which all cells of a field are dropped."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field or a slide; `size` is (width, height) in px where it is known without decoding.

    `name` and `texts` (name of column or element -> text) are private. A field with a `problem`
    has no usable cell.
    """

    name: str
    path: Path | None = None
    picture: Picture | None = None
    size: tuple[int, int] | None = None
    texts: Mapping[str, str | None] = field(default_factory=no_fields)
    found: Sequence[tuple[str, str]] = ()
    problem: str | None = None

    @property
    def is_slide(self) -> bool:
        """Whether only regions of it can be read."""
        return self.size is not None


def field_files(images: Path) -> dict[str, Path]:
    """Return name -> path of the files that may be fields: below a folder, or one file.

    Raises: SourceError where there is nothing, or a link leads out of the folder.
    """
    suffixes = (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES)
    if images.is_file():
        return {path_text(images.name): images}
    if not images.is_dir():
        raise SourceError("the fields are neither a folder nor a file. Next: check where they lie")
    found = {
        path_text(path.relative_to(images)): path for path in image_files(images, suffixes=suffixes)
    }
    if not found:
        raise SourceError(f"the folder of fields holds none; looked for {', '.join(suffixes)}")
    return found


def match_files(files: Mapping[str, Path], names: Iterable[str]) -> dict[str, Path]:
    """Return name in the table -> path, for the names that stand for one file.

    A name may lack its folder, and also its suffix, where that leaves no doubt.
    """
    by_name = _unique((path_text(path.name), path) for path in files.values())
    by_stem = _unique((path_text(path.stem), path) for path in files.values())
    found = {}
    for name in names:
        where = str(PurePosixPath(name.replace("\\", "/")))
        path = files.get(where) or by_name.get(where) or by_stem.get(where)
        if path is not None:
            found[name] = path
    return found


def _unique(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    known = list(pairs)
    counts = Counter(name for name, _ in known)
    return {name: path for name, path in known if counts[name] == 1}


def open_field(name: str, path: Path, limits: Limits) -> Field:
    """Return a field with what its file says of itself; no pixel is decoded."""
    if path.suffix.casefold() in (*SLIDE_SUFFIXES, *TIFF_SUFFIXES) and is_slide(path, limits):
        return _open_slide_field(name, path, limits)
    found = list(pictures(path))
    if len(found) != 1:
        return Field(name, path, problem=f"{FIELD}several_images" if found else MISSING)
    picture = found[0]
    texts = tuple((key, text) for key, text in picture.fields.items() if text is not None)
    problem = None if picture.problem is None else f"{FIELD}{picture.problem}"
    return Field(name, path, picture, None, picture.fields, texts, problem)


def _open_slide_field(name: str, path: Path, limits: Limits) -> Field:
    try:
        with open_slide(path, limits) as slide:
            found = tuple((key, text) for key, text in slide.texts if text is not None)
            texts: dict[str, str | None] = {}
            for key, text in slide.texts:
                before = texts.get(key)
                texts[key] = f"{before}; {text}" if before and text else before or text
            size = (slide.width, slide.height)
    except ImageError as error:
        return Field(name, path, problem=f"{FIELD}{error.reason}")
    return Field(name, path, None, size, texts, found)


def read_field(place: Field, limits: Limits) -> Pixels:
    """Return a whole field that is no slide, (h, w, 3) or (h, w) uint8, upright sRGB.

    Raises: ImageError; SourceError where the file cannot be read.
    """
    assert place.picture is not None
    image = next(read_pictures([place.picture]))
    if image.problem is not None:
        raise ImageError(image.problem, "found by the reader of its format")
    return image.pixels if image.pixels is not None else decode_any(image.data or b"", limits)


def read_slide_region(place: Field, box: Box, limits: Limits) -> Pixels:
    """Return a region of a slide, (h, w, 3) or (h, w) uint8 sRGB.

    Raises: ImageError.
    """
    assert place.path is not None
    with open_slide(place.path, limits) as slide:
        if (slide.width, slide.height) != place.size:
            raise ImageError("unreadable", "it changed while it was read")
        return slide.read_region(box)
