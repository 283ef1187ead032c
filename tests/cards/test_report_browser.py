"""Report and comparison in a real browser: what is asked of the network, and who can read them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cards.compare import compare
from cards.compare_page import render_comparison
from cards.report import MAX_REPORT_BYTES, render_report
from cards.report_figures import encode_pictures
from tests.cards.made_report import full, pictures
from tests.cards.test_compare import three
from tests.smearkit.test_review_browser import Chromium

pytestmark = pytest.mark.e2e

SIZES = ((360, 780), (1280, 900))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if program := shutil.which(name):
            break
    else:
        pytest.skip("no chromium on this machine")
    opened = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A full report with the largest pictures, and a comparison of three."""
    folder = tmp_path_factory.mktemp("pages")
    documents = {
        "report": render_report(full(), encode_pictures(pictures()), facts={"Real cells": "9"}),
        "compare": render_comparison(compare(three())),
    }
    for name, document in documents.items():
        (folder / f"{name}.html").write_text(document, "utf-8")
    return {name: folder / f"{name}.html" for name in documents}


@pytest.fixture(params=["report", "compare"])
def page(request: pytest.FixtureRequest, browser: Chromium, pages: dict[str, Path]) -> Path:
    browser.events.clear()
    return pages[request.param]


def show(browser: Chromium, page: Path, width: int, height: int, scheme: str = "light") -> None:
    browser.window(width, height, scheme, touch=width < 500)
    browser.go(page.as_uri())
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def requested(browser: Chromium) -> list[str]:
    sent = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    return [str(event["params"]["request"]["url"]) for event in sent]


def test_the_page_asks_for_itself_and_nothing_else(browser: Chromium, page: Path) -> None:
    assert page.stat().st_size < MAX_REPORT_BYTES
    show(browser, page, *SIZES[1])
    asked = [url for url in requested(browser) if not url.startswith("data:")]
    assert asked == [page.as_uri()]
    assert browser.complaints() == []
    broken = "[...document.images].filter((one) => !one.naturalWidth).length"
    assert browser.ask(broken) == 0


def test_a_page_that_loads_something_is_seen(browser: Chromium, tmp_path: Path) -> None:
    planted = tmp_path / "planted.html"
    planted.write_text('<img src="http://127.0.0.1:9/pixel.png" alt="">', "utf-8")
    browser.events.clear()
    show(browser, planted, *SIZES[1])
    assert "http://127.0.0.1:9/pixel.png" in requested(browser)


_WIDE = """(() => {
  const inside = ".scroll, .skip, .apart, svg";
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && !one.closest(inside) && (box.right > innerWidth + 1 || box.left < -1);
  });
  return {page: document.documentElement.scrollWidth, height: document.body.scrollHeight,
    wide: wide.map((one) => one.outerHTML.slice(0, 90))};
})()"""


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_nothing_is_wider_than_the_window(
    browser: Chromium, page: Path, width: int, height: int
) -> None:
    show(browser, page, width, height)
    found = browser.ask(_WIDE)
    assert found["wide"] == []
    assert found["page"] <= width
    assert found["height"] > 2_000


def test_the_verdict_is_on_the_first_screens(browser: Chromium, pages: dict[str, Path]) -> None:
    below = "Math.max(...[...document.querySelectorAll('.tile')].map(" \
            "(one) => one.getBoundingClientRect().bottom))"  # fmt: skip
    show(browser, pages["report"], 1280, 900)
    assert browser.ask(below) < 900
    show(browser, pages["report"], 360, 780)
    assert browser.ask("document.querySelector('.tally').getBoundingClientRect().bottom") < 780


_NAMES = """(() => {
  const shown = (one) => one.checkVisibility();
  const named = (svg) => (svg.getAttribute("aria-labelledby") || "").split(" ")
    .every((id) => document.getElementById(id)?.textContent.trim());
  const drawn = [...document.querySelectorAll("svg")].filter(shown);
  return {
    pictures: document.images.length,
    mute: [...document.images].filter((one) => !one.alt.trim()).map((one) => one.outerHTML),
    charts: drawn.filter((one) => one.getAttribute("role") === "img").length,
    nameless: drawn.filter((one) => one.getAttribute("aria-hidden") !== "true"
      && !(one.getAttribute("role") === "img" && named(one))).map((one) => one.outerHTML),
  };
})()"""


def test_every_figure_has_a_name(browser: Chromium, page: Path) -> None:
    show(browser, page, *SIZES[1])
    found = browser.ask(_NAMES)
    assert found["mute"] == []
    assert found["nameless"] == []
    assert found["charts"] >= 5
    assert found["pictures"] == (16 if page.stem == "report" else 0)


_STOPS = """(() => {
  const wanted = "a[href], summary, [tabindex='0'], button, input";
  return [...document.querySelectorAll(wanted)].filter((one) => one.checkVisibility()).length;
})()"""
_HERE = """(() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  return {place: [...document.querySelectorAll("*")].indexOf(one), tag: one.tagName,
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)
      || one.matches(".skip"),
    inside: box.bottom > 0 && box.top < innerHeight};
})()"""


def test_tab_reaches_everything_in_the_order_of_the_page(browser: Chromium, page: Path) -> None:
    show(browser, page, *SIZES[1])
    stops = browser.ask(_STOPS)
    assert stops > 10
    places = []
    for _ in range(stops):
        browser.press("Tab")
        here: dict[str, Any] = browser.ask(_HERE)
        assert here["seen"], here
        assert here["inside"], here
        places.append(here["place"])
    assert places == sorted(set(places)), "each once, in the order of the page"
    browser.press("Tab")
    assert browser.ask("document.activeElement.tagName") in ("BODY", "HTML")


def test_the_skip_link_leads_to_the_verdict(browser: Chromium, page: Path) -> None:
    show(browser, page, *SIZES[0])
    browser.press("Tab")
    assert browser.ask("document.activeElement.getBoundingClientRect().top") >= 0
    browser.press("Enter")
    assert browser.ask("document.activeElement.id") == "content"


# The ratio of every text to what is painted behind it, by WCAG 2.2.
_CONTRAST = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part, i) => i < 3 ? part : part / 255);
  };
  const over = (top, under) => top.slice(0, 3).map((part, i) =>
    part * top[3] + under[i] * (1 - top[3]));
  const ground = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) layers.push(rgba(
      getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const light = (colour) => colour.map((part) => part / 255).map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05)
    / (Math.min(light(a), light(b)) + 0.05);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !one.checkVisibility()) continue;
    if (one.closest("title, desc, style, .skip")) continue;
    const style = getComputedStyle(one), behind = ground(one);
    let opacity = 1;
    for (let at = one; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
    const colour = rgba(one.closest("svg") ? style.fill : style.color);
    colour[3] *= opacity;
    found.push([ratio(over(colour, behind), behind), one.outerHTML.slice(0, 90)]);
  }
  return {texts: found.length, faint: found.filter(([value]) => value < 4.5)};
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_text_stands_out(
    browser: Chromium, page: Path, scheme: str, width: int, height: int
) -> None:
    show(browser, page, width, height, scheme)
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 22, 28)") == (scheme == "dark")
    found = browser.ask(_CONTRAST)
    assert found["texts"] > 200
    assert found["faint"] == []


def test_faint_text_is_seen(browser: Chromium, pages: dict[str, Path]) -> None:
    show(browser, pages["report"], *SIZES[1])
    browser.ask("document.querySelector('.headline').style.color = '#8a8a8a'")
    browser.ask("document.querySelector('.tally').style.opacity = 0.5")
    assert len(browser.ask(_CONTRAST)["faint"]) == 1 + 2


def test_printing_shows_what_was_folded(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.window(1280, 900)
    browser.go(pages["report"].as_uri())
    folded = "[...document.querySelectorAll('details > :not(summary)')].filter(" \
             "(one) => one.checkVisibility({contentVisibilityAuto: true})).length"  # fmt: skip
    assert browser.ask(folded) == 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.ask(folded) > 10
    browser.call("Emulation.setEmulatedMedia", media="")
