"""Tests of the report: what it says, what it refuses, and that it stays inside its page."""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cards.charts import Bar, axis_ticks, bar_chart
from cards.report import Figure, format_number, readable_label, render_report
from curation.errors import SmearkitError
from curation.manifest import View
from synth.measure.measurement import Measurement, Measurements

VOID = {"meta", "link", "img", "br", "hr", "input"}
CLASSES = {
    "promyelocyte": 0.0833, "basophil": 0.0702, "lymphocyte_large_granular": 0.0624,
    "myelocyte": 0.0512, "metamyelocyte": 0.0475, "immature_granulocyte_unspecified": 0.0389,
    "neutrophil_band": 0.0261, "neutrophil_segmented": 0.0213, "monocyte": 0.0192,
    "eosinophil": 0.0185, "lymphocyte": 0.0148, "erythroblast": 0.0094, "platelet": 0.0031,
}  # fmt: skip


def measured(name: str, label: str, value: float, **changes: object) -> Measurement:
    fields: dict[str, object] = {
        "name": name,
        "label": label,
        "value": value,
        "n_real": 2_440,
        "n_synthetic": 13_000,
        "direction": "zero" if name == "copied_share" else "lower",
        "extractor": "inception (weights 7f2c90be)",
        "pipeline": "central view, resized to 299 px",
        "reference": "b3:9e1f validation+test",
    }
    return Measurement.model_validate(fields | changes)


def pooled() -> list[Measurement]:
    return [
        measured("kid", "all", 0.02134, low=0.0186, high=0.0243, floor=0.0001,
                 floor_low=-0.0003, floor_high=0.0006),
        measured("fid", "all", 28.43, low=27.1, high=29.9, floor=9.83, n_real=1_220,
                 reliable=False),
        measured("copied_share", "all", 0.0, low=0.0, high=0.00028, n_real=9_760),
        measured("nearest_train", "all", 0.7123, low=0.7088, high=0.7161),
        measured("nearest_train_held_out", "all", 0.7391, low=0.7302, high=0.7466),
    ]  # fmt: skip


def by_class() -> list[Measurement]:
    found = []
    for place, (label, kid) in enumerate(reversed(CLASSES.items())):
        n = 420 - 28 * place
        found += [
            measured("kid", label, kid, low=kid - 0.01, high=kid + 0.01, floor=0.0004,
                     floor_low=-0.002, floor_high=0.003, n_real=n, n_synthetic=1_000,
                     note="few held-out cells" if n < 100 else None),
            measured("fid", label, 900 * kid + 20, n_real=n, reliable=False),
            measured("copied_share", label, 0.0, low=0.0, high=0.0037),
            measured("nearest_train", label, 0.7 + kid, low=0.69 + kid, high=0.71 + kid),
            measured("nearest_train_held_out", label, 0.73 + kid),
        ]  # fmt: skip
    return found


def evaluation(found: list[Measurement] | None = None, **changes: object) -> Measurements:
    fields: dict[str, object] = {
        "format_version": 1,
        "real": "b3:real" + "0" * 57,
        "synthetic": "b3:synthetic" + "1" * 52,
        "generator": "b3:generator" + "2" * 52,
        "training_corpus": "b3:training" + "3" * 53,
        "view": View(side=64, crop=2 / 3),
        "held_out": ("validation", "test"),
        "seconds": 1_932.4,
        "measurements": tuple(pooled() + by_class() if found is None else found),
        "skipped": {"hairy_cell": "only 6 held-out real cells; at least 32 are needed"},
        "versions": {"torch": "2.9.0", "smearkit": "0.1.0"},
    }
    return Measurements.model_validate(fields | changes)


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


class Page(HTMLParser):
    """The parsed page: whether its tags balance, its text, and every attribute in it."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(document)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened = self.open.pop() if self.open else None
        assert opened == tag, f"</{tag}> closes <{opened}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def attributes(self, tag: str, key: str) -> list[str]:
        return [attrs[key] for name, attrs in self.tags if name == tag and key in attrs]

    def words(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def document() -> str:
    figures = (figure(), figure("closest_pairs", image=picture("JPEG")))
    return render_report(evaluation(), figures, facts={"Version": "1.2.0"})


@pytest.fixture(scope="module")
def page(document: str) -> Page:
    return Page(document)


# --- what is in the page ---


def test_every_measurement_is_in_the_page(page: Page) -> None:
    values = page.attributes("data", "value")
    words = page.words()
    for m in evaluation().measurements:
        assert repr(m.value) in values
        assert format_number(m.value, m.name) in words
        assert readable_label(m.label) in words.casefold()
        for bound in (m.low, m.high, m.floor, m.floor_low, m.floor_high):
            assert bound is None or format_number(bound, m.name) in words
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
        found.skipped["hairy_cell"], "Version", "1.2.0",
    ):  # fmt: skip
        assert text in words


def test_kid_stands_in_front_and_classes_are_worst_first(document: str) -> None:
    assert document.index("Kernel inception distance") < document.index("Fréchet inception")
    rows = re.findall(r'<th scope="row">([^<]+)', document)
    assert rows[: len(CLASSES)] == [readable_label(label) for label in CLASSES]
    labels = re.findall(r'<text class="label"[^>]*>([^<]+)', document)
    assert labels == 2 * [readable_label(label) for label in CLASSES]


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


# --- the verdict ---


def verdict(found: list[Measurement], **changes: object) -> str:
    document = render_report(evaluation(found, **changes), [])
    block = document.split('<div class="verdict">')[1].split("</div>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", block)).replace("\u00a0", " ").split())


def test_verdict_in_words() -> None:
    assert verdict(pooled() + by_class()) == (
        "The synthetic cells still differ measurably from real ones; none was found to copy a "
        "training cell. "
        "Over all classes, 13,000 synthetic cells lie at a KID of 0.0213 (95 % interval 0.0186 to "
        "0.0243) from 2,440 held-out real cells, where two sets of real cells of that size lie "
        "0.0001 apart (the floor). "
        "Of 13 classes, promyelocyte is the furthest from real (KID 0.0833) and platelet the "
        "nearest (0.0031), and one class could not be measured. "
        "Among 13,000 synthetic cells no copy was found (95 % interval up to 0.03 %)."
    )


def test_verdict_names_copies() -> None:
    found = [
        measured("copied_share", "all", 0.0125, low=0.01, high=0.016),
        measured("copied_share", "monocyte", 0.2),
        measured("copied_share", "basophil", 0.0),
    ]
    text = verdict(found)
    assert "some copy training cells" in text
    assert "1.2 % (95 % interval 1.0 % to 1.6 %) are copies of training cells" in text
    assert "most of all monocyte" in text


def test_a_copy_in_one_class_is_enough() -> None:
    found = [measured("copied_share", "monocyte", 0.001)]
    assert "Copies of training cells were found in one class" in verdict(found)


def test_verdict_of_cells_at_the_floor() -> None:
    kid = measured("kid", "all", 0.0004, low=-0.001, high=0.002, floor=0.0001, floor_high=0.0006)
    text = verdict([kid], skipped={})
    assert "cannot be told from real ones by this measurement" in text
    assert "whether they copy training cells was not measured" in text
    assert "No class was measured on its own." in text


def test_verdict_without_any_measurement() -> None:
    text = verdict([], skipped={})
    assert "was not measured overall" in text
    assert "No class was measured on its own." in text


def test_one_class_is_neither_furthest_nor_nearest() -> None:
    text = verdict([measured("kid", "basophil", 0.07)], skipped={})
    assert "The one class measured is basophil (KID 0.0700)." in text


@pytest.mark.parametrize(("value", "said"), [(0.70, "no closer"), (0.80, "lie closer")])
def test_copying_is_judged_against_held_out_cells(value: float, said: str) -> None:
    found = [
        measured("nearest_train", "all", value, low=value - 0.01, high=value + 0.01),
        measured("nearest_train_held_out", "all", 0.72, low=0.71, high=0.73),
    ]
    assert said in Page(render_report(evaluation(found), [])).words()


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
    figures = (figure(), figure("closest_pairs", image=picture("JPEG")))
    assert render_report(evaluation(), figures, facts={"Version": "1.2.0"}) == document


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


# --- numbers, labels, charts ---


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (0.02134, "kid", "0.0213"),
        (-0.00213, "kid", "−0.0021"),
        (-0.00001, "kid", "0.0000"),
        (158.04, "fid", "158.0"),
        (1234.5, "fid", "1,234.5"),
        (0.7123, "nearest_train", "0.712"),
        (0.0, "copied_share", "0\u00a0%"),
        (1.0, "copied_share", "100\u00a0%"),
        (0.0125, "copied_share", "1.2\u00a0%"),
        (0.00002, "copied_share", "0.002\u00a0%"),
        (0.0, "other", "0"),
        (0.93421, "other", "0.934"),
        (1234.5, "other", "1,234"),
        (-1.5e-9, "other", "−1.50e−09"),
        (math.nan, "kid", "not a number"),
        (-math.inf, "kid", "−∞"),
    ],
)
def test_format_number(value: float, name: str, text: str) -> None:
    assert format_number(value, name) == text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("neutrophil_segmented", "neutrophil, segmented"),
        ("lymphocyte_large_granular", "lymphocyte, large granular"),
        ("immature_granulocyte_unspecified", "immature granulocyte, unspecified"),
        ("plasma_cell", "plasma cell"),
        ("all", "all classes"),
    ],
)
def test_readable_label(label: str, text: str) -> None:
    assert readable_label(label) == text


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-0.0035, 0.0973), (0.0, 3e-9), (-7.0, 1234.0), (-1.0, 0.0)]
)
def test_axis_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = axis_ticks(low, high, 5)
    assert 2 <= len(ticks) <= 5
    assert all(low - 1e-9 * (high - low) <= tick <= high + 1e-9 * (high - low) for tick in ticks)
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps))
    assert any(abs(tick) < 1e-12 * (high - low) for tick in ticks)


@pytest.mark.parametrize("value", [0.0, 1e-300, -3.0, 1e12, math.nan, math.inf])
def test_a_chart_of_any_value_is_whole(value: float) -> None:
    bars = [Bar("one", value, "x", low=value, high=value), Bar("two", 0.0, "0")]
    drawn = bar_chart(bars, key="k", title="t", description="d", number=str)
    page = Page(str(drawn))
    numbers = [attrs[key] for _, attrs in page.tags for key in ("x", "x1", "width") if key in attrs]
    assert all(math.isfinite(float(number)) for number in numbers)


def test_a_chart_of_nothing_is_nothing() -> None:
    assert bar_chart([], key="k", title="t", description="d", number=str) == ""


def test_a_report_of_odd_values_renders() -> None:
    found = [
        measured("kid", "basophil", math.nan),
        measured("kid", "monocyte", math.inf, low=0.1),
        measured("kid", "platelet", 0.0, high=0.1),
        measured("copied_share", "platelet", math.nan),
    ]
    words = Page(render_report(evaluation(found), [])).words()
    assert "not a number" in words
    assert "whether they copy training cells was not measured" in words
    assert "at least 0.1000" in words
    assert "at most 0.1000" in words


# --- in a browser ---


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no chromium on this machine")


def _browse(page: Path, profile: Path, *arguments: str) -> str:
    command = [
        _chromium(), "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-background-networking", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={profile}", *arguments, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


# The page lies in a frame, because a browser window cannot be made as narrow as a phone.
_MEASURE = """<!DOCTYPE html><body style="margin:0"><iframe id="frame" srcdoc="{document}"
style="width:{width}px;height:900px;border:0"></iframe><script>
document.getElementById("frame").onload = (event) => {{
  const root = event.target.contentDocument.documentElement;
  const wide = [...root.querySelectorAll("body *")].filter((element) => {{
    const box = element.getBoundingClientRect();
    return box.right > {width} + 1 && !element.closest(".scroll, .skip");
  }});
  document.body.dataset.found = JSON.stringify(
    {{width: root.scrollWidth, wide: wide.map((element) => element.outerHTML.slice(0, 80)),
      height: root.scrollHeight}});
}};</script></body>"""


@pytest.mark.e2e
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(document: str, tmp_path: Path, width: int) -> None:
    page = tmp_path / "framed.html"
    page.write_text(_MEASURE.format(document=html.escape(document), width=width), "utf-8")
    profile = tmp_path / "profile"
    dom = _browse(page, profile, "--virtual-time-budget=5000", "--dump-dom")
    match = re.search(r'data-found="([^"]*)"', dom)
    assert match is not None, "the page did not load"
    found = json.loads(html.unescape(match[1]))
    assert found["wide"] == []
    assert found["width"] <= width
    assert found["height"] > 1_000

    shot = tmp_path / "shot.png"
    _browse(page, profile, f"--window-size={width},900", f"--screenshot={shot}")
    with Image.open(shot) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
        assert image.width == width
    assert colours is not None
    assert len(colours) > 20, "the screenshot is blank"
