"""`reports/release.json` of a dataset folder: what its card states and no other file tells."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from curation.corpus import Corpus
from curation.frozen import Frozen
from curation.manifest import parse_model
from curation.output import write_whole

from .about import About
from .diff import Difference
from .gate import Gate

RECORD_NAME = "reports/release.json"
RECORD_FORMAT = 1
Kind = Literal["real", "synthetic"]


class Companion(Frozen):
    """The other dataset of the release, in numbers."""

    kind: str
    fingerprint: str
    rows: int
    classes: dict[str, dict[str, int]] = Field(description="split -> label -> rows")


class VersionEntry(Frozen):
    """What one version changed in one dataset; `difference` is None for the first."""

    version: str
    date: str
    rows: int
    fingerprint: str
    difference: Difference | None = None
    notes: tuple[str, ...] = ()


class Withdrawal(Frozen):
    """That cells were withdrawn: how many, in which version, and what had learned from them."""

    version: str
    date: str
    subjects: int
    cells: int
    trained: int = Field(description="of these cells, in the training split")
    learned: Literal["yes", "no", "unknown"] = Field(
        description="whether the generator of the synthetic dataset learned from any of them"
    )
    measured: str = Field(description="fingerprint of the real corpus that the reports measured")


class ReleaseRecord(Frozen):
    """What the card of one dataset states and no other file of its folder tells."""

    format_version: int
    card_format: int = Field(description="of the templates that the card was rendered by")
    kind: Kind
    name: str
    version: str
    date: str
    license: str
    source: str | None
    repository: str | None
    gated: bool
    about: About
    companion: Companion
    gates: tuple[Gate, ...]
    versions: tuple[VersionEntry, ...] = Field(description="the newest first")
    withdrawals: tuple[Withdrawal, ...] = ()

    @property
    def own_repository(self) -> str | None:
        """ORG/NAME of this dataset, where it is known."""
        return self._repository(self.kind)

    @property
    def companion_repository(self) -> str | None:
        """ORG/NAME of the other dataset, where it is known."""
        return self._repository("synthetic" if self.kind == "real" else "real")

    def _repository(self, kind: str) -> str | None:
        if self.repository is None:
            return None
        return self.repository + ("-synthetic" if kind == "synthetic" else "")


def companion_of(corpus: Corpus) -> Companion:
    """Return what a card tells of the other dataset."""
    found = corpus.manifest
    return Companion(
        kind=found.kind, fingerprint=found.fingerprint, rows=found.n_out, classes=found.classes
    )


def write_record(folder: Path, record: ReleaseRecord) -> None:
    """Write the record into a dataset folder."""
    text = record.model_dump_json(indent=2) + "\n"
    write_whole(folder / RECORD_NAME, text.encode())


def read_record(folder: Path) -> ReleaseRecord:
    """Read the record of a dataset folder.

    Raises: CorpusError where it does not fit.
    """
    return parse_model(ReleaseRecord, folder / RECORD_NAME)
