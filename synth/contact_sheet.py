"""Contact sheets: many cells in one picture, a row of them per class."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from curation.pixels import Pixels

_GAP = 2
_INK, _PAPER = (40, 38, 52), (255, 255, 255)


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Pixels]]], *, cell_px: int = 64, label_px: int = 168
) -> Image.Image:
    """Return a picture with one row of cells per (caption, images); cells are scaled to `cell_px`.

    A caption may have several lines.
    """
    columns = max((len(images) for _, images in rows), default=0)
    step = cell_px + _GAP
    sheet = Image.new("RGB", (label_px + columns * step + _GAP, len(rows) * step + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, (caption, images) in enumerate(rows):
        top = _GAP + number * step
        draw.multiline_text((6, top + 6), caption, fill=_INK, font=font, spacing=3)
        for column, pixels in enumerate(images):
            cell = Image.fromarray(pixels).resize((cell_px, cell_px), Image.Resampling.LANCZOS)
            sheet.paste(cell, (label_px + column * step, top))
    return sheet


def jpeg_bytes(sheet: Image.Image, *, limit_bytes: int = 600_000) -> bytes:
    """Encode a sheet as JPEG under a size, at the best quality that fits."""
    data = b""
    for quality in (90, 85, 80, 70, 60, 50, 40):
        out = io.BytesIO()
        sheet.save(out, "JPEG", quality=quality, optimize=True)
        data = out.getvalue()
        if len(data) <= limit_bytes:
            break
    return data


def readable(label: str) -> str:
    """Return a label as a caption, one word a line where it is long."""
    words = label.replace("_", " ")
    return words if len(words) <= 20 else words.replace(" ", "\n", 1)
