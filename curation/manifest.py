"""`manifest.json`: what a corpus directory holds. Written last, so its presence means complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import CorpusError

FORMAT_VERSION = 1
Model = TypeVar("Model", bound=BaseModel)
MANIFEST_NAME = "manifest.json"


class Frozen(BaseModel):
    """The base of every model at a file boundary: frozen, strict, no unknown field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Shard(Frozen):
    """One Parquet file of a corpus; `digest` is over the rows, `sha256` over the file's bytes."""

    path: str
    split: str
    rows: int
    bytes: int
    sha256: str
    digest: str


class Codec(Frozen):
    """How the images of a corpus are coded; the tables are JPEG's quantisation, row by row.

    `subsampling` is Pillow's number: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
    """

    format: Literal["jpeg", "png"]
    tables: tuple[tuple[int, ...], ...] = ()
    subsampling: int = 0


class View(Frozen):
    """The part of a cell image that a generator draws: the central share, at `side` pixels."""

    side: int
    crop: float


class Manifest(Frozen):
    """What a corpus directory holds and where it came from."""

    format_version: int
    kind: Literal["real", "synthetic"]
    fingerprint: str
    vocabulary_version: int
    n_in: int
    n_out: int
    dropped: dict[str, int]
    classes: dict[str, dict[str, int]] = Field(description="split -> label -> rows")
    splits: dict[str, int]
    subjects: dict[str, int] = Field(default_factory=dict, description="split -> known subjects")
    slides: dict[str, int] = Field(default_factory=dict, description="split -> known slides")
    grouped_by: Literal["subject", "slide", "duplicate_group", "none"]
    duplicate_groups: int = 0
    conflicts: int = 0
    quarantined: int = 0
    codec: Codec
    view: View | None = None
    parents: dict[str, str] = Field(description="role -> fingerprint")
    config: dict[str, Any]
    versions: dict[str, str]
    shards: tuple[Shard, ...]

    @model_validator(mode="after")
    def _counts_add_up(self) -> Self:
        dropped = sum(self.dropped.values())
        if self.n_in != self.n_out + dropped:
            raise ValueError(f"n_in {self.n_in} != n_out {self.n_out} + dropped {dropped}")
        for name, total in (
            ("splits", sum(self.splits.values())),
            ("classes", sum(sum(labels.values()) for labels in self.classes.values())),
            ("shards", sum(shard.rows for shard in self.shards)),
        ):
            if total != self.n_out:
                raise ValueError(f"{name} add up to {total}, but n_out is {self.n_out}")
        return self

    def class_totals(self) -> dict[str, int]:
        """Return label -> rows over all splits, in the vocabulary's order."""
        totals: dict[str, int] = {}
        for labels in self.classes.values():
            for label, count in labels.items():
                totals[label] = totals.get(label, 0) + count
        return totals


def parse_model(model: type[Model], path: Path) -> Model:
    """Read one JSON file as a model.

    Raises: CorpusError with the file's name and the first thing that does not fit.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise CorpusError(f"{path.name} cannot be read: at {where}: {first['msg']}") from error


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a corpus directory.

    Raises: CorpusError where there is none, where its format is newer, or where it does not fit.
    """
    path = directory / MANIFEST_NAME
    if not directory.is_dir():
        raise CorpusError(f"{directory} is no directory; expected a corpus")
    if not path.is_file():
        raise CorpusError(
            f"{directory} has no {MANIFEST_NAME}, so it is no complete corpus; "
            "run the command that makes it again (it resumes where it stopped)"
        )
    try:
        head = json.loads(path.read_bytes())
        version = head["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path} is no corpus manifest: {error}") from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CorpusError(
            f"{path} has corpus format {version}; this smearkit reads up to {FORMAT_VERSION}. "
            "Next: upgrade smearkit"
        )
    return parse_model(Manifest, path)


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
