"""`manifest.json`: what a corpus directory holds. Written last, so its presence means complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from .cells import Attribute
from .errors import CorpusError
from .frozen import Frozen as Frozen  # most models stand beside the manifest's

FORMAT_VERSION = 2
Model = TypeVar("Model", bound=BaseModel)
MANIFEST_NAME = "manifest.json"


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


class TextSearch(Frozen):
    """How burned-in text and barcodes were looked for, in images."""

    mode: Literal["quarantine", "redact", "off"]
    images: int = 0
    read: int = Field(default=0, description="went to character recognition")
    hits: int = 0
    redacted: int = 0
    accepted: int = Field(default=0, description="a person saw the hit and let it pass")


class KAnonymity(Frozen):
    """How many subjects share each combination of quasi-identifiers; `groups` have too few."""

    k: int
    l: int  # noqa: E741
    quasi_identifiers: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    choice: Literal["report", "generalise", "drop"]
    found_groups: int = 0
    found_rows: int = 0
    groups: int = Field(default=0, description="left in the corpus")
    rows: int = Field(default=0, description="left in the corpus")


class Deidentification(Frozen):
    """What was done so that nothing in the corpus identifies anyone; no value stands in it."""

    policy: str
    policy_id: str = Field(description="keyed hash of the policy")
    key_id: str = Field(description="public name of the key of the pseudonyms")
    columns: dict[str, str] = Field(description="column found, or element taken -> action")
    elements_dropped: int = Field(default=0, description="DICOM elements of which nothing is left")
    method_codes: tuple[str, ...] = Field(default=(), description="DICOM PS3.16 CID 7050")
    scans_kept: int = Field(
        default=0, description="JPEG scans that were kept bit for bit, or turned without loss"
    )
    encoded_anew: int = 0
    text: TextSearch
    k_anonymity: KAnonymity


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
    grouped_by: Literal["subject", "slide", "field", "duplicate_group", "none"]
    duplicate_groups: int = 0
    conflicts: int = 0
    quarantined: int = 0
    codec: Codec
    view: View | None = None
    attributes: tuple[Attribute, ...] = Field(default=(), description="columns the policy added")
    deidentification: Deidentification | None = Field(default=None, description="of real corpora")
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
