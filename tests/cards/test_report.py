"""Tests of the report: what it says, what it refuses, and that it stays inside its page."""

from __future__ import annotations

import base64
import io
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cards.report import MAX_REPORT_BYTES, render_report
from cards.report_figures import Figure, encode_pictures
from cards.report_metrics import readable_arm, readable_label
from cards.report_numbers import number_of
from curation.errors import SmearkitError
from tests.cards.html_page import Page
from tests.cards.made_report import (
    CLASSES,
    RUNGS,
    SHORTCUTS,
    evaluation,
    full,
    measured,
    pictures,
)  # fmt: skip


def picture(kind: str = "PNG", size: tuple[int, int] = (96, 64)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def figure(name: str = "real_over_synthetic", **changes: object) -> Figure:
    fields: dict[str, object] = {
        "title": "Real cells over synthetic ones",
        "caption": "Each column is a class.",
        "alt": "Two rows of cells",
        "image": picture(),
    }
    return Figure(name=name, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def document() -> str:
    return made_report()


def made_report() -> str:
    figures = (figure(), figure("closest_pairs", image=picture("JPEG")))
    facts, settings = {"Version": "1.2.0"}, {"seed": "4711"}
    return render_report(evaluation(), figures, facts=facts, settings=settings)


@pytest.fixture(scope="module")
def page(document: str) -> Page:
    return Page(document)


# --- what is in the page ---


def test_every_measurement_is_in_the_page(page: Page) -> None:
    values = page.attributes("data", "value")
    words = page.words()
    for m in evaluation().measurements:
        assert repr(m.value) in values
        assert number_of(m, m.value) in words
        assert readable_label(m.label) in words.casefold()
        for bound in (m.low, m.high, m.floor, m.floor_low, m.floor_high):
            assert bound is None or number_of(m, bound) in words
        assert f"{m.n_real:,}" in words
        assert f"{m.n_synthetic:,}" in words
        assert m.note is None or m.note in words


def test_the_rest_of_the_file_is_in_the_page(page: Page) -> None:
    words = page.words()
    found = evaluation()
    for text in (
        found.real, found.synthetic, found.generator, found.training_corpus,
        found.measurements[0].extractor, found.measurements[0].pipeline,
        found.measurements[0].reference, "torch 2.9.0", "smearkit 0.1.0", "validation and test",
        "the central 66.7\u00a0% at 64 × 64 pixels", "32 min 12 s", "hairy cell",
        found.skipped["hairy_cell"], "Version", "1.2.0", "seed 4711",
    ):  # fmt: skip
        assert text in words


def test_kid_stands_in_front_and_classes_are_worst_first(document: str) -> None:
    assert document.index("Kernel inception distance") < document.index("Fréchet inception")
    table = document.split('id="table-distance-kid"')[1]
    rows = re.findall(r'<th scope="row">([^<]+)', table)
    assert rows[: len(CLASSES)] == [readable_label(label) for label in CLASSES]
    chart = document.split('id="chart-distance-kid-wide-title"')[1].split("</svg>")[0]
    labels = re.findall(r'<text class="label"[^>]*>([^<]+)', chart)
    assert labels == [readable_label(label) for label in CLASSES]


def test_greyed_fid_says_why(document: str, page: Page) -> None:
    assert "FID needs at least 2,048 images on each side" in page.words()
    row = re.search(r'<tr[^>]*class="([^"]*)"[^>]*><th[^>]*>Fréchet', document)
    assert row is not None
    assert "unreliable" in row[1]


def test_fid_of_many_images_is_not_greyed() -> None:
    found = measured("fid", "all", 12.5, n_real=5_000)
    assert "Greyed" not in render_report(evaluation([found]), [])
    few = measured("fid", "all", 12.5, n_real=2_047)
    assert "Greyed" in render_report(evaluation([few]), [])


def test_an_unreliable_number_without_a_note_is_explained() -> None:
    found = measured("kid", "all", 0.1, reliable=False)
    assert "marked this number as not reliable" in render_report(evaluation([found]), [])


def test_unknown_metrics_keep_their_name() -> None:
    found = [
        measured("label_agreement", "all", 0.93421, direction="higher"),
        measured("label_agreement", "basophil", 0.61, direction="higher"),
        measured("label_agreement", "monocyte", 0.97, direction="higher"),
    ]
    document = render_report(evaluation(found), [])
    assert "<code>label_agreement</code>" in document
    assert "higher is better" in document
    assert '<data value="0.93421">0.934</data>' in document
    assert document.index(">basophil") < document.index(">monocyte")


def test_figures_are_embedded(page: Page) -> None:
    sources = page.attributes("img", "src")
    assert [source.split(",")[0] for source in sources] == [
        "data:image/png;base64", "data:image/jpeg;base64",
    ]  # fmt: skip
    assert base64.b64decode(sources[0].split(",")[1]) == picture()
    assert page.attributes("img", "alt") == ["Two rows of cells"] * 2
    assert page.attributes("img", "width") == ["96"] * 2


# --- what is refused, and what is safe ---


def test_markup_in_the_input_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    found = [measured(evil, "all", 1.0, note=evil), measured(evil, f"a{evil}", 1.0)]
    document = render_report(
        evaluation(found, skipped={evil: evil}, versions={evil: evil}, real=evil),
        [figure(title=evil, caption=evil, alt=f'"{evil}')],
        title=evil,
        facts={evil: evil},
    )
    assert "<script" not in document
    assert "&lt;script&gt;" in document
    assert Page(document).attributes("img", "alt") == [f'"{evil}']


def test_nothing_is_loaded_from_anywhere(document: str, page: Page) -> None:
    assert "http://" not in document
    assert "https://" not in document
    assert "@import" not in document
    assert "url(" not in document
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    loads = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert all(load.startswith(("data:", "#")) for load in loads)
    assert any("default-src 'none'" in content for content in page.attributes("meta", "content"))


def test_links_and_descriptions_point_at_something(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [href[1:] for href in page.attributes("a", "href")]
    for _, attrs in page.tags:
        targets += attrs.get("aria-labelledby", "").split()
    assert set(targets) <= set(ids)
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_scrolling_boxes_are_reached_by_keyboard(page: Page) -> None:
    boxes = [attrs for tag, attrs in page.tags if attrs.get("class") == "scroll"]
    assert boxes
    assert all(box["tabindex"] == "0" and box["role"] == "region" for box in boxes)


def test_same_input_same_document(document: str) -> None:
    assert made_report() == document


def test_over_5_mb_is_refused_with_the_largest_figure() -> None:
    padding = b"\0" * 4_000_000  # after the end of the file, where no reader looks
    figures = [figure("small"), figure("closest_pairs", image=picture() + padding)]
    with pytest.raises(SmearkitError, match=r"over its limit of 5.0 MB.*'closest_pairs'.*4.0 MB"):
        render_report(evaluation(), figures)


def test_over_5_mb_of_text_is_refused() -> None:
    with pytest.raises(SmearkitError, match="no figures"):
        render_report(evaluation(), [], facts={"x": "y" * 5_000_000})


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"<svg></svg>", picture("GIF")])
def test_other_pictures_are_refused(image: bytes) -> None:
    with pytest.raises(SmearkitError, match="'odd' .* neither a PNG nor a JPEG"):
        render_report(evaluation(), [figure("odd", image=image)])


def test_two_figures_of_one_name_are_refused() -> None:
    with pytest.raises(SmearkitError, match="two figures"):
        render_report(evaluation(), [figure(), figure()])


def test_a_report_of_odd_values_renders() -> None:
    found = [
        measured("kid", "basophil", math.nan),
        measured("kid", "monocyte", math.inf, low=0.1),
        measured("kid", "platelet", 0.0, high=0.1),
        measured("copied_share", "platelet", math.nan),
    ]
    words = Page(render_report(evaluation(found), [])).words()
    assert "not a number" in words
    assert "at least 0.1000" in words
    assert "at most 0.1000" in words


# --- its sections ---


SECTIONS = ("summary", "cells", "map", "classes", "worst", "copying", "usefulness", "shortcuts",
            "subjects", "skipped", "scorecard", "provenance", "glossary")  # fmt: skip


def test_sections_stand_in_their_order_and_each_is_linked() -> None:
    names = ("cells_basophil", "feature_map", "worst", "closest_training_pairs")
    document = render_report(full(), [figure(name) for name in names])
    assert re.findall(r'<h2 id="([a-z]+)"', document) == list(SECTIONS)
    page = Page(document)
    links = {href[1:] for href in page.attributes("a", "href")}
    assert set(SECTIONS) - {"summary"} <= links


def test_a_report_of_nothing_is_whole() -> None:
    words = Page(render_report(evaluation([], skipped={}), [])).words()
    assert "No goal was set for anything" in words
    assert words.count("Not measured") >= 6


def test_a_full_report_of_the_largest_pictures_is_below_5_mb() -> None:
    document = render_report(full(), encode_pictures(pictures()))
    assert 3_000_000 < len(document.encode()) < MAX_REPORT_BYTES
    page = Page(document)
    shown = [p.name for p in pictures() if p.name != "real_over_synthetic"]
    assert len(page.attributes("img", "src")) == len(shown)


def test_ladder_and_shortcuts_have_a_row_an_arm() -> None:
    document = render_report(full(), [])
    ladder = document.split('id="table-usefulness-balanced-accuracy-arms"')[1].split("</table>")[0]
    assert re.findall(r'<th role="rowheader" scope="row">([^<]+)', ladder) == list(RUNGS)
    table = document.split('id="table-shortcuts-shortcut-auc-arms"')[1].split("</table>")[0]
    ranked = sorted(SHORTCUTS, key=lambda arm: -abs(SHORTCUTS[arm] - 0.5))
    assert re.findall(r'<th role="rowheader" scope="row">([^<]+)', table) == [
        readable_arm(arm) for arm in ranked
    ]
