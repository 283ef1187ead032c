"""One line of `label_queue.jsonl`: a cell whose label is doubtful, for a person to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ..deidentify.label_decisions import IMAGE_ID
from ..errors import SmearkitError
from ..frozen import Frozen
from ..vocabulary import LABEL_IDS

LABEL_QUEUE_NAME = "label_queue.jsonl"
PICTURES = "pictures"
EXAMPLES = "examples"
N_EXAMPLES = 6


class Guess(Frozen):
    """A label that the model holds for possible, with its share."""

    label: str
    share: float = Field(ge=0, le=1)

    @field_validator("label")
    @classmethod
    def _is_known(cls, label: str) -> str:
        if label not in LABEL_IDS:
            raise ValueError("a label must be in the vocabulary")
        return label


class DoubtfulLabel(Frozen):
    """A cell whose label the audit doubts, the worst first in the file.

    `quality` in [0, 1] is low where the doubt is great; `guesses` are the likeliest labels other
    than the given one, `suggested` the first of them; the picture lies in `pictures/`.
    """

    image_id: str = Field(pattern=IMAGE_ID)
    given: Guess
    guesses: tuple[Guess, ...] = Field(min_length=1)
    quality: float = Field(ge=0, le=1)
    split: str
    acquisition: int = Field(ge=0)
    picture: str

    @property
    def suggested(self) -> str:
        """The likeliest other label."""
        return self.guesses[0].label

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # Only these names: an entry can point at nothing outside its folder.
        if self.picture not in (f"{self.image_id}.jpg", f"{self.image_id}.png"):
            raise ValueError("picture must be the image id with .jpg or .png")
        if self.given.label in [guess.label for guess in self.guesses]:
            raise ValueError("a guess must differ from the given label")
        return self


def read_label_queue(folder: Path) -> tuple[DoubtfulLabel, ...]:
    """Return the doubtful labels of a validation folder, the worst first.

    Raises: SmearkitError where there is none, or with the line and field that does not fit.
    """
    try:
        lines = (folder / LABEL_QUEUE_NAME).read_bytes().split(b"\n")
    except OSError as error:
        raise SmearkitError(
            f"{folder} is no validation that can be read: {LABEL_QUEUE_NAME}: {error.strerror}. "
            "Next: give the folder that `smearkit validate` made"
        ) from error
    return tuple(_parse(line, number) for number, line in enumerate(lines, start=1) if line.strip())


def _parse(line: bytes, number: int) -> DoubtfulLabel:
    try:
        return DoubtfulLabel.model_validate_json(line)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "the whole line"
        message = f"{LABEL_QUEUE_NAME}, line {number}, at {where}: {found['msg']}"
    raise SmearkitError(f"{message}. Next: run `smearkit validate` again, which writes it anew")
