"""What the Hub's refusals are said to mean, and how often it is asked again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cards.hub_errors import HubError, hub_failure
from cards.hub_patience import Patience
from curation.errors import SmearkitError


class RefusedError(Exception):
    """As the Hub's client raises it: an answer, and the server's words."""

    def __init__(self, status: int, said: str = "", **headers: str) -> None:
        super().__init__(f"{status} Client Error")
        self.response = SimpleNamespace(
            status_code=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        self.server_message = said


@pytest.mark.parametrize(
    ("status", "said", "means", "transient"),
    [
        (401, "", "missing, wrong or expired. Next: `hf auth login`", False),
        (402, "Payment required", "quota of the account is full", False),
        (403, "storage limit reached", "quota of the account is full", False),
        (403, "Forbidden", "no right to do this (Forbidden). Next: take a token", False),
        (404, "Repository not found", "the token may not see it", False),
        (409, "Reference already exists", "at odds with another change", True),
        (413, "", "quota of the account is full", False),
        (418, "a teapot", "the Hub refused it (418, a teapot)", False),
        (429, "slow down", "asks to slow down", True),
        (500, "", "is in trouble", True),
        (503, "", "is in trouble", True),
        (507, "", "quota of the account is full", False),
    ],
)
def test_statuses(status: int, said: str, means: str, transient: bool) -> None:
    found = hub_failure(RefusedError(status, said), "sending a.parquet to lab/cells")
    assert str(found).startswith("sending a.parquet to lab/cells: ")
    assert means in str(found)
    assert (found.transient, found.status) == (transient, status)


def test_the_cause_behind_what_the_client_raises() -> None:
    outer = RuntimeError("Error while uploading 'a.parquet' to the Hub.")
    outer.__cause__ = RefusedError(507)
    assert "quota" in str(hub_failure(outer, "sending"))


def test_what_xet_tells_in_words_only() -> None:
    text = "Network error: Request error: HTTP status client error (401 Unauthorized), domain: x"
    found = hub_failure(ConnectionError(text), "sending")
    assert (found.status, found.transient) == (401, False)


@pytest.mark.parametrize("error", [ConnectionError("reset by peer"), TimeoutError("slow")])
def test_a_bad_line(error: Exception) -> None:
    found = hub_failure(error, "sending")
    assert found.transient
    assert "look at the network" in str(found)


def test_any_other_error_is_named_and_not_asked_again() -> None:
    found = hub_failure(ValueError("- invalid YAML"), "proposing")
    assert str(found) == "proposing: ValueError: - invalid YAML"
    assert not found.transient


def test_no_token_stands_in_an_error() -> None:
    said = "token hf_abcDEF123 of Bearer hf_other is not allowed"
    for error in (RefusedError(403, said), ConnectionError(said), ValueError(said)):
        text = str(hub_failure(error, "sending"))
        assert "hf_abc" not in text
        assert "hf_other" not in text


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been waited."""
    found: list[float] = []
    monkeypatch.setattr("cards.hub_patience.time", SimpleNamespace(sleep=found.append))
    return found


def test_it_waits_longer_each_time(waited: list[float]) -> None:
    def ask() -> None:
        raise RefusedError(503)

    with pytest.raises(HubError, match="is in trouble"):
        Patience(tries=6, first_wait_s=1, longest_wait_s=5).asked("asking", ask)
    assert waited == [1, 2, 4, 5, 5]


def test_it_waits_as_long_as_the_hub_says(waited: list[float]) -> None:
    answers = iter([RefusedError(429, retry_after="7"), RefusedError(429, retry_after="900"), None])

    def ask() -> str:
        error = next(answers)
        if error is not None:
            raise error
        return "an answer"

    assert Patience(longest_wait_s=60).asked("asking", ask) == "an answer"
    assert waited == [7, 60]


def test_what_will_not_mend_is_asked_once(waited: list[float]) -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise RefusedError(401)

    with pytest.raises(HubError):
        Patience().asked("asking", ask)
    assert (asked, waited) == ([1], [])


def test_a_lost_answer_is_looked_after(waited: list[float]) -> None:
    done: list[str] = []

    def act() -> None:
        done.append("it")
        raise ConnectionError("lost after it was done")

    found = Patience().settled("doing", lambda: done[0] if done else None, act)
    assert (found, done) == ("it", ["it"])
    assert len(waited) == 1


def test_what_is_done_already_is_not_done(waited: list[float]) -> None:
    def act() -> None:
        raise AssertionError("not needed")

    assert Patience().settled("doing", lambda: True, act)


def test_a_yes_without_a_deed(waited: list[float]) -> None:
    acts: list[int] = []
    with pytest.raises(HubError, match="doing: the Hub said yes, and it is not there"):
        Patience(tries=3).settled("doing", lambda: None, lambda: acts.append(1))
    assert len(acts) == 3


def test_our_own_refusals_go_through(waited: list[float]) -> None:
    def look() -> None:
        raise SmearkitError("a version that exists")

    with pytest.raises(SmearkitError, match="a version that exists"):
        Patience().settled("doing", look, lambda: None)
    assert waited == []
