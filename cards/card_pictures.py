"""Pictures of a card: a sheet of real cells for each class, and how many of each there are."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from curation.corpus import Corpus
from curation.pixels import Pixels, decode_rgb
from curation.vocabulary import LABELS
from synth.contact_sheet import contact_sheet, jpeg_bytes, readable

CLASS_SHEET = "figures/class_sheet.jpg"
CLASS_BALANCE = "figures/class_balance.png"
SHEET_CELLS = 8
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_INK, _PAPER, _RULE = (40, 38, 52), (255, 255, 255), (222, 220, 228)
# Told apart by lightness as well as by hue.
_COLOURS = {
    "train": (46, 64, 122), "validation": (102, 134, 190), "test": (178, 200, 230),
    "synthetic": (226, 140, 62),
}  # fmt: skip
_ROW_PX, _LABEL_PX, _BAR_PX, _COUNT_PX, _HEAD_PX = 24, 250, 460, 90, 34


def class_sheet(corpus: Corpus) -> bytes:
    """Return a JPEG with the first cells of the training split of each class, chosen by no one."""
    rows: dict[str, list[Pixels]] = {}
    wanted = {
        label: min(count, SHEET_CELLS)
        for label, count in corpus.manifest.classes.get("train", {}).items()
    }
    for batch in corpus.batches(["image", "label"], ["train"]):
        for image, number in zip(batch["image"], batch["label"].to_pylist(), strict=True):
            found = rows.setdefault(LABELS[number], [])
            if len(found) < SHEET_CELLS:
                found.append(decode_rgb(image["bytes"].as_py()))
        if all(len(rows.get(label, ())) >= count for label, count in wanted.items()):
            break
    named = [(readable(label), rows[label]) for label in LABELS if label in rows]
    return jpeg_bytes(contact_sheet(named))


def class_balance(counts: Mapping[str, Mapping[str, int]]) -> bytes:
    """Return a PNG of stacked bars; `counts` is label -> part (split or synthetic) -> cells."""
    parts = [part for part in _COLOURS if any(part in row for row in counts.values())]
    most = max((sum(row.values()) for row in counts.values()), default=1) or 1
    size = (_LABEL_PX + _BAR_PX + _COUNT_PX, _HEAD_PX + _ROW_PX * len(counts) + 8)
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=13)
    _legend(draw, parts, font)
    for number, (label, row) in enumerate(counts.items()):
        top = _HEAD_PX + number * _ROW_PX
        draw.text((8, top + 3), label.replace("_", " "), fill=_INK, font=font)
        left = float(_LABEL_PX)
        for part in parts:
            right = left + _BAR_PX * row.get(part, 0) / most
            if row.get(part):
                draw.rectangle((left, top + 3, max(right - 1, left), top + _ROW_PX - 4),
                               fill=_COLOURS[part])  # fmt: skip
            left = right
        draw.text((left + 6, top + 3), f"{sum(row.values()):,}", fill=_INK, font=font)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _legend(draw: ImageDraw.ImageDraw, parts: Sequence[str], font: _Font) -> None:
    left = _LABEL_PX
    for part in parts:
        draw.rectangle((left, 10, left + 12, 22), fill=_COLOURS[part])
        draw.text((left + 18, 8), part, fill=_INK, font=font)
        left += 110
    draw.line((8, _HEAD_PX - 6, _LABEL_PX + _BAR_PX + _COUNT_PX - 8, _HEAD_PX - 6), fill=_RULE)
