"""Tests of the label decisions in the vault."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation.deidentify.label_decisions import (
    LABEL_DECISIONS_NAME,
    LabelDecision,
    label_decisions,
    read_label_decisions,
    record_label_decision,
    torn_label_line,
)
from curation.errors import VaultError

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def decision(number: int = 1, action: str = "relabel", **changes: Any) -> LabelDecision:
    label = {"relabel": "basophil", "keep": "monocyte"}.get(action)
    fields: dict[str, Any] = {
        "image_id": f"{number:032x}", "action": action, "given": "monocyte", "label": label,
        "at": NOW,
    }  # fmt: skip
    return LabelDecision.model_validate(fields | changes)


def test_what_curate_applies(tmp_path: Path) -> None:
    for made in (decision(1), decision(2, "keep"), decision(3, "drop"), decision(4)):
        record_label_decision(tmp_path, made)
    record_label_decision(tmp_path, decision(4, "undecided"))
    assert label_decisions(tmp_path) == {
        f"{1:032x}": "basophil", f"{2:032x}": "monocyte", f"{3:032x}": None,
    }  # fmt: skip


def test_a_vault_without_decisions_has_none(tmp_path: Path) -> None:
    assert label_decisions(tmp_path) == {}
    assert torn_label_line(tmp_path) is None


def test_the_last_decision_holds_and_stands_last(tmp_path: Path) -> None:
    for made in (decision(1), decision(2), decision(1, "drop")):
        record_label_decision(tmp_path, made)
    found = read_label_decisions(tmp_path)
    assert list(found) == [f"{2:032x}", f"{1:032x}"]
    assert found[f"{1:032x}"].action == "drop"


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    record_label_decision(tmp_path, decision())
    assert stat.S_IMODE((tmp_path / LABEL_DECISIONS_NAME).stat().st_mode) == 0o600


def test_half_a_line_does_not_count_and_goes_with_the_next(tmp_path: Path) -> None:
    record_label_decision(tmp_path, decision(1))
    with (tmp_path / LABEL_DECISIONS_NAME).open("ab") as file:
        file.write(b'{"image_id":"')
    assert list(label_decisions(tmp_path)) == [f"{1:032x}"]
    assert "line 2: a crash left half a decision" in (torn_label_line(tmp_path) or "")
    record_label_decision(tmp_path, decision(2))
    assert torn_label_line(tmp_path) is None
    assert len(label_decisions(tmp_path)) == 2


def test_a_damaged_line_is_told_without_its_content(tmp_path: Path) -> None:
    record_label_decision(tmp_path, decision(1))
    with (tmp_path / LABEL_DECISIONS_NAME).open("ab") as file:
        file.write(b'{"image_id":"Mueller"}\n')
    with pytest.raises(VaultError, match=r"line 2, at image_id") as refused:
        label_decisions(tmp_path)
    assert "Mueller" not in str(refused.value)


def test_a_missing_vault_is_named(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="cannot be read or written"):
        record_label_decision(tmp_path / "none", decision())


@pytest.mark.parametrize(
    "changes",
    [{"label": "no such cell"}, {"given": "no such cell"}, {"label": None}, {"label": "monocyte"},
     {"action": "drop"}, {"action": "keep"}, {"image_id": "../x"}, {"note": "x" * 2001},
     {"mood": "good"}],
)  # fmt: skip
def test_decisions_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        decision(1, **({"label": "basophil"} | changes))
