"""`release.json`: what a release directory holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from curation.errors import ReleaseRefusedError
from curation.frozen import Frozen
from curation.manifest import parse_model

from .gate import Gate

RELEASE_NAME = "release.json"
RELEASE_FORMAT = 2


class ReleaseInfo(Frozen):
    """`release.json`: what a release directory holds. Written last."""

    format_version: int
    name: str
    version: str
    license: str
    real: str = Field(description="fingerprint of the real corpus")
    synthetic: str = Field(description="fingerprint of the synthetic corpus")
    gates: tuple[Gate, ...]
    date: str | None = Field(default=None, description="day of the release, YYYY-MM-DD")
    repository: str | None = Field(default=None, description="ORG/NAME that the cards name")
    previous: str | None = Field(default=None, description="version that it was compared with")


@dataclass(frozen=True, slots=True)
class Release:
    """A release directory whose gates have passed, or were overridden by name."""

    path: Path
    info: ReleaseInfo

    @property
    def real(self) -> Path:
        """The folder of the real dataset."""
        return self.path / "real"

    @property
    def synthetic(self) -> Path:
        """The folder of the synthetic dataset."""
        return self.path / "synthetic"


def read_release(path: Path) -> Release:
    """Open a release directory.

    Raises: ReleaseRefusedError where it is not complete.
    """
    file = path / RELEASE_NAME
    if not file.is_file():
        raise ReleaseRefusedError(f"{path} is no complete release: it has no {RELEASE_NAME}")
    return Release(path, parse_model(ReleaseInfo, file))
