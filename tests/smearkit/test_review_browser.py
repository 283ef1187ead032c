"""The review in a real browser: keys, mouse, and what is on the screen at the end of it."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from PIL import Image

from curation.deidentify.decisions import DECISIONS_NAME, Decision, read_decisions
from tests.made_quarantine import NAMES, MadeQuarantine, make_quarantine

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
KEY_CODES = {"Enter": 13, "Escape": 27, "Delete": 46, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38,
             "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip
SHIFT = 8


class Chromium:
    """A headless browser, spoken to over a pipe: one page, no library."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._to_write = os.pipe()
        from_read, from_write = os.pipe()
        # The browser reads its descriptor 3 and writes to 4, which the shell puts in place.
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe",
            f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, program, *flags], pass_fds=(to_read, from_write),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(from_write)
        self._answers: IO[bytes] = os.fdopen(from_read, "rb")
        self._session: str | None = None
        self._n_sent = 0
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._to_write)
        self._answers.close()

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._n_sent += 1
        message: dict[str, object] = {"id": self._n_sent, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._n_sent:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser has gone"
            found += byte
        return dict(json.loads(found))

    def wait_for_load(self) -> None:
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def go(self, url: str) -> None:
        self._forget_loads()
        self.call("Page.navigate", url=url)
        self.wait_for_load()

    def _forget_loads(self) -> None:
        self.events = [e for e in self.events if e.get("method") != "Page.loadEventFired"]

    def press(self, key: str, *, leaves: bool = False, shift: bool = False) -> None:
        """Press a key; where it `leaves` the page, wait for the next one."""
        self._forget_loads()
        code = KEY_CODES.get(key) or ord(key.upper())
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": SHIFT if shift else 0}
        kind = "keyDown" if text else "rawKeyDown"
        self.call("Input.dispatchKeyEvent", type=kind, text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        if leaves:
            self.wait_for_load()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        for kind, (x, y), buttons in (
            ("mousePressed", start, 1), ("mouseMoved", end, 1), ("mouseReleased", end, 0),
        ):  # fmt: skip
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left",
                      buttons=buttons, clickCount=1)  # fmt: skip

    def window(self, width: int, height: int, scheme: str = "light", touch: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=touch)  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def ask(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, waiting for a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)  # fmt: skip
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self) -> Image.Image:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def complaints(self) -> list[str]:
        """Return what the browser complained of: errors in scripts, refused or failed loads."""
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Network.loadingFailed")
        return [json.dumps(e["params"]) for e in self.events if e.get("method") in kinds]

    def hosts(self) -> set[str]:
        """Return the hosts that anything was asked of."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return {e["params"]["request"]["url"].split("/")[2] for e in sent}


class Open(NamedTuple):
    """A review in the browser."""

    browser: Chromium
    url: str
    made: MadeQuarantine

    def show(self, number: int) -> None:
        self.browser.go(f"{self.url}images/{self.made.ids[number - 1]}")

    def place(self) -> str:
        return str(self.browser.ask("document.querySelector('.place').textContent"))

    def decisions(self) -> list[Decision]:
        return list(read_decisions(self.made.vault).values())

    def corner(self, box: int, x: str, y: str) -> tuple[float, float]:
        """Return where the side x and the side y of a box lie on the screen."""
        found = self.browser.ask(
            f"(r => [r.{x}, r.{y}])"
            f"(document.querySelectorAll('#overlay .edge')[{box}].getBoundingClientRect())"
        )
        return found[0], found[1]


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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MadeQuarantine, str]]:
    """A quarantine and the address of its review, served as the command serves it."""
    made = make_quarantine(tmp_path_factory.mktemp("served"))
    code = f"""
from pathlib import Path
from smearkit.review.serve import serve
serve(Path({str(made.quarantine)!r}), Path({str(made.vault)!r}), open_browser=False)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        yield made, server.stdout.readline().strip()
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.fixture
def review(browser: Chromium, served: tuple[MadeQuarantine, str]) -> Iterator[Open]:
    """A review at its first image, of which nothing is decided and nothing remembered."""
    made, url = served
    (made.vault / DECISIONS_NAME).unlink(missing_ok=True)
    browser.window(1280, 800)
    browser.go(url)
    browser.ask("localStorage.clear(); sessionStorage.clear()")
    browser.events.clear()
    browser.go(url)
    yield Open(browser, url, made)
    assert browser.complaints() == []
    assert browser.hosts() == {url.split("/")[2]}, "nothing is asked of anyone else"


def test_a_whole_review_by_keys_alone(review: Open) -> None:
    browser = review.browser
    assert review.place() == "1 of 4"
    browser.press("a", leaves=True)
    assert review.place() == "2 of 4"
    browser.press("u", leaves=True)
    assert review.place() == "1 of 4"
    assert review.decisions() == []
    browser.press("d", leaves=True)
    browser.press("ArrowRight", leaves=True)
    assert review.place() == "3 of 4"
    browser.press("k", leaves=True)
    browser.press("r")
    browser.press("Enter", leaves=True)
    assert review.place() == "3 of 4"
    browser.press("a", leaves=True)
    assert review.place() == "4 of 4"
    browser.press("a")
    browser.press("r")
    assert review.place() == "4 of 4", "what cannot be shown cannot be accepted"
    browser.press("d", leaves=True)
    assert "All 4 images are decided" in browser.ask("document.body.textContent")
    assert [one.action for one in review.decisions()] == ["drop", "redact", "accept", "drop"]
    assert review.decisions()[1].boxes == ((4, 4, 60, 16),)


def test_a_redaction_is_seen_before_it_is_confirmed(review: Open) -> None:
    x, y = review.corner(0, "left", "top")
    inside = (int(x) + 12, int(y) + 12)
    assert review.browser.screenshot().getpixel(inside) != (0, 0, 0)
    review.browser.press("r")
    assert review.browser.screenshot().getpixel(inside) == (0, 0, 0)
    review.browser.press("Escape")
    assert review.browser.screenshot().getpixel(inside) != (0, 0, 0)
    assert review.decisions() == []


def test_boxes_are_drawn_moved_and_removed_with_the_mouse(review: Open) -> None:
    browser = review.browser
    browser.press("r")
    x, y = review.corner(0, "left", "top")
    scale = (review.corner(0, "right", "top")[0] - x) / 56  # screen px of one picture px

    def at(left: float, top: float) -> tuple[float, float]:
        return x + (left - 4) * scale, y + (top - 4) * scale

    browser.drag(at(20, 40), at(70, 80))
    browser.drag(at(30, 50), at(40, 55))
    browser.drag(at(5, 60), at(15, 90))
    browser.press("Enter", leaves=True)
    (found,) = review.decisions()
    assert found.boxes == ((4, 4, 60, 16), (30, 45, 80, 85), (5, 60, 15, 90))
    review.show(1)
    browser.press("r")
    browser.drag(at(10, 75), at(10, 75))
    browser.press("Delete")
    browser.drag(at(60, 60), at(60, 60))
    browser.drag(at(80, 85), at(200, 200))
    browser.press("Enter", leaves=True)
    (found,) = review.decisions()
    assert found.boxes == ((4, 4, 60, 16), (30, 45, 96, 96)), "a corner, drawn over the edge"


def test_boxes_are_edited_by_keys(review: Open) -> None:
    browser = review.browser
    browser.press("r")
    for key, shift in (("ArrowRight", False), ("ArrowDown", False), ("ArrowDown", True)):
        browser.press(key, shift=shift)
    browser.press("n")
    browser.press("ArrowLeft", shift=True)
    label = browser.ask("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("Box 2 of 2: left 34, top 38, 27 by 20 px.")
    browser.press("Enter", leaves=True)
    (found,) = review.decisions()
    assert found.boxes == ((5, 5, 61, 18), (34, 38, 61, 58))


def test_nothing_is_redacted_without_a_box(review: Open) -> None:
    review.browser.press("r")
    review.browser.press("Delete")
    assert review.browser.ask("document.querySelector('[data-does=confirm]').disabled")
    review.browser.press("Enter")
    assert review.place() == "1 of 4"
    assert review.decisions() == []


def test_the_name_is_shown_and_hidden_again(review: Open) -> None:
    seen = "document.querySelector('.name output').textContent"
    arrived = f"new Promise(r => setTimeout(() => r({seen}), 400))"
    assert review.browser.ask(seen) == ""
    review.browser.press("p")
    assert review.browser.ask(arrived) == NAMES[1]
    review.browser.press("p")
    assert review.browser.ask(arrived) == ""


def test_zoom_shows_the_box_larger_and_arrows_move_the_view(review: Open) -> None:
    browser = review.browser
    before = browser.ask("document.querySelector('#picture').clientWidth")
    browser.press("z")
    assert browser.ask("document.querySelector('#picture').clientWidth") > 1.2 * before
    x, y = review.corner(0, "left", "bottom")
    assert 0 <= x < 912
    assert 57 < y < 748
    browser.press("ArrowDown")
    scrolled = (
        "new Promise(r => setTimeout(() => r(document.querySelector('.view').scrollTop), 400))"
    )
    first = browser.ask(scrolled)
    browser.press("ArrowDown")
    assert browser.ask(scrolled) > first
    assert review.place() == "1 of 4"
    browser.press("z")
    assert browser.ask("document.querySelector('#picture').clientWidth") == before


def test_hidden_boxes_stay_hidden_on_the_next_image(review: Open) -> None:
    drawn = "document.querySelector('.box').getBoundingClientRect().width > 0"
    assert review.browser.ask(drawn)
    review.browser.press("b")
    assert not review.browser.ask(drawn)
    review.browser.press("j", leaves=True)
    assert not review.browser.ask(drawn)
    review.browser.press("b")
    assert review.browser.ask(drawn)


def test_keys_wait_while_a_note_is_written_and_can_be_turned_off(review: Open) -> None:
    browser = review.browser
    browser.ask("document.querySelector('[name=note]').focus()")
    for key in ("a", "d", "Enter"):
        browser.press(key)
    assert browser.ask("document.querySelector('[name=note]').value") == "ad"
    assert review.decisions() == []
    browser.ask("document.activeElement.blur()")
    browser.press("?")
    assert browser.ask("document.querySelector('#help').open")
    assert browser.ask("document.activeElement.id") == "help-title"
    browser.press("d")
    browser.ask("document.querySelector('#keys-on').click()")
    browser.press("Escape")
    browser.press("d")
    assert review.decisions() == []
    browser.ask("document.querySelector('.drop').click()")
    browser.wait_for_load()
    (found,) = review.decisions()
    assert (found.action, found.note) == ("drop", "ad")


def test_a_key_held_down_decides_once(review: Open) -> None:
    held = {"key": "d", "windowsVirtualKeyCode": 68, "text": "d", "autoRepeat": True}
    review.browser.call("Input.dispatchKeyEvent", type="keyDown", **held)
    assert review.place() == "1 of 4"
    assert review.decisions() == []


# What reaches beyond the window, controls too small for a finger, and controls without a name.
_LAYOUT = """(() => {
  const shown = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility(
    {visibilityProperty: true}) && !one.closest(".skip, .view, .command, dialog"));
  const name = (one) => one.outerHTML.slice(0, 90);
  const box = (one) => one.getBoundingClientRect();
  const controls = shown.filter((one) => one.matches("button, a, input") && !one.closest("p"));
  return {
    wide: shown.filter((one) => box(one).right > innerWidth + 1 || box(one).left < -1).map(name),
    small: controls.filter((one) => box(one).height < 24).map(name),
    mute: controls.filter((one) =>
      !(one.innerText || one.ariaLabel || one.labels?.[0]?.innerText)).map(name),
    width: document.documentElement.scrollWidth,
  };
})()"""
_WHERE = "JSON.stringify([...document.querySelectorAll('.stage, .panel, .foot, .where')].map(" \
         "(one) => Object.values(one.getBoundingClientRect().toJSON())))"  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(375, 812), (1280, 800)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_its_window(review: Open, width: int, height: int, scheme: str) -> None:
    browser = review.browser
    browser.window(width, height, scheme, touch=width < 500)
    for path in ("", f"images/{review.made.ids[3]}", "overview", "conflicts", "summary"):
        browser.go(f"{review.url}{path}")
        found = browser.ask(_LAYOUT)
        assert found["wide"] == [], path
        assert found["small"] == [], path
        assert found["mute"] == [], path
        assert found["width"] <= width, path
        image = browser.screenshot()
        colours = image.getcolors(maxcolors=1 << 24)
        assert colours is not None
        assert len(colours) > 20, path
        ground = max(colours)[1]
        assert isinstance(ground, tuple)
        assert (sum(ground) > 384) == (scheme == "light"), path


@pytest.mark.parametrize(("width", "height"), [(375, 812), (1280, 800)])
def test_nothing_jumps(review: Open, width: int, height: int) -> None:
    browser = review.browser
    browser.window(width, height)
    browser.go(review.url)
    before = browser.ask(_WHERE)
    browser.press("r")
    assert browser.ask(_WHERE) == before
    browser.press("Escape")
    browser.press("b")
    assert browser.ask(_WHERE) == before
    browser.press("b")
    browser.press("a", leaves=True)
    after = browser.ask("document.querySelector('.stage').getBoundingClientRect().height")
    assert after == pytest.approx(json.loads(before)[0][3])
