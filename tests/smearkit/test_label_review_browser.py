"""The label review and the validation page in a real browser: keys, and what is on the screen."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from curation.deidentify.label_decisions import LABEL_DECISIONS_NAME, label_decisions
from curation.validate.label_queue import DoubtfulLabel, read_label_queue
from tests.made_validation import MadeValidation, made_validation
from tests.smearkit.test_review_browser import Chromium

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
PHONE, DESK = (390, 844), (1280, 800)


class Open(NamedTuple):
    """A label review in the browser."""

    browser: Chromium
    url: str
    vault: Path
    queue: tuple[DoubtfulLabel, ...]

    def place(self) -> str:
        return str(self.browser.ask("document.querySelector('.place').textContent"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeValidation:
    return made_validation(tmp_path_factory.getbasetemp() / "validation")


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
def served(
    made: MadeValidation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address of a label review, served as the command serves it, and its vault."""
    vault = tmp_path_factory.mktemp("vault")
    command = [
        sys.executable, "-m", "smearkit", "review", str(made.folder), "--vault", str(vault),
        "--no-browser",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip(), vault
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


@pytest.fixture
def review(browser: Chromium, made: MadeValidation, served: tuple[str, Path]) -> Iterator[Open]:
    url, vault = served
    (vault / LABEL_DECISIONS_NAME).unlink(missing_ok=True)
    browser.window(*DESK)
    browser.events.clear()
    browser.go(url)
    yield Open(browser, url, vault, read_label_queue(made.folder))
    assert browser.complaints() == []
    assert browser.hosts() == {url.split("/")[2]}, "nothing is asked of anyone else"


def test_a_review_by_keys_alone(review: Open) -> None:
    browser, queue = review.browser, review.queue
    assert review.place() == f"1 of {len(queue)}"
    browser.press("a", leaves=True)
    browser.press("s", leaves=True)
    browser.press("d", leaves=True)
    assert review.place() == f"4 of {len(queue)}"
    # The list of all labels: its first letters, then Enter; no other key acts meanwhile.
    browser.press("l")
    for letter in "baso":
        browser.press(letter)
    browser.press("Enter", leaves=True)
    assert label_decisions(review.vault) == {
        queue[0].image_id: queue[0].given.label, queue[1].image_id: queue[1].suggested,
        queue[2].image_id: None, queue[3].image_id: "basophil",
    }  # fmt: skip
    browser.press("u", leaves=True)
    assert review.place() == f"4 of {len(queue)}"
    assert queue[3].image_id not in label_decisions(review.vault)
    browser.press("k", leaves=True)
    assert review.place() == f"3 of {len(queue)}"
    browser.press("j", leaves=True)
    assert review.place() == f"4 of {len(queue)}"


def test_enter_in_the_list_without_a_choice_decides_nothing(review: Open) -> None:
    review.browser.press("l")
    review.browser.press("Enter")
    assert label_decisions(review.vault) == {}
    assert review.place().startswith("1 of")


def test_another_label_can_be_chosen_by_hand(review: Open) -> None:
    choose = """(list => { list.value = 'basophil'; list.dispatchEvent(new Event('change')); })
                (document.querySelector('#label'))"""
    button = "document.querySelector('[data-does=other]')"
    assert review.browser.ask(f"{button}.disabled")
    review.browser.ask(choose)
    assert not review.browser.ask(f"{button}.disabled")
    review.browser.events.clear()
    review.browser.ask(f"{button}.click()")
    review.browser.wait_for_load()
    assert label_decisions(review.vault) == {review.queue[0].image_id: "basophil"}


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_lies_outside_the_screen(review: Open, size: tuple[int, int], scheme: str) -> None:
    browser = review.browser
    browser.window(*size, scheme, touch=size == PHONE)
    for path in ("", "overview", "summary"):
        browser.go(review.url + path)
        assert browser.ask("document.documentElement.scrollWidth") == size[0]
    browser.go(review.url)
    # What decides is in sight at once, and whole: no button is cut by its panel.
    cut = browser.ask("""[...document.querySelectorAll('.foot button, .foot select')]
        .filter(b => b.offsetParent).map(b => b.getBoundingClientRect())
        .filter(r => r.left < 0 || r.right > innerWidth || r.bottom > innerHeight).length""")
    assert cut == 0
    seen = browser.ask("""(r => r.width > 200 && r.bottom <= innerHeight)
        (document.querySelector('#picture').getBoundingClientRect())""")
    assert seen


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_the_page_of_a_validation_fits_and_asks_nobody(
    browser: Chromium, made: MadeValidation, size: tuple[int, int]
) -> None:
    browser.window(*size, touch=size == PHONE)
    browser.events.clear()
    browser.go((made.folder / "report.html").as_uri())
    assert browser.ask("document.documentElement.scrollWidth") == size[0]
    broken = "[...document.images].filter(i => i.loading != 'lazy' && !i.naturalWidth).length"
    assert browser.ask(broken) == 0
    assert browser.complaints() == []
    asked = [e for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert {e["params"]["request"]["url"].split(":")[0] for e in asked} == {"file", "data"}
