"""The tiny corpus, generator and synthetic corpus that these tests share."""

from __future__ import annotations

import pytest

from tests.made import Made, made_in
from tests.made_cards import MadeCards, made_cards_in


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The tiny things; read only, for they are made once for all folders of tests."""
    return made_in(tmp_path_factory.getbasetemp() / "made")


@pytest.fixture(scope="session")
def cards_made(tmp_path_factory: pytest.TempPathFactory) -> MadeCards:
    """A small release that nothing was trained or measured for; read only."""
    return made_cards_in(tmp_path_factory.getbasetemp() / "made-cards")


@pytest.fixture(autouse=True)
def no_release_yet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Forget the releases that other tests made: a key serves one dataset only."""
    vault = tmp_path_factory.getbasetemp() / "made" / "corpus-vault"
    (vault / "releases.jsonl").unlink(missing_ok=True)
