from __future__ import annotations

import pytest

from cards.versions import Bump, parse_version
from curation.errors import ReleaseRefusedError


@pytest.mark.parametrize(
    ("new", "old", "bump"),
    [
        ("1.0.1", "1.0.0", "patch"),
        ("1.1.0", "1.0.9", "minor"),
        ("2.0.0", "1.9.9", "major"),
        ("2.0.0", "1.0.0", "major"),
        ("1.0.0", "1.0.0", None),
        ("1.9.0", "1.10.0", None),
        ("1.10.0", "1.9.0", "minor"),
    ],
)
def test_what_was_raised(new: str, old: str, bump: Bump | None) -> None:
    assert parse_version(new).bump_from(parse_version(old)) == bump


@pytest.mark.parametrize(
    ("bump", "after"), [("patch", "1.2.4"), ("minor", "1.3.0"), ("major", "2.0.0")]
)
def test_the_next_version(bump: Bump, after: str) -> None:
    assert str(parse_version("1.2.3").next(bump)) == after


@pytest.mark.parametrize("text", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "", "1.0.0\n"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ReleaseRefusedError, match="is not MAJOR.MINOR.PATCH"):
        parse_version(text)
