"""`report.html` of a validation: one file with its pictures, readable on a phone, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from curation.tiles import Tile

from .page_templates import page_templates

if TYPE_CHECKING:
    from .validation import Pictures, ValidationReport

_SHOWN = 120
_QUALITY = 82
_SHEET_COLUMNS = 8
_SHEET_PX = 64
_CONFUSIONS = 12


def validation_page(report: ValidationReport, pictures: Pictures) -> str:
    """Return the page; its first 120 doubtful labels as pictures."""
    sheets = [_sheet([pictures.tiles[row] for row in sheet]) for sheet in pictures.sheets]
    doubtful = [(entry, _picture(pictures.tiles[row])) for row, entry in pictures.doubtful[:_SHOWN]]
    style = files("smearkit.review").joinpath("static", "review.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("validation.html.j2")
        .render(
            report=report, sheets=sheets, doubtful=doubtful, style=Markup(style),
            confusions=report.labels.confusions[:_CONFUSIONS] if report.labels else (),
        )
    )  # fmt: skip


def words(label: str) -> str:
    """Return a label as a person reads it."""
    return label.replace("_", " ")


def percent(share: float) -> str:
    """Return a share in words; what is nearly nothing or nearly all is not called so."""
    value = 100 * share
    if 0 < value < 0.1:
        return "< 0.1\u00a0%"
    if 99.9 < value < 100:
        return "> 99.9\u00a0%"
    digits = 0 if value in (0, 100) or 1 <= value <= 99 else 1
    return f"{value:.{digits}f}\u00a0%"


def _sheet(tiles: Sequence[Tile]) -> str:
    side = _SHEET_PX
    rows = -(-len(tiles) // _SHEET_COLUMNS)
    sheet = Image.new("RGB", (side * min(_SHEET_COLUMNS, len(tiles)), side * rows), "white")
    for number, tile in enumerate(tiles):
        down, across = divmod(number, _SHEET_COLUMNS)
        small = Image.fromarray(tile).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (side * across, side * down))
    return _address(sheet)


def _picture(tile: Tile) -> str:
    return _address(Image.fromarray(np.ascontiguousarray(tile)))


def _address(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = page_templates()
    environment.filters.update(words=words, percent=percent)
    return environment
