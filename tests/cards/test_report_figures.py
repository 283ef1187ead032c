"""Pictures of a report: encoded within its size, and each in its section."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cards.report_figures import Figure, encode_pictures, placed, png_bytes
from synth.measure.sides import Picture
from tests.cards.made_report import noise


def picture(name: str, image: Image.Image) -> Picture:
    return Picture(name, "t", "c", "a", image, shows_real=False)


def kind(figure: Figure) -> str:
    return str(Image.open(io.BytesIO(figure.image)).format)


def test_flat_pictures_stay_without_loss() -> None:
    image = Image.new("RGB", (900, 1_500), (10, 200, 30))
    (figure,) = encode_pictures([picture("map", image)])
    assert kind(figure) == "PNG"
    assert Image.open(io.BytesIO(figure.image)).getpixel((5, 5)) == (10, 200, 30)


@pytest.mark.parametrize("budget", [40_000, 400_000])
def test_pictures_keep_to_their_budget_together(budget: int) -> None:
    pictures = [picture(f"p{i}", noise(500, 450, i)) for i in range(4)]
    figures = encode_pictures(pictures, budget)
    assert sum(len(figure.image) for figure in figures) <= budget
    assert {kind(figure) for figure in figures} == {"JPEG"}


def test_each_picture_has_its_section() -> None:
    names = ("cells_basophil", "feature_map", "worst", "closest_training_pairs", "shortcut_spectra",
             "ladder", "calibration", "subject_shares", "odd", "synthetic")  # fmt: skip
    figures = [Figure(name, "t", "c", "a", png_bytes(noise(4, 4))) for name in names]
    found = {section: [one.key for one in ones] for section, ones in placed(figures).items()}
    assert found == {
        "cells": ["figure-cells-basophil", "figure-synthetic"], "map": ["figure-feature-map"],
        "worst": ["figure-worst"], "copying": ["figure-closest-training-pairs"],
        "shortcuts": ["figure-shortcut-spectra"], "usefulness": ["figure-calibration"],
        "subjects": ["figure-subject-shares"], "more": ["figure-odd"],
    }  # fmt: skip


@pytest.mark.parametrize("single", [True, False])
def test_the_whole_sheet_stands_only_where_classes_have_none(single: bool) -> None:
    names = ["real_over_synthetic", *(["cells_basophil"] if single else [])]
    figures = [Figure(name, "t", "c", "a", png_bytes(noise(4, 4))) for name in names]
    keys = [one.key for one in placed(figures)["cells"]]
    assert keys == (["figure-cells-basophil"] if single else ["figure-real-over-synthetic"])
