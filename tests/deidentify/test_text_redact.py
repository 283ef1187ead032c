from __future__ import annotations

import numpy as np
import pytest

from curation.deidentify.text import redact as redact_module
from curation.deidentify.text.find import find_text
from curation.deidentify.text.hit import TextHit
from curation.deidentify.text.redact import blank, redact
from curation.errors import ImageError
from tests.deidentify.text_made import burn, burn_barcode, field


def hit(left: int, top: int, right: int, bottom: int) -> TextHit:
    return TextHit((left, top, right, bottom), "text", 0.9, "Quill")


def test_nothing_of_the_text_remains() -> None:
    made = burn(field(), "Quill, Adalbert", "black", 90)
    original = made.pixels.copy()
    out, hits = redact(made.pixels)
    assert [found.text for found in hits] == ["Quill, Adalbert"]
    inked = made.ink > 0
    # Every inked pixel has one and the same colour, which no stroke had.
    assert len(np.unique(out[inked], axis=0)) == 1
    assert out[inked].min() > 150
    assert find_text(out) == ()
    assert np.array_equal(made.pixels, original)


def test_nothing_of_a_barcode_remains() -> None:
    made = burn_barcode(field(1), "P5560123", "QRCode")
    out, hits = redact(made.pixels)
    assert {found.kind for found in hits} == {"barcode"}
    assert find_text(out) == ()


def test_the_rest_of_the_image_stays() -> None:
    pixels = field(2)
    out = blank(pixels, [hit(100, 100, 160, 112)])
    changed = np.argwhere((out != pixels).any(axis=2))
    assert changed.min(axis=0).tolist() >= [97, 97]
    assert (changed.max(axis=0) < [115, 163]).all()
    assert np.array_equal(blank(pixels, []), pixels)


def test_neighbouring_hits_do_not_colour_each_other() -> None:
    pixels = np.full((60, 80, 3), 200, np.uint8)
    pixels[20:30, 10:70] = 0
    out = blank(pixels, [hit(10, 20, 40, 30), hit(40, 20, 70, 30)])
    assert (out == 200).all()


def test_a_hit_over_the_whole_image_leaves_one_colour() -> None:
    grey = burn(field(3), "MRN 4071963").pixels[:, :, 0]
    assert len(np.unique(blank(grey, [hit(0, 0, 320, 240)]))) == 1


def test_what_cannot_be_located_is_not_blanked() -> None:
    unread = TextHit((0, 0, 320, 240), "text", 0.99, "", unread=True)
    with pytest.raises(ImageError, match="text_unread"):
        blank(field(), [unread])


def test_text_that_stays_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_module, "find_text", lambda *_: (hit(10, 10, 60, 22),))
    with pytest.raises(ImageError, match="text_remains"):
        redact(field())
