"""Tests of the label review: what it shows, what it records, and whom it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from curation.deidentify.label_decisions import (
    LABEL_DECISIONS_NAME,
    label_decisions,
    read_label_decisions,
)
from curation.errors import SmearkitError, VaultError
from curation.validate.label_queue import LABEL_QUEUE_NAME, DoubtfulLabel, read_label_queue
from smearkit.review.label_app import label_app
from smearkit.review.label_desk import open_label_desk
from smearkit.review.serve import is_validation, vault_beside
from tests.made_validation import MadeValidation, made_validation
from tests.smearkit.test_review import Page

TOKEN = "t" * 43
HOST = "http://127.0.0.1:8123"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeValidation:
    """The validation that these tests share; read only."""
    return made_validation(tmp_path_factory.getbasetemp() / "validation")


@pytest.fixture(scope="module")
def client(made: MadeValidation) -> Iterator[TestClient]:
    app = label_app(made.folder, made.vault, by="AM", token=TOKEN)
    with TestClient(app, base_url=HOST, follow_redirects=False) as shared:
        yield shared


class Reviewer:
    """Someone with the address, and the queue that he works on."""

    def __init__(self, client: TestClient, folder: Path, vault: Path) -> None:
        app = client.app
        assert isinstance(app, FastAPI)
        app.state.desk = open_label_desk(folder, vault, "AM")
        self.client, self.vault = client, vault
        self.queue: tuple[DoubtfulLabel, ...] = read_label_queue(folder)

    def page(self, path: str) -> Page:
        answer = self.client.get(f"/{TOKEN}/{path}")
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    def status(self, path: str) -> int:
        return int(self.client.get(f"/{TOKEN}/{path}").status_code)

    def goes_to(self, path: str) -> str:
        return str(self.client.get(f"/{TOKEN}/{path}").headers["location"]).removeprefix(
            f"/{TOKEN}/"
        )

    def send(self, number: int, what: str = "decision", **fields: str) -> int:
        answer = self.client.post(
            f"/{TOKEN}/images/{self.queue[number].image_id}/{what}", data=fields
        )
        self.went_to = answer.headers.get("location", "").removeprefix(f"/{TOKEN}/")
        self.said = answer.text
        return int(answer.status_code)


@pytest.fixture
def reviewer(client: TestClient, made: MadeValidation, tmp_path: Path) -> Reviewer:
    vault = tmp_path / "vault"
    vault.mkdir()
    return Reviewer(client, made.folder, vault)


# --- deciding ---


def test_each_action_records_the_label_that_it_says(reviewer: Reviewer) -> None:
    first, second, third, fourth, *_ = reviewer.queue
    assert reviewer.send(0, action="keep") == 303
    assert reviewer.send(1, action="take") == 303
    assert reviewer.send(2, action="other", label="basophil", note=" sure ") == 303
    assert reviewer.send(3, action="drop") == 303
    assert label_decisions(reviewer.vault) == {
        first.image_id: first.given.label, second.image_id: second.suggested,
        third.image_id: "basophil", fourth.image_id: None,
    }  # fmt: skip
    found = read_label_decisions(reviewer.vault)[third.image_id]
    assert (found.action, found.given, found.by, found.note) == (
        "relabel", third.given.label, "AM", "sure",
    )  # fmt: skip


def test_choosing_the_given_label_from_the_list_keeps_it(reviewer: Reviewer) -> None:
    reviewer.send(0, action="other", label=reviewer.queue[0].given.label)
    (found,) = read_label_decisions(reviewer.vault).values()
    assert found.action == "keep"


def test_a_decision_leads_to_the_next_undecided_cell(reviewer: Reviewer) -> None:
    ids = [entry.image_id for entry in reviewer.queue]
    assert reviewer.goes_to("") == f"images/{ids[0]}"
    reviewer.send(1, action="keep")
    reviewer.send(0, action="keep")
    assert reviewer.went_to == f"images/{ids[2]}"
    for number in range(2, len(ids)):
        reviewer.send(number, action="drop")
    assert reviewer.went_to == "summary"


def test_undo_takes_back_this_decision_else_the_latest(reviewer: Reviewer) -> None:
    for number in (0, 1):
        reviewer.send(number, action="take")
    assert reviewer.send(2, "undo") == 303
    assert reviewer.went_to == f"images/{reviewer.queue[1].image_id}"
    assert reviewer.send(0, "undo") == 303
    assert label_decisions(reviewer.vault) == {}
    assert reviewer.send(0, "undo") == 422
    assert "nothing is decided yet" in reviewer.said.casefold()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "other"}, "choose one of the labels"),
        ({"action": "other", "label": "no such cell"}, "choose one of the labels"),
        ({"action": "release"}, "the form does not fit at action"),
        ({"label": "basophil"}, "the form does not fit at action"),
        ({"action": "keep", "by": "me"}, "the form does not fit at by"),
        ({"action": "drop", "note": "x" * 2001}, "the form does not fit at note"),
    ],
)
def test_other_forms_are_refused(reviewer: Reviewer, fields: dict[str, str], said: str) -> None:
    assert reviewer.send(0, **fields) == 422
    assert said in reviewer.said.casefold()
    assert label_decisions(reviewer.vault) == {}


@pytest.mark.parametrize("body", [b"", b"\xff", b"action", b"a=1&b=2&c=3&d=4"])
def test_broken_bodies_are_refused(reviewer: Reviewer, body: bytes) -> None:
    path = f"/{TOKEN}/images/{reviewer.queue[0].image_id}/decision"
    assert reviewer.client.post(path, content=body).status_code == 422
    assert label_decisions(reviewer.vault) == {}


def test_what_cannot_be_seen_can_only_be_dropped(
    client: TestClient, made: MadeValidation, tmp_path: Path
) -> None:
    folder, vault = tmp_path / "validation", tmp_path / "vault"
    shutil.copytree(made.folder, folder)
    vault.mkdir()
    shutil.rmtree(folder / "pictures")
    reviewer = Reviewer(client, folder, vault)
    assert reviewer.status(f"images/{reviewer.queue[0].image_id}/picture.png") == 404
    for action in ("keep", "take"):
        assert reviewer.send(0, action=action) == 422
        assert "can only be dropped" in reviewer.said
    assert reviewer.send(0, action="drop") == 303


# --- what is shown ---


def test_the_page_of_a_cell(reviewer: Reviewer) -> None:
    entry = reviewer.queue[0]
    page = reviewer.page(f"images/{entry.image_id}")
    words = page.words()
    assert f"1 of {len(reviewer.queue)}" in words
    assert "Is this a platelet?" in words
    assert "Keep platelet" in words
    assert "Change to lymphocyte" in words
    assert "plasma cell" in words, "the whole vocabulary can be chosen"
    assert "disabled" not in page.first("button", value="take")
    assert "rel" in page.first("a", rel="next")


def test_typical_cells_stand_beside_it(reviewer: Reviewer) -> None:
    page = reviewer.page(f"images/{reviewer.queue[0].image_id}")
    shown = [
        attrs["src"] for tag, attrs in page.tags if tag == "img" and "examples" in attrs["src"]
    ]
    assert {address.split("/")[-2] for address in shown} == {"platelet", "lymphocyte"}
    for address in shown:
        answer = reviewer.client.get(address)
        assert answer.content[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "path",
    ["images/none", "images/..%2freport.json/picture.png", "examples/platelet/99.png",
     "examples/..%2f..%2freport/0.png", "examples/basophil/0.png", "conflicts", "static/none"],
)  # fmt: skip
def test_nothing_else_is_served(reviewer: Reviewer, path: str) -> None:
    assert reviewer.status(path) == 404


def test_the_overview_is_filtered(reviewer: Reviewer) -> None:
    reviewer.send(0, action="keep")
    kept = reviewer.page("overview?state=keep")
    assert [a["src"].split("/")[3] for t, a in kept.tags if t == "img"] == [
        reviewer.queue[0].image_id
    ]
    pair = reviewer.page("overview?given=platelet&suggested=lymphocyte").tags
    expected = [e for e in reviewer.queue if (e.given.label, e.suggested) == ("platelet", "lymphocyte")]  # noqa: E501  # fmt: skip
    assert sum(tag == "img" for tag, _ in pair) == len(expected) > 0
    assert "No cell is in this selection" in reviewer.page("overview?state=drop").words()


def test_the_summary_names_the_changes_and_the_next_command(reviewer: Reviewer) -> None:
    reviewer.send(0, action="take")
    words = reviewer.page("summary").words()
    assert "platelet → lymphocyte : 1" in words
    assert f"--vault {reviewer.vault}" in words


def test_a_decision_is_shown_again(reviewer: Reviewer) -> None:
    reviewer.send(0, action="take", note="two readers")
    words = reviewer.page(f"images/{reviewer.queue[0].image_id}").words()
    assert "Relabelled" in words
    assert "by AM" in words
    assert "two readers" in words


# --- whom it refuses ---


def test_strangers_are_refused(reviewer: Reviewer) -> None:
    ask = reviewer.client
    path = f"images/{reviewer.queue[0].image_id}/decision"
    assert ask.get("/overview").status_code == 403
    assert ask.get(f"/{'x' * 43}/overview").status_code == 403
    assert ask.get(f"/{TOKEN}/overview", headers={"host": "evil.example"}).status_code == 400
    forged = {"origin": "http://evil.example"}
    sent = ask.post(f"/{TOKEN}/{path}", data={"action": "drop"}, headers=forged)
    assert sent.status_code == 403
    assert label_decisions(reviewer.vault) == {}


def test_a_damaged_vault_is_told(reviewer: Reviewer) -> None:
    (reviewer.vault / LABEL_DECISIONS_NAME).write_text("not a decision\n")
    answer = reviewer.client.get(f"/{TOKEN}/overview")
    assert answer.status_code == 500
    assert f"{LABEL_DECISIONS_NAME}, line 1" in answer.text


def test_half_a_decision_is_told(reviewer: Reviewer) -> None:
    reviewer.send(0, action="keep")
    with (reviewer.vault / LABEL_DECISIONS_NAME).open("a") as file:
        file.write('{"image_id"')
    assert "a crash left half a decision" in reviewer.page("overview").words()


def test_the_vault_is_the_one_that_the_report_names(made: MadeValidation, tmp_path: Path) -> None:
    assert is_validation(made.folder)
    assert vault_beside(made.folder) == made.vault.resolve()
    assert not is_validation(tmp_path)
    (tmp_path / LABEL_QUEUE_NAME).touch()
    with pytest.raises(SmearkitError, match="no complete validation"):
        vault_beside(tmp_path)
    with pytest.raises(VaultError, match="is no vault"):
        open_label_desk(made.folder, tmp_path / "none")
