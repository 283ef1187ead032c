"""The pictures of a report: encoded within its size, and put into their sections."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from curation.errors import SmearkitError
from synth.contact_sheet import jpeg_bytes
from synth.measure.sides import Picture

from .report_numbers import slug

PICTURE_BUDGET_BYTES = 3_300_000
"""All pictures of a report together, so that the page stays below 5 MB when they are written in
base64, a third longer."""
_MOST_BYTES = 600_000
_MOST_COLOURS = 4_096
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
_SECTIONS = (
    ("cells", ("cells_", "real_over_synthetic", "synthetic")),
    ("map", ("feature_map",)),
    ("worst", ("worst",)),
    ("copying", ("closest", "copies")),
    ("usefulness", ("calibration",)),
    ("shortcuts", ("shortcut", "spectrum")),
    ("subjects", ("subject",)),
)
OTHER = "more"
_WHOLE_SHEET = "real_over_synthetic"
_DRAWN_BY_THE_PAGE = "ladder"
"""A picture for cards; the page draws the same of its numbers."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the report; `image` is a PNG or JPEG file, `name` its stem (no two alike)."""

    name: str
    title: str
    caption: str
    alt: str
    image: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """A figure as the page shows it."""

    key: str
    title: str
    caption: str
    alt: str
    uri: str
    width: int
    height: int


def encode_pictures(
    pictures: Sequence[Picture], budget_bytes: int = PICTURE_BUDGET_BYTES
) -> list[Figure]:
    """Return pictures as figures that fit a report together: PNG where it is small, else JPEG.

    A picture that cannot be made small enough by its quality is made smaller.
    """
    limit = min(_MOST_BYTES, budget_bytes // max(len(pictures), 1))
    return [
        Figure(each.name, each.title, each.caption, each.alt, _encode(each.image, limit))
        for each in pictures
    ]


def png_bytes(image: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def placed(figures: Sequence[Figure]) -> dict[str, list[Placed]]:
    """Return section -> its figures, in their order.

    Left out are the sheet of all classes where each class has one of its own, and the ladder.

    Raises: SmearkitError where a figure is neither PNG nor JPEG, or two share a name.
    """
    single = any(figure.name.startswith("cells_") for figure in figures)
    sections: dict[str, list[Placed]] = {}
    keys: set[str] = set()
    for figure in figures:
        key = f"figure-{slug(figure.name)}"
        if key in keys:
            raise SmearkitError(f"two figures of the report are called {figure.name!r}")
        keys.add(key)
        left_out = (single and figure.name == _WHOLE_SHEET) or figure.name == _DRAWN_BY_THE_PAGE
        if not left_out:
            sections.setdefault(_section(figure.name), []).append(_place(figure, key))
    return sections


def largest(figures: Iterable[Figure]) -> Figure | None:
    """Return the figure with the most bytes."""
    return max(figures, key=lambda figure: len(figure.image), default=None)


def _section(name: str) -> str:
    return next((section for section, starts in _SECTIONS if name.startswith(starts)), OTHER)


def _place(figure: Figure, key: str) -> Placed:
    try:
        with Image.open(io.BytesIO(figure.image), formats=list(_MIME)) as image:
            mime, (width, height) = _MIME[image.format or ""], image.size
    except (UnidentifiedImageError, KeyError) as error:
        raise SmearkitError(
            f"figure {figure.name!r} of the report is neither a PNG nor a JPEG file"
        ) from error
    uri = f"data:{mime};base64,{base64.b64encode(figure.image).decode()}"
    return Placed(key, figure.title, figure.caption, figure.alt, uri, width, height)


def _encode(image: Image.Image, limit_bytes: int) -> bytes:
    # Photographs have too many colours for PNG; drawings have few, and JPEG blurs their edges.
    if image.getcolors(_MOST_COLOURS) is not None:
        lossless = png_bytes(image)
        if len(lossless) <= limit_bytes:
            return lossless
    data = jpeg_bytes(image, limit_bytes=limit_bytes)
    while len(data) > limit_bytes and min(image.size) > 16:
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
        data = jpeg_bytes(image, limit_bytes=limit_bytes)
    return data
