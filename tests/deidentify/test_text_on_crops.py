"""Barcodes on cell crops, which the screen for text lets pass."""

from __future__ import annotations

import numpy as np
import pytest
import zxingcpp

from curation.deidentify.text import TextFinder
from curation.deidentify.text.barcode import find_barcodes, may_hold_barcode
from curation.pixels import Pixels


def crop(side: int = 320) -> Pixels:
    """A pale field with a round purple cell in it."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side] - side / 2
    inside = (np.hypot(x, y) < side / 4)[..., None]
    colours = np.where(inside, (150, 80, 170), (225, 205, 210)) + rng.normal(0, 3, (side, side, 3))
    return np.asarray(colours.clip(0, 255), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["QRCode", "DataMatrix", "Code128"])
@pytest.mark.parametrize("turns", [0, 1])
def test_a_barcode_on_a_crop_is_found(kind: str, turns: int) -> None:
    pixels = crop()
    code = zxingcpp.create_barcode("MRN4815", getattr(zxingcpp.BarcodeFormat, kind))
    printed = np.asarray(zxingcpp.write_barcode_to_image(code, scale=2))
    printed = np.rot90(printed.reshape(printed.shape[0], printed.shape[1], -1)[..., 0], turns)
    height, width = (min(side, 310) for side in printed.shape)
    pixels[5 : 5 + height, 5 : 5 + width] = printed[:height, :width, None]
    assert may_hold_barcode(pixels)
    hits = TextFinder().look(pixels, whole_field=False).hits
    assert [hit.kind for hit in hits if hit.kind == "barcode"]


def test_a_barcode_that_the_edge_cuts_goes_to_a_person_unread() -> None:
    code = zxingcpp.create_barcode("MRN4815", zxingcpp.BarcodeFormat.QRCode)
    printed = np.asarray(zxingcpp.write_barcode_to_image(code, scale=3))
    printed = printed.reshape(printed.shape[0], printed.shape[1], -1)[..., 0]
    half = printed[:, printed.shape[1] // 2 :]
    pixels = crop()
    pixels[20 : 20 + half.shape[0], : half.shape[1]] = half[..., None]
    assert find_barcodes(pixels) == ()
    (hit,) = TextFinder().look(pixels, whole_field=False).hits
    assert hit.unread
    assert hit.box == (0, 0, 320, 320)


def test_a_plain_crop_is_searched_for_nothing() -> None:
    assert not may_hold_barcode(crop())
    assert not may_hold_barcode(crop()[..., 0])
    look = TextFinder().look(crop(), whole_field=False)
    assert not look.searched
    assert look.hits == ()
