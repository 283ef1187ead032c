"""Plants invented names, numbers and dates in images, by a balanced design, to measure the search.

The fonts are DejaVu Sans, Serif and Sans Mono, as matplotlib ships them or the system has them.
Heights are those of a capital H, in px.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curation.deidentify.text.hit import Box
from curation.pixels import Pixels

HEIGHTS_PX = (8, 10, 12, 16, 20, 24)
COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "purple": (110, 50, 140)}
OTHER_COLOURS = {
    "grey": (128, 128, 128), "yellow": (255, 230, 0), "red": (200, 0, 0), "pink": (200, 120, 160),
}  # fmt: skip
ROTATIONS = (0, 90, 180, 270)
FONTS = {"sans": "DejaVuSans.ttf", "serif": "DejaVuSerif.ttf", "mono": "DejaVuSansMono.ttf"}
SAVED = ("png", "jpeg")
_SYSTEM_FOLDERS = (Path("/usr/share/fonts/truetype/dejavu"), Path("/usr/share/fonts/dejavu"))
_FAMILY = (
    "Adalbert", "Brunhild", "Casimir", "Dorothea", "Emerson", "Farrukh", "Gwendolyn", "Hideko",
    "Ignatius", "Jolanta", "Kwame", "Leocadia", "Mbeki", "Nadezhda", "Oyelaran", "Petronella",
    "Quill", "Rasmussen", "Szymanska", "Thorvald", "Umarova", "Vercetti", "Wolfram", "Xiomara",
    "Yamazaki", "Zweig",
)  # fmt: skip
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


@dataclass(frozen=True)
class Style:
    """How a text is planted: its height in px, colour, rotation, font, and how it was saved."""

    height_px: int
    colour: str
    rotation: int
    font: str
    saved: str


@dataclass(frozen=True)
class Planted:
    """An image with a text in it: pixels, the box of its ink, the ink in [0, 1], its style."""

    pixels: Pixels
    box: Box
    ink: Pixels
    style: Style
    text: str


def designs(rng: np.random.Generator, heights_px: tuple[int, ...] = HEIGHTS_PX) -> Iterator[Style]:
    """Yield every combination of the factors in random order, over and over."""
    every = list(itertools.product(heights_px, COLOURS, ROTATIONS, FONTS, SAVED))
    while True:
        for index in rng.permutation(len(every)):
            yield Style(*every[index])


def invented_text(rng: np.random.Generator) -> str:
    """Make up a name, a record number, a date or an accession number of 5 to 14 characters."""
    make = (_name, _record, _date, _accession)[int(rng.integers(4))]
    return make(rng)[:14].strip()


def plant(
    pixels: Pixels, style: Style, rng: np.random.Generator, text: str | None = None, skew: float = 0
) -> Planted | None:
    """Draw a text into an RGB image (h, w, 3) at a random place; None where it does not fit.

    A text too long for the image loses its end, down to 5 characters.
    """
    text = text or invented_text(rng)
    height, width = pixels.shape[:2]
    mask = _mask(text, style, skew)
    while mask.shape[0] + 4 > height or mask.shape[1] + 4 > width:
        if len(text) <= 5:
            return None
        text = text[:-1].strip()
        mask = _mask(text, style, skew)
    top = int(rng.integers(2, height - mask.shape[0] - 1))
    left = int(rng.integers(2, width - mask.shape[1] - 1))
    drawn = _drawn(pixels, mask, (left, top), style.colour)
    box = left, top, left + mask.shape[1], top + mask.shape[0]
    ink = np.zeros((height, width), np.uint8)
    ink[box[1] : box[3], box[0] : box[2]] = mask
    return Planted(saved_as(drawn, style.saved, rng), box, ink, style, text)


def saved_as(pixels: Pixels, saved: str, rng: np.random.Generator) -> Pixels:
    """Return the pixels after a JPEG of quality 75 to 95, or as they are."""
    if saved != "jpeg":
        return pixels
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=int(rng.integers(75, 96)))
    return np.asarray(Image.open(out).convert("RGB"), dtype=np.uint8)


def _drawn(pixels: Pixels, mask: Pixels, at: tuple[int, int], colour: str) -> Pixels:
    left, top = at
    place = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
    share = mask[..., None].astype(np.float32) / 255
    paint = np.array((COLOURS | OTHER_COLOURS)[colour], np.float32)
    out = pixels.copy()
    out[place] = np.round(out[place] * (1 - share) + paint * share).astype(np.uint8)
    return out


def _mask(text: str, style: Style, skew: float) -> Pixels:
    font = _font(style.font, style.height_px)
    left, top, right, bottom = (round(x) for x in font.getbbox(text))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, font=font, fill=255)
    if skew:
        mask = mask.rotate(skew, Image.Resampling.BICUBIC, expand=True)
    return np.rot90(np.asarray(mask, dtype=np.uint8), style.rotation // 90)


@lru_cache(maxsize=256)
def _font(name: str, height_px: int) -> ImageFont.FreeTypeFont:
    folder = _font_folder()
    for size in range(height_px, 3 * height_px):
        font = ImageFont.truetype(str(folder / FONTS[name]), size)
        box = font.getbbox("H")
        if box[3] - box[1] >= height_px:
            return font
    raise ValueError(f"no size of {name} has capitals of {height_px} px")


def _font_folder() -> Path:
    found = find_spec("matplotlib")
    shipped = [Path(found.origin).parent / "mpl-data/fonts/ttf"] if found and found.origin else []
    for folder in (*shipped, *_SYSTEM_FOLDERS):
        if all((folder / name).is_file() for name in FONTS.values()):
            return folder
    raise SystemExit("no DejaVu fonts were found. Next: pip install matplotlib, which ships them")


def _name(rng: np.random.Generator) -> str:
    first, last = (str(name) for name in rng.choice(_FAMILY, 2))
    forms = f"{first} {last}", f"{last}, {first[0]}", first, f"{last[0]}. {first}", first.upper()
    return forms[int(rng.integers(len(forms)))]


def _record(rng: np.random.Generator) -> str:
    head = ("MRN", "", "PID ", "#")[int(rng.integers(4))]
    return head + "".join(str(digit) for digit in rng.integers(0, 10, rng.integers(6, 10)))


def _date(rng: np.random.Generator) -> str:
    day, month, year = (int(rng.integers(*span)) for span in ((1, 29), (1, 13), (1930, 2026)))
    forms = (
        f"{day:02d}.{month:02d}.{year}", f"{year}-{month:02d}-{day:02d}",
        f"{day:02d}/{month:02d}/{year % 100:02d}", f"{month:02d}/{day:02d}/{year}",
    )  # fmt: skip
    return forms[int(rng.integers(len(forms)))]


def _accession(rng: np.random.Generator) -> str:
    letter = _LETTERS[int(rng.integers(len(_LETTERS)))]
    return f"{letter}{rng.integers(10, 27)}-{rng.integers(1000, 999999)}"
