from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.deidentify.text.screen import Cues, cues, text_likeness
from smearkit.demo_cells import draw_cell, random_stain
from tests.deidentify.text_made import burn, field


@pytest.mark.parametrize("side", [96, 192])
def test_drawn_cells_are_stopped(side: int) -> None:
    for seed, label in enumerate(("lymphocyte", "monocyte", "neutrophil_segmented", "eosinophil")):
        rng = np.random.default_rng(seed)
        assert text_likeness(draw_cell(label, rng, random_stain(rng), side)) < 0.5


@pytest.mark.parametrize("colour", ["black", "white", "purple"])
@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("size", [12, 16, 30])
def test_text_passes(colour: str, rotation: int, size: int) -> None:
    rng = np.random.default_rng(size)
    crop = draw_cell("lymphocyte", rng, random_stain(rng), 256)
    made = burn(crop, "MRN 4071963", colour, rotation, at=(12, 12), size=size)
    assert text_likeness(made.pixels) >= 0.5


def test_grey_crops_are_judged_like_colour_ones() -> None:
    grey = np.ascontiguousarray(field(1)[:, :, 1])
    repeated = np.repeat(grey[:, :, None], 3, axis=2)
    assert cues(grey) == cues(repeated)


def test_one_colour_has_no_detail() -> None:
    flat = np.full((64, 64, 3), 200, np.uint8)
    assert cues(flat) == Cues(0, 0, 0, 0, 0, 0, 200)


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_size_has_a_likeness(width: int, height: int, grey: bool, seed: int) -> None:
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    likeness = text_likeness(pixels)
    assert 0 <= likeness <= 1
    if min(width, height) < 24:
        assert likeness == 1
