"""Tests of the review: what it shows, what it records, and whom it refuses."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from curation.deidentify.decisions import DECISIONS_NAME, read_decisions
from curation.errors import SmearkitError, VaultError
from smearkit.review.app import review_app
from smearkit.review.desk import open_desk
from smearkit.review.serve import serve, vault_beside
from tests.made_quarantine import (
    NAMES,
    MadeQuarantine,
    entry,
    make_quarantine,
    picture,
    write_entries,
)

ROOT = Path(__file__).resolve().parents[2]
REVIEW = ROOT / "smearkit" / "review"
TOKEN = "t" * 43
HOST = "http://127.0.0.1:8123"
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A parsed page: whether its tags balance, its tags with attributes, and its words."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def first(self, tag: str, **attrs: str) -> dict[str, str]:
        return next(
            found for name, found in self.tags if name == tag and attrs.items() <= found.items()
        )


class Reviewer:
    """Someone with the address, and the files that his decisions go to."""

    def __init__(self, made: MadeQuarantine, client: TestClient) -> None:
        self.made = made
        self.client = client

    def page(self, path: str) -> Page:
        answer = self.client.get(f"/{TOKEN}/{path}")
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    def status(self, path: str) -> int:
        return int(self.client.get(f"/{TOKEN}/{path}").status_code)

    def goes_to(self, path: str) -> str:
        answer = self.client.get(f"/{TOKEN}/{path}")
        assert answer.status_code == 303
        return str(answer.headers["location"]).removeprefix(f"/{TOKEN}/")

    def send(self, path: str, headers: dict[str, str] | None = None, /, **fields: str) -> int:
        """Send a form; the place it leads to is kept in `went_to`."""
        answer = self.client.post(f"/{TOKEN}/{path}", data=fields, headers=headers or {})
        self.went_to = answer.headers.get("location", "").removeprefix(f"/{TOKEN}/")
        self.said = answer.text
        return int(answer.status_code)

    def decide(self, number: int, action: str, **fields: str) -> int:
        """Decide about the image of this number, from 1."""
        image_id = self.made.ids[number - 1]
        return self.send(f"images/{image_id}/decision", None, action=action, **fields)

    def actions(self) -> dict[str, str]:
        return {key: one.action for key, one in read_decisions(self.made.vault).items()}


def client_of(made: MadeQuarantine) -> TestClient:
    app = review_app(made.quarantine, made.vault, by="AM", token=TOKEN)
    return TestClient(app, base_url=HOST, follow_redirects=False)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One application for all tests: building its routes takes longer than most of them."""
    with client_of(make_quarantine(tmp_path_factory.mktemp("any"))) as shared:
        yield shared


Sit = Callable[[MadeQuarantine], Reviewer]


@pytest.fixture
def sit(client: TestClient) -> Sit:
    """sit(made) -> a reviewer of this quarantine."""

    def at_the_desk(made: MadeQuarantine) -> Reviewer:
        app = client.app
        assert isinstance(app, FastAPI)
        app.state.desk = open_desk(made.quarantine, made.vault, "AM")
        return Reviewer(made, client)

    return at_the_desk


@pytest.fixture
def made(tmp_path: Path) -> MadeQuarantine:
    return make_quarantine(tmp_path)


@pytest.fixture
def reviewer(made: MadeQuarantine, sit: Sit) -> Reviewer:
    return sit(made)


# --- the way through ---


def test_it_starts_at_the_first_undecided_image(reviewer: Reviewer) -> None:
    assert reviewer.goes_to("") == f"images/{reviewer.made.ids[0]}"
    reviewer.decide(1, "accept")
    assert reviewer.goes_to("") == f"images/{reviewer.made.ids[1]}"


def test_a_decision_is_recorded_and_leads_to_the_next(reviewer: Reviewer) -> None:
    assert reviewer.decide(2, "drop", note=" a face ") == 303
    assert reviewer.went_to == f"images/{reviewer.made.ids[2]}"
    (found,) = read_decisions(reviewer.made.vault).values()
    assert (found.id, found.action, found.by, found.note) == (
        reviewer.made.ids[1], "drop", "AM", "a face",
    )  # fmt: skip


def test_behind_the_last_image_comes_what_was_passed_over(reviewer: Reviewer) -> None:
    reviewer.decide(1, "accept")
    reviewer.decide(3, "accept")
    reviewer.decide(4, "drop")
    assert reviewer.went_to == f"images/{reviewer.made.ids[1]}"
    reviewer.decide(2, "drop")
    assert reviewer.went_to == "summary"
    assert reviewer.goes_to("") == "summary"


def test_undo_takes_back_this_decision_else_the_latest(reviewer: Reviewer) -> None:
    first, second, third, _ = reviewer.made.ids
    for number in (1, 2):
        reviewer.decide(number, "accept")
    assert reviewer.send(f"images/{third}/undo") == 303
    assert reviewer.went_to == f"images/{second}"
    assert reviewer.actions() == {first: "accept"}
    reviewer.send(f"images/{first}/undo")
    assert reviewer.went_to == f"images/{first}"
    assert reviewer.actions() == {}
    assert reviewer.send(f"images/{first}/undo") == 422
    assert "nothing is decided yet" in reviewer.said.casefold()


def test_a_decision_can_be_changed(reviewer: Reviewer) -> None:
    reviewer.decide(1, "accept")
    reviewer.decide(1, "drop")
    assert reviewer.actions() == {reviewer.made.ids[0]: "drop"}


def test_redact_with_edited_boxes(reviewer: Reviewer) -> None:
    boxes = [[1, 2, 50, 20], [70, 60, 500, 96]]
    assert reviewer.decide(1, "redact", boxes=json.dumps(boxes)) == 303
    (found,) = read_decisions(reviewer.made.vault).values()
    assert found.boxes == ((1, 2, 50, 20), (70, 60, 96, 96)), "cut to the image"
    page = reviewer.page(f"images/{reviewer.made.ids[0]}")
    assert json.loads(page.first("svg")["data-boxes"]) == [[1, 2, 50, 20], [70, 60, 96, 96]]
    assert page.first("g")["class"] == "box blanked"


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ("[]", "at least one box"),
        ("", "at least one box"),
        ("[[96, 0, 120, 9]]", "outside the image of 96x96 px"),
        ("[[5, 5, 5, 9]]", "the form does not fit"),
        ("[[0.5, 0, 2, 2]]", "the form does not fit"),
        ('[["0", 0, 2, 2]]', "the form does not fit"),
        ("not json", "the form does not fit at boxes"),
    ],
)
def test_boxes_that_redact_nothing_are_refused(reviewer: Reviewer, boxes: str, said: str) -> None:
    assert reviewer.decide(1, "redact", boxes=boxes) == 422
    assert said in reviewer.said.casefold()
    assert reviewer.actions() == {}


@pytest.mark.parametrize(
    "fields",
    [{"action": "release"}, {"action": "undecided"}, {"note": "x"}, {"action": "drop", "by": "me"},
     {"action": "drop", "note": "x" * 2001}],
)  # fmt: skip
def test_other_forms_are_refused(reviewer: Reviewer, fields: dict[str, str]) -> None:
    assert reviewer.send(f"images/{reviewer.made.ids[0]}/decision", None, **fields) == 422
    assert reviewer.actions() == {}


@pytest.mark.parametrize("body", [b"", b"\xff", b"action", b"a=1&b=2&c=3&d=4"])
def test_broken_bodies_are_refused(reviewer: Reviewer, body: bytes) -> None:
    path = f"/{TOKEN}/images/{reviewer.made.ids[0]}/decision"
    assert reviewer.client.post(path, content=body).status_code == 422
    assert reviewer.actions() == {}


def test_decisions_at_once_are_all_recorded(tmp_path: Path) -> None:
    made = make_quarantine(tmp_path / "many", 20)
    # Two pages on two applications, as two terminals would have them.
    pair = [Reviewer(made, client_of(made)) for _ in range(2)]
    # FastAPI builds a route's models at its first request, which here must not be two at once.
    assert [pair[n].decide(n + 1, "drop") for n in range(2)] == [303, 303]
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda number: pair[number % 2].decide(number, "drop"), range(1, 22))
        assert set(done) == {303}
    assert set(pair[0].actions()) == set(made.ids)


# --- what is shown ---


def test_the_page_of_an_image(reviewer: Reviewer) -> None:
    page = reviewer.page(f"images/{reviewer.made.ids[1]}")
    words = page.words()
    assert "2 of 4" in words
    assert "Burned-in text" in words
    assert "12.03.1961" in words
    assert "0 of 4 decided" in words
    assert page.first("rect", x="4")["width"] == "56"
    assert page.first("img", id="picture")["width"] == "96"
    assert page.first("a", rel="next")["href"].endswith(reviewer.made.ids[2])
    assert page.first("a", rel="prev")["href"].endswith(reviewer.made.ids[0])
    assert "disabled" not in page.first("button", value="accept")


def test_source_names_come_only_when_asked_for(reviewer: Reviewer) -> None:
    ids = reviewer.made.ids
    for path in (f"images/{ids[0]}", "overview", "conflicts", "summary"):
        text = reviewer.client.get(f"/{TOKEN}/{path}").text
        assert not [name for name in (*NAMES, "Mueller/3.png") if name in text], path
    answer = reviewer.client.get(f"/{TOKEN}/images/{ids[0]}/name")
    assert answer.text == NAMES[1]
    names = reviewer.client.get(f"/{TOKEN}/conflicts/1/name").text
    assert names == "Mueller/3.png\nOkafor/90.png"
    assert [reviewer.status(f"conflicts/{number}/name") for number in (0, 2, -1)] == [404] * 3


def test_the_picture_holds_pixels_and_nothing_else(reviewer: Reviewer) -> None:
    assert b"Mueller Anna" in picture(1)
    for name, side in (("picture.png", 96), ("thumbnail.png", 96)):
        answer = reviewer.client.get(f"/{TOKEN}/images/{reviewer.made.ids[0]}/{name}")
        assert answer.headers["content-type"] == "image/png"
        assert b"Mueller" not in answer.content
        kinds = re.findall(rb"(?s)....(IHDR|IDAT|IEND|tEXt|eXIf)", answer.content)
        assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (side, side)


def test_the_upright_picture_is_preferred_to_the_source(made: MadeQuarantine, sit: Sit) -> None:
    first = made.ids[0]
    (made.quarantine / f"{first}.png").write_bytes(picture(1, 200, 40))
    write_entries(made.quarantine, [entry(1, picture=f"{first}.png")])
    (made.quarantine / f"{first}.bin").unlink()
    page = sit(made).page(f"images/{first}")
    assert page.first("svg")["viewbox"] == "0 0 200 40"


def test_an_image_that_cannot_be_shown_can_only_be_dropped(reviewer: Reviewer) -> None:
    page = reviewer.page(f"images/{reviewer.made.ids[3]}")
    assert "can only be dropped" in page.words()
    for action in ("accept", "redact"):
        assert "disabled" in page.first("button", value=action)
        assert page.first("button", value=action)["aria-describedby"] == "why"
        assert reviewer.decide(4, action, boxes="[[0, 0, 5, 5]]") == 422
    assert reviewer.status(f"images/{reviewer.made.ids[3]}/picture.png") == 404
    thumbnail = reviewer.client.get(f"/{TOKEN}/images/{reviewer.made.ids[3]}/thumbnail.png")
    assert thumbnail.headers["content-type"].startswith("image/svg+xml")
    assert reviewer.decide(4, "drop") == 303


def test_what_the_file_is_cannot_be_accepted_away(made: MadeQuarantine, sit: Sit) -> None:
    write_entries(made.quarantine, [entry(1, reason="too_small", boxes=[])])
    reviewer = sit(made)
    assert "change the limits" in reviewer.page(f"images/{made.ids[0]}").words()
    assert reviewer.decide(1, "accept") == 422
    assert reviewer.decide(1, "drop") == 303


def test_a_missing_file_is_shown_as_missing(made: MadeQuarantine, sit: Sit) -> None:
    (made.quarantine / f"{made.ids[0]}.bin").unlink()
    reviewer = sit(made)
    assert "not in the quarantine" in reviewer.page(f"images/{made.ids[0]}").words()
    assert reviewer.decide(1, "accept") == 422


def test_equal_files_are_one_decision(made: MadeQuarantine, sit: Sit) -> None:
    write_entries(made.quarantine, [entry(1), entry(1, position=9, name="Okafor/copy.png")])
    reviewer = sit(made)
    page = reviewer.page(f"images/{made.ids[0]}")
    assert "1 of 1" in page.words()
    assert "2, decided as one" in page.words()
    names = reviewer.client.get(f"/{TOKEN}/images/{made.ids[0]}/name").text
    assert names.splitlines() == [NAMES[1], "Okafor/copy.png"]


def shown_in(page: Page) -> list[str]:
    return [attrs["src"].split("/")[3] for tag, attrs in page.tags if tag == "img"]


def test_the_overview_is_filtered(reviewer: Reviewer) -> None:
    ids = reviewer.made.ids
    reviewer.decide(1, "accept")
    reviewer.decide(4, "drop")
    assert shown_in(reviewer.page("overview")) == list(ids)
    assert shown_in(reviewer.page("overview?state=undecided")) == list(ids[1:3])
    assert shown_in(reviewer.page("overview?reason=unreadable")) == [ids[3]]
    both = reviewer.page("overview?reason=burned_in_text&state=accept")
    assert shown_in(both) == [ids[0]]
    assert "Accepted 1" in both.words()
    assert "No image is in this selection" in reviewer.page("overview?state=redact").words()


def test_a_long_overview_has_pages(made: MadeQuarantine, sit: Sit) -> None:
    write_entries(made.quarantine, [entry(number) for number in range(250)])
    reviewer = sit(made)
    last = reviewer.page("overview?page=3")
    assert len(shown_in(last)) == 10
    assert "Page 3 of 3" in last.words()
    assert last.first("a", rel="prev")["href"].endswith("/overview?page=2")


def test_conflicts_are_told_not_decided(reviewer: Reviewer) -> None:
    page = reviewer.page("conflicts")
    assert "monocyte, lymphocyte" in page.words()
    assert "no copy goes into the corpus" in page.words()
    assert not [attrs for tag, attrs in page.tags if attrs.get("method") == "post"]


def test_the_summary_names_the_next_command(reviewer: Reviewer) -> None:
    assert "4 of 4 images still wait" in reviewer.page("summary").words()
    for number in (1, 2, 3, 4):
        reviewer.decide(number, "drop")
    words = reviewer.page("summary").words()
    assert "All 4 images are decided" in words
    assert f"smearkit curate SOURCE --out CORPUS --vault {reviewer.made.vault}" in words


def test_conflicts_alone_leave_nothing_to_decide(made: MadeQuarantine, sit: Sit) -> None:
    write_entries(made.quarantine, [])
    reviewer = sit(made)
    assert reviewer.goes_to("") == "summary"
    assert "No image waits for a decision" in reviewer.page("summary").words()
    assert "No image waits" in reviewer.page("overview").words()


def test_markup_in_an_entry_is_escaped(made: MadeQuarantine, sit: Sit) -> None:
    evil = "<script>alert('x')</script>\"'>"
    changes = {"detail": evil, "texts": [evil], "reason": evil, "name": evil}
    write_entries(made.quarantine, [entry(1, **changes)])
    reviewer = sit(made)
    for path in (f"images/{made.ids[0]}", "overview"):
        page = reviewer.page(path)
        scripts = [attrs for tag, attrs in page.tags if tag == "script"]
        assert [script["src"] for script in scripts] == [f"/{TOKEN}/static/review.js"]
    name = reviewer.client.get(f"/{TOKEN}/images/{made.ids[0]}/name")
    assert name.headers["content-type"].startswith("text/plain")
    assert name.headers["x-content-type-options"] == "nosniff"


def test_half_a_decision_is_told_on_the_page(reviewer: Reviewer) -> None:
    with (reviewer.made.vault / DECISIONS_NAME).open("ab") as file:
        file.write(b'{"id":"00')
    assert "a crash left half a decision" in reviewer.page("overview").words()
    reviewer.decide(1, "drop")
    assert "half a decision" not in reviewer.page("overview").words()


def test_a_damaged_vault_is_an_error_page(reviewer: Reviewer) -> None:
    (reviewer.made.vault / DECISIONS_NAME).write_bytes(b"Mueller\n")
    answer = reviewer.client.get(f"/{TOKEN}/overview")
    assert answer.status_code == 500
    assert "decisions.jsonl, line 1" in Page(answer.text).words()
    assert "Mueller" not in answer.text
    assert reviewer.decide(1, "drop") == 500


def test_a_decision_that_cannot_be_written_is_told(
    reviewer: Reviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("curation.deidentify.ledger.os.fsync", full)
    assert reviewer.decide(1, "drop") == 500
    assert "No space left on device" in Page(reviewer.said).words()


# --- whom it refuses ---


def everywhere(made: MadeQuarantine) -> Iterator[str]:
    yield from ("", "overview", "conflicts", "conflicts/1/name", "summary", "static/review.js")
    for rest in ("", "/picture.png", "/thumbnail.png", "/name"):
        yield f"images/{made.ids[0]}{rest}"


@pytest.mark.parametrize("token", ["", "wrong", "t" * 42, "t" * 44, "T" * 43, "%00", "é"])
def test_without_the_token_nothing_is_shown(reviewer: Reviewer, token: str) -> None:
    for path in everywhere(reviewer.made):
        for address in (f"/{token}/{path}", f"//{TOKEN}/{path}", f"/{token}/{TOKEN}/{path}"):
            answer = reviewer.client.get(address)
            assert answer.status_code == 403, address
            assert answer.headers["cache-control"] == "no-store"
            assert TOKEN not in answer.text
    path = f"/{token}/images/{reviewer.made.ids[0]}/decision"
    assert reviewer.client.post(path, data={"action": "accept"}).status_code == 403
    assert reviewer.actions() == {}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8123", "", "192.168.1.4:8123"]
)
def test_another_host_name_is_refused(reviewer: Reviewer, host: str) -> None:
    for path in everywhere(reviewer.made):
        answer = reviewer.client.get(f"/{TOKEN}/{path}", headers={"host": host})
        assert answer.status_code == 400, path
    assert reviewer.send(f"images/{reviewer.made.ids[0]}/undo", {"host": host}) == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8123", "localhost:8123", "[::1]:8123"])
def test_this_machine_has_three_names(reviewer: Reviewer, host: str) -> None:
    answer = reviewer.client.get(f"/{TOKEN}/overview", headers={"host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8123"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": HOST, "sec-fetch-site": "none"},
    ],
)
def test_forms_of_other_pages_are_refused(reviewer: Reviewer, headers: dict[str, str]) -> None:
    path = f"images/{reviewer.made.ids[0]}/decision"
    assert reviewer.send(path, headers, action="accept") == 403
    assert reviewer.actions() == {}
    own = {"origin": HOST, "sec-fetch-site": "same-origin"}
    assert reviewer.send(path, own, action="accept") == 303


@pytest.mark.parametrize(
    "image_id",
    ["%2e%2e", "..%2f..%2fexport-vault%2fkey", "%2e%2e%2fkey", "entries.jsonl", "0" * 16,
     "....//key", "%00", "0000000000000001.bin", "0000000000000001%0a"],
)  # fmt: skip
def test_ids_are_never_paths(reviewer: Reviewer, image_id: str) -> None:
    (reviewer.made.vault / "key").write_text("secret of the vault")
    for rest in ("", "/picture.png", "/thumbnail.png", "/name"):
        answer = reviewer.client.get(f"/{TOKEN}/images/{image_id}{rest}")
        assert answer.status_code in (404, 403)
        assert "secret of the vault" not in answer.text
    assert reviewer.send(f"images/{image_id}/decision", action="drop") in (403, 404, 405)
    assert reviewer.send(f"images/{image_id}/undo") in (403, 404, 405)
    assert reviewer.actions() == {}


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2fetc%2fpasswd", "x", ""])
def test_only_named_static_files_are_sent(reviewer: Reviewer, name: str) -> None:
    assert reviewer.status(f"static/{name}") in (403, 404)


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
def test_the_application_does_not_describe_itself(reviewer: Reviewer, path: str) -> None:
    assert reviewer.status(path) == 404


def test_each_answer_is_kept_by_nobody_and_loads_nothing(reviewer: Reviewer) -> None:
    for path in (*everywhere(reviewer.made), "images/none", f"images/{reviewer.made.ids[3]}"):
        headers = reviewer.client.get(f"/{TOKEN}/{path}").headers
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'; img-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "path", sorted(p for name in ("templates", "static") for p in (REVIEW / name).iterdir()),
    ids=lambda path: path.name,
)  # fmt: skip
def test_nothing_outside_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    addresses = set(re.findall(r"\w+://[^\"'\s]+", text)) | set(
        re.findall(r"[\"'(]//[^\"']+", text)
    )
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import|innerHTML|eval\(|\son\w+=", text)


def test_tokens_are_long_and_differ(made: MadeQuarantine) -> None:
    tokens = {review_app(made.quarantine, made.vault).state.token for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43


# --- looks, as far as numbers tell ---

CSS = (REVIEW / "static" / "review.css").read_text(encoding="utf-8")
PAIRS = [
    ("ink", "paper"), ("ink", "raised"), ("ink", "stage"), ("soft", "paper"), ("soft", "raised"),
    ("soft", "stage"), ("focus", "paper"), ("focus", "raised"), ("on-primary", "primary"),
    ("accept", "accept-pale"), ("redact", "redact-pale"), ("drop", "drop-pale"),
    ("ink", "accept-pale"), ("ink", "redact-pale"), ("ink", "drop-pale"), ("warn", "warn-pale"),
    ("warn", "paper"),
]  # fmt: skip


def colours(scheme: str) -> dict[str, str]:
    light, dark = CSS.split("@media (prefers-color-scheme: dark)")
    block = light if scheme == "light" else dark.split("}")[0]
    return dict(re.findall(r"--([\w-]+): (#\w{6})", block))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_stand_out(scheme: str) -> None:
    found = colours(scheme)
    for text, ground in PAIRS:
        assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    for edge in ("edge", "focus", "accept", "redact", "drop"):
        assert contrast(found[edge], found["paper"]) >= 3, edge


# --- serving ---


def test_a_host_that_others_reach_is_refused(made: MadeQuarantine) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.org", ""):
        with pytest.raises(SmearkitError, match="this machine alone"):
            serve(made.quarantine, made.vault, host=host, open_browser=False)


def test_a_taken_port_is_a_named_error(made: MadeQuarantine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SmearkitError, match=rf"port {port} .*Next:"):
            serve(made.quarantine, made.vault, port, open_browser=False)
    with pytest.raises(SmearkitError, match="port 70000"):
        serve(made.quarantine, made.vault, 70_000, open_browser=False)


def test_without_a_vault_or_a_quarantine_nothing_starts(made: MadeQuarantine) -> None:
    with pytest.raises(VaultError, match=r"is no vault.*Next:"):
        review_app(made.quarantine, made.quarantine.parent / "none")
    with pytest.raises(SmearkitError, match=r"no quarantine.*Next:"):
        review_app(made.vault, made.vault)


def test_the_vault_beside_a_quarantine(made: MadeQuarantine) -> None:
    assert vault_beside(made.quarantine) == made.vault.resolve()


def test_the_browser_gets_the_address_in_a_private_file(
    made: MadeQuarantine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, int, str]] = []

    def open_door(address: str) -> bool:
        door = Path(address.removeprefix("file://"))
        seen.append((address, stat.S_IMODE(door.stat().st_mode), door.read_text("utf-8")))
        return True

    monkeypatch.setattr("webbrowser.open", open_door)
    monkeypatch.setattr("smearkit.review.serve._run", lambda app, listener: None)
    outcome = serve(made.quarantine, made.vault)
    assert (outcome.decided, outcome.total) == (0, 4)
    url = capsys.readouterr().out.strip()
    ((address, mode, content),) = seen
    token = url.rstrip("/").rpartition("/")[2]
    assert token not in address, "other users see the command line of a browser"
    assert mode == 0o600
    assert f"url={url}" in content
    assert list(made.vault.iterdir()) == [], "the file is gone when the review ends"


def test_it_serves_until_it_is_interrupted_and_logs_nothing(made: MadeQuarantine) -> None:
    code = f"""
from pathlib import Path
from smearkit.review.serve import serve
print(serve(Path({str(made.quarantine)!r}), Path({str(made.vault)!r}), open_browser=False))
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", url)
        with urlopen(f"{url}overview") as answer:
            assert answer.status == 200
            assert "server" not in {key.lower() for key in answer.headers}
        with urlopen(f"{url}images/{made.ids[0]}/name") as answer:
            assert answer.read().decode() == NAMES[1]
        with pytest.raises(HTTPError, match="403"):
            urlopen(url[:-2])
        os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0
    assert out.strip() == "Outcome(decided=0, total=4)"
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    token = url.rstrip("/").rpartition("/")[2]
    assert not [secret for secret in (token, *NAMES, *made.ids) if secret in err]
