"""Versions of data: PATCH for the same rows, MINOR for more, MAJOR for rows that changed or went.

Source: the convention of TensorFlow Datasets, "Datasets versioning".
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from curation.errors import ReleaseRefusedError

Bump = Literal["patch", "minor", "major"]
BUMPS: tuple[Bump, ...] = ("patch", "minor", "major")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Version(NamedTuple):
    """A version of a dataset; versions compare as their numbers do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.major}.{self.minor}.{self.patch}"

    def next(self, bump: Bump) -> Version:
        """Return the version that a bump leads to."""
        if bump == "major":
            return Version(self.major + 1, 0, 0)
        if bump == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)

    def bump_from(self, previous: Version) -> Bump | None:
        """Return what was raised since an earlier version; None where this one is no later."""
        if self <= previous:
            return None
        if self.major > previous.major:
            return "major"
        return "minor" if self.minor > previous.minor else "patch"


def parse_version(text: str) -> Version:
    """Return a version as written.

    Raises: ReleaseRefusedError where it is not MAJOR.MINOR.PATCH.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        raise ReleaseRefusedError(f"version {text!r} is not MAJOR.MINOR.PATCH, such as 1.2.0")
    return Version(*(int(part) for part in found.groups()))
