"""Text and a barcode burned into pixels: such cells must not come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .cells import cell, encoded
from .expected import label_of
from .fact import Array, Check, Fact, go
from .invented import Invented
from .tables import Part

_WIDTH, _HEIGHT, _LETTERS_PX = 240, 160, 20


def write_burned_in_part(folder: Path, invented: Invented, seed: int) -> Part:
    """Write cells with a name, a number, a day or a barcode in them."""
    texts = [invented.plain_name().rpartition(" ")[0], invented.number(), invented.accession(),
             f"{invented.day():%d.%m.%Y}", invented.serial()]  # fmt: skip
    shown = {f"text {n}": _with_text(seed + n, text) for n, text in enumerate(texts)}
    shown["a barcode"] = _with_barcode(seed + len(texts), invented.accession())
    facts: list[Fact] = []
    for number, (where, pixels) in enumerate(shown.items()):
        path = folder / label_of(number) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels, "PNG"))
        facts.append(go("burned into pixels", where, "", _is_gone(pixels)))
    return Part(folder, (), tuple(facts))


def _with_text(seed: int, text: str) -> Array:
    image = Image.fromarray(cell(seed, height=_HEIGHT, width=_WIDTH))
    # Lighter than a nucleus, so that black letters can be read anywhere.
    image = Image.blend(image, Image.new("RGB", image.size, "white"), 0.4)
    font = ImageFont.load_default(_LETTERS_PX)
    ImageDraw.Draw(image).text((16, 30 + seed % 5 * 20), text, fill="black", font=font)
    return np.asarray(image)


def _with_barcode(seed: int, text: str) -> Array:
    import zxingcpp

    pixels = cell(seed, height=_HEIGHT, width=_WIDTH).copy()
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
    bars = np.array(barcode.to_image(scale=3, add_quiet_zones=True))
    pixels[8 : 8 + bars.shape[0], 8 : 8 + bars.shape[1]] = bars[:, :, None]
    return pixels


def _is_gone(pixels: Array) -> Check:
    return lambda outcome: outcome.find(pixels) is None
