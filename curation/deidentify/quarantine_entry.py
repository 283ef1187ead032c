"""One line of a quarantine's `entries.jsonl`: an image, or a group of copies that disagree.

A quarantine is private: its entries hold source file names and what was read in the pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from ..errors import SmearkitError
from ..manifest import Frozen

ENTRIES_NAME = "entries.jsonl"
ENTRY_ID = r"^[0-9a-f]{16}$"
# What keeps an image out for other reasons than what it shows; no look at it can settle these.
DROP_ONLY = frozenset(
    {"unreadable", "too_small", "too_large", "several_images", "dicom_unsupported"}
)


def _check_box(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError("a box is left < right and top < bottom in px, none below 0")
    return box


Box = Annotated[tuple[int, int, int, int], AfterValidator(_check_box)]
"""(left, top, right, bottom) in px of the upright picture, right and bottom outside the box."""


class QuarantineEntry(Frozen):
    """A source image that waits for a person: why, where it lies, and what was found in it.

    `id` is a keyed hash of the source bytes, so it is the same in every run; `name` is the source
    file's and stays inside the house.
    """

    id: str = Field(pattern=ENTRY_ID)
    position: int = Field(ge=0)
    reason: str
    detail: str = ""
    name: str
    file: str | None = None
    picture: str | None = None
    boxes: tuple[Box, ...] = ()
    texts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _files_lie_beside(self) -> Self:
        # Only these two names: an entry can point at nothing outside its folder.
        if self.file not in (None, f"{self.id}.bin"):
            raise ValueError("file must be the id with .bin")
        if self.picture not in (None, f"{self.id}.png"):
            raise ValueError("picture must be the id with .png")
        return self


class ConflictEntry(Frozen):
    """Copies of one image whose labels or subjects disagree; none of them is kept."""

    reason: Literal["label_conflict", "subject_conflict"]
    image_id: str
    labels: tuple[str, ...]
    positions: tuple[int, ...]
    names: tuple[str, ...]


_ENTRY: TypeAdapter[QuarantineEntry | ConflictEntry] = TypeAdapter(QuarantineEntry | ConflictEntry)


def read_entries(quarantine: Path) -> tuple[QuarantineEntry | ConflictEntry, ...]:
    """Return the entries of a quarantine folder in the order of its file.

    Raises: SmearkitError where there is none, or with the line and field that does not fit.
    """
    path = quarantine / ENTRIES_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SmearkitError(
            f"{quarantine} is no quarantine that can be read: {ENTRIES_NAME}: {error.strerror}. "
            "Next: give the folder that `smearkit curate` named (default OUT-quarantine)"
        ) from error
    return tuple(
        _parse_entry(line, number) for number, line in enumerate(lines, start=1) if line.strip()
    )


def _parse_entry(line: bytes, number: int) -> QuarantineEntry | ConflictEntry:
    try:
        return _ENTRY.validate_json(line)
    except ValidationError as error:
        # Not chained and without the value found: that may be the name of a person.
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "the whole line"
        message = f"{ENTRIES_NAME}, line {number}, at {where}: {found['msg']}"
    raise SmearkitError(f"{message}. Next: run `smearkit curate` again, which writes it anew")
