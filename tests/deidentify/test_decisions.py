"""Tests of the decisions in the vault and of the entries they are about."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.deidentify.decisions import (
    DECISIONS_NAME,
    Decision,
    read_decisions,
    record_decision,
    torn_line,
)
from curation.deidentify.quarantine_entry import ConflictEntry, QuarantineEntry, read_entries
from curation.errors import SmearkitError, VaultError
from tests.made_quarantine import conflict, entry, write_entries

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def decision(number: int = 1, action: str = "accept", **changes: Any) -> Decision:
    fields: dict[str, Any] = {"id": f"{number:016x}", "action": action, "at": NOW}
    if action == "redact":
        fields["boxes"] = ((1, 2, 3, 4),)
    return Decision.model_validate(fields | changes)


def lines_of(vault: Path) -> list[bytes]:
    return (vault / DECISIONS_NAME).read_bytes().splitlines(keepends=True)


# --- recording and reading ---


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    made = decision(1, "redact", by="AM", note="a name at the lower edge")
    record_decision(tmp_path, made)
    assert read_decisions(tmp_path) == {made.id: made}


def test_a_vault_without_decisions_has_none(tmp_path: Path) -> None:
    assert read_decisions(tmp_path) == {}
    assert torn_line(tmp_path) is None


def test_the_last_decision_holds_and_stands_last(tmp_path: Path) -> None:
    for made in (decision(1), decision(2), decision(1, "drop")):
        record_decision(tmp_path, made)
    found = read_decisions(tmp_path)
    assert list(found) == [decision(2).id, decision(1).id]
    assert found[decision(1).id].action == "drop"


def test_a_decision_is_taken_back_by_a_line(tmp_path: Path) -> None:
    record_decision(tmp_path, decision(1))
    record_decision(tmp_path, decision(1, "undecided"))
    assert read_decisions(tmp_path) == {}
    assert len(lines_of(tmp_path)) == 2
    record_decision(tmp_path, decision(1, "drop"))
    assert read_decisions(tmp_path)[decision(1).id].action == "drop"


def test_the_time_is_kept_in_utc(tmp_path: Path) -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    record_decision(tmp_path, decision(at=east))
    assert json.loads(lines_of(tmp_path)[0])["at"] == "2026-05-04T03:02:01Z"


def test_the_file_is_private_even_where_it_was_not(tmp_path: Path) -> None:
    record_decision(tmp_path, decision(1))
    path = tmp_path / DECISIONS_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    record_decision(tmp_path, decision(2))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_on_the_disk_before_it_is_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def fsync(handle: int) -> None:
        synced.append(os.fstat(handle).st_size)

    monkeypatch.setattr("curation.deidentify.ledger.os.fsync", fsync)
    record_decision(tmp_path, decision())
    assert synced[0] == (tmp_path / DECISIONS_NAME).stat().st_size
    assert len(synced) == 2, "the folder, too, where the file is new"


# --- a crash in the middle ---


def test_cut_at_any_byte_only_whole_lines_count(tmp_path: Path) -> None:
    made = [decision(1), decision(2, "redact"), decision(3, "drop", note="é")]
    for one in made:
        record_decision(tmp_path, one)
    path = tmp_path / DECISIONS_NAME
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        n_whole = whole[:cut].count(b"\n")
        assert list(read_decisions(tmp_path).values()) == made[:n_whole]
        assert (torn_line(tmp_path) is None) == (whole[:cut].endswith(b"\n") or cut == 0)
        record_decision(tmp_path, decision(9))
        assert list(read_decisions(tmp_path).values()) == [*made[:n_whole], decision(9)]
        assert torn_line(tmp_path) is None


def test_half_a_line_is_reported_without_what_it_holds(tmp_path: Path) -> None:
    record_decision(tmp_path, decision())
    with (tmp_path / DECISIONS_NAME).open("ab") as file:
        file.write(b'{"id":"0000000000000002","note":"Mueller')
    told = torn_line(tmp_path)
    assert told is not None
    assert "line 2" in told
    assert "Mueller" not in told
    assert "Next:" in told


def test_a_full_disk_is_a_named_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_decision(tmp_path, decision(1))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("curation.deidentify.ledger.os.fsync", full)
        with pytest.raises(VaultError, match=r"No space left on device.*Next:"):
            record_decision(tmp_path, decision(2))
    record_decision(tmp_path, decision(3))
    assert {decision(1).id, decision(3).id} <= set(read_decisions(tmp_path))


@pytest.mark.parametrize("line", ["{}", "Mueller", '{"id":"Mueller","action":"drop"}', "", "[]"])
def test_a_damaged_line_in_the_middle_is_refused_without_its_content(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    record_decision(tmp_path, decision(1))
    with (tmp_path / DECISIONS_NAME).open("a") as file:
        file.write(f"{line}\n")
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(VaultError, match=r"line 2, at .*Next:") as caught,
    ):
        read_decisions(tmp_path)
    assert "Mueller" not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is caught.value.__context__ is None


# --- many at once ---


def test_threads_lose_nothing(tmp_path: Path) -> None:
    made = [decision(number, "drop") for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda one: record_decision(tmp_path, one), made))
    assert set(read_decisions(tmp_path)) == {one.id for one in made}


def test_processes_lose_nothing(tmp_path: Path) -> None:
    code = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from curation.deidentify.decisions import Decision, record_decision
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    made = Decision(id=f"{number:016x}", action="drop", at=datetime.now(UTC), note="x" * 1500)
    record_decision(Path(sys.argv[1]), made)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen([*command, str(first)], cwd=ROOT) for first in (0, 40)]
    assert [one.wait(60) for one in running] == [0, 0]
    assert len(read_decisions(tmp_path)) == 80


# --- what is refused ---


def test_a_missing_vault_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=r"No such file.*Next:"):
        record_decision(tmp_path / "none", decision())


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    vault = tmp_path / "vault"
    vault.mkdir()
    (vault / DECISIONS_NAME).symlink_to(elsewhere)
    with pytest.raises(VaultError):
        record_decision(vault, decision())
    assert elsewhere.read_bytes() == b""


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "redact", "boxes": ()},
        {"action": "accept", "boxes": ((0, 0, 1, 1),)},
        {"action": "undecided", "boxes": ((0, 0, 1, 1),)},
        {"action": "release"},
        {"id": "../../etc/passwd"},
        {"id": "0" * 15},
        {"id": "0" * 16 + "\n"},
        {"id": "ABCDEF0123456789"},
        {"at": datetime(2026, 1, 1)},
        {"by": "x" * 81},
        {"note": "x" * 2001},
        {"colour": "red"},
    ],
)
def test_what_is_no_decision(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        decision(**{"action": "accept", **changes})


numbers = st.integers(-3, 12)


@given(st.tuples(numbers, numbers, numbers, numbers))
def test_a_box_has_an_area_and_lies_not_below_zero(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    fits = 0 <= left < right and 0 <= top < bottom
    try:
        decision(1, "redact", boxes=(box,))
    except ValidationError:
        assert not fits
    else:
        assert fits


# --- the entries ---


def test_entries_are_read_in_order(tmp_path: Path) -> None:
    write_entries(tmp_path, [entry(2), conflict(), entry(1, picture=entry(1)["id"] + ".png")])
    first, second, third = read_entries(tmp_path)
    assert isinstance(first, QuarantineEntry)
    assert first.boxes == ((4, 4, 60, 16),)
    assert isinstance(second, ConflictEntry)
    assert second.labels == ("monocyte", "lymphocyte")
    assert isinstance(third, QuarantineEntry)
    assert third.position == 7


def test_an_entry_survives_its_own_json() -> None:
    made = QuarantineEntry.model_validate_json(json.dumps(entry(5)))
    assert QuarantineEntry.model_validate_json(made.model_dump_json()) == made
    assert hash(made) == hash(made.model_copy())


@pytest.mark.parametrize(
    "changes",
    [
        {"file": "../export-vault/key"},
        {"file": "/etc/passwd"},
        {"picture": "0000000000000009.png"},
        {"id": "../x"},
        {"boxes": [[5, 5, 5, 9]]},
        {"boxes": [[1, 2, 3]]},
        {"name": None},
        {"position": -1},
        {"patient": "Mueller"},
    ],
)
def test_an_odd_entry_is_refused_without_its_values(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_entries(tmp_path, [entry(1), entry(2, **{"name": "Mueller", **changes})])
    with pytest.raises(SmearkitError, match=r"line 2, at .*Next:") as caught:
        read_entries(tmp_path)
    assert "Mueller" not in str(caught.value)
    assert "passwd" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_no_quarantine_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(SmearkitError, match=r"no quarantine .*Next:"):
        read_entries(tmp_path)
