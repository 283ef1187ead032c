"""Licences are judged by their SPDX id; what forbids to pass cells on shuts the gate `licence`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cards.hub_license import license_head, license_url
from cards.license_terms import refusal, spdx_id, terms_of
from curation.errors import ReleaseRefusedError
from tests.cards.rewriting import rewritten
from tests.cards.test_diff import set_value
from tests.made_cards import MadeCards, release_again


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("cc0-1.0", set()),
        ("CC-BY-4.0", {"attribution"}),
        ("mit", {"attribution"}),
        ("cc-by-sa-4.0", {"attribution", "share-alike"}),
        ("cc-by-nc-4.0", {"attribution", "non-commercial"}),
        ("cc-by-nc-nd-4.0", {"attribution", "non-commercial", "no derivatives"}),
        ("ODbL-1.0", {"attribution", "share-alike"}),
        ("All rights reserved", {"no redistribution"}),
        ("proprietary", {"no redistribution"}),
        ("some words of a hospital", None),
        ("cc-by-9.9", None),
        ("LicenseRef-own", None),
    ],
)
def test_what_a_licence_asks_for(text: str, terms: set[str] | None) -> None:
    found = terms_of(text)
    assert (None if found is None else set(found)) == terms


@pytest.mark.parametrize(
    ("row", "released", "why"),
    [
        ("cc-by-4.0", "cc-by-4.0", None),
        ("CC-BY-4.0", "cc-by-4.0", None),
        ("cc0-1.0", "mit", None),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0", None),
        ("mit", "mit; cc-by-nc-4.0", None),
        ("own terms", "cc-by-4.0", None),
        ("cc-by-4.0", "own terms", None),
        ("cc-by-nd-4.0", "cc-by-nd-4.0", "forbids derivatives"),
        ("cc-by-nc-nd-4.0", "cc-by-nc-nd-4.0", "forbids derivatives"),
        ("cc-by-nc-4.0", "cc-by-4.0", "asks for non-commercial"),
        ("cc-by-sa-4.0", "cc-by-4.0", "asks for the same licence"),
        ("cc-by-4.0", "cc0-1.0", "asks for attribution"),
        ("all rights reserved", "cc-by-4.0", "forbids to pass them on"),
    ],
)
def test_what_may_be_released_under_what(row: str, released: str, why: str | None) -> None:
    found = refusal(row, released)
    assert (found is None) if why is None else (found is not None and why in found)


def test_ids_however_they_are_written() -> None:
    assert spdx_id("cc-by-4.0") == "CC-BY-4.0"
    assert spdx_id("MIT AND CC-BY-4.0") is None
    assert license_url("mit") == "https://spdx.org/licenses/MIT"
    assert license_head("CC-BY-4.0") == {"license": "cc-by-4.0"}
    assert license_head("mit; CC-BY-4.0") == {"license": ["mit", "cc-by-4.0"]}
    assert license_head("ODbL-1.0") == {"license": "odbl"}
    assert license_head("own terms") == {"license": "other", "license_name": "own terms"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CC-BY-NC-ND-4.0", "1 cells are under CC-BY-NC-ND-4.0, which forbids derivatives (ND)"),
        ("cc-by-nc-4.0", "1 cells are under cc-by-nc-4.0, which asks for attribution, non-comm"),
        ("no redistribution", "1 cells are under no redistribution, which forbids to pass them"),
    ],
)
def test_one_row_shuts_the_gate(
    cards_made: MadeCards, tmp_path: Path, text: str, said: str
) -> None:
    def plant(tables: dict[str, pa.Table]) -> None:
        tables["test"] = set_value(tables["test"], 3, license=text)

    real = rewritten(cards_made.real, tmp_path / "new", plant)
    with pytest.raises(ReleaseRefusedError) as refused:
        release_again(cards_made, tmp_path / "out", "2.0.0", real=real, license_id="cc0-1.0")
    assert f"  licence: {said}" in str(refused.value)


def test_what_a_person_has_to_read_is_said(cards_made: MadeCards, tmp_path: Path) -> None:
    def plant(tables: dict[str, pa.Table]) -> None:
        tables["test"] = set_value(tables["test"], 3, license="terms of the ward")
        tables["test"] = set_value(tables["test"], 4, license=None)

    real = rewritten(cards_made.real, tmp_path / "new", plant)
    done = release_again(cards_made, tmp_path / "out", "2.0.0", real=real)
    gate = next(gate for gate in done.info.gates if gate.name == "licence")
    assert gate.state == "warned"
    assert "1 cells state no licence; terms of the ward is no SPDX id" in gate.detail
    assert "license_name: cc0-1.0; terms of the ward" in (done.real / "README.md").read_text()
