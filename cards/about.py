"""What only a maintainer can tell of a dataset: a YAML file, given to `release --about`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from curation.errors import ReleaseRefusedError
from curation.frozen import Frozen

NOT_STATED = "Not stated by the maintainer."


class Creator(Frozen):
    """A person (family and given names) or an organisation (name) that made the dataset."""

    name: str | None = None
    family_names: str | None = None
    given_names: str | None = None
    affiliation: str | None = None
    orcid: str | None = Field(
        default=None, pattern=r"https://orcid\.org/\d{4}-\d{4}-\d{4}-\d{3}[\dX]"
    )

    @model_validator(mode="after")
    def _is_named(self) -> Creator:
        if (self.name is None) == (self.family_names is None):
            raise ValueError("give either name (an organisation) or family_names (a person)")
        return self

    @property
    def full_name(self) -> str:
        """Return the name as it is read."""
        if self.name is not None:
            return self.name
        return " ".join(part for part in (self.given_names, self.family_names) if part)


class About(Frozen):
    """What a card states and no file of the release tells; each text is one or more sentences."""

    creators: tuple[Creator, ...] = ()
    purpose: str | None = Field(default=None, description="why the dataset was made")
    funding: str | None = None
    collection: str | None = Field(
        default=None, description="who took the smears, when, with which stain and microscope"
    )
    labelling: str | None = Field(default=None, description="who labelled the cells, and how")
    ethics: str | None = Field(default=None, description="approval and consent")
    maintenance: str | None = Field(default=None, description="who answers, and for how long")
    contact: str | None = None
    homepage: str | None = Field(default=None, pattern=r"https?://\S+")
    doi: str | None = Field(default=None, pattern=r"10\.\d{4,9}/\S+")
    cite: str | None = Field(default=None, description="what to cite besides the dataset itself")
    gate_prompt: str | None = Field(
        default=None, description="what whoever asks for a gated dataset agrees to"
    )
    gate_fields: dict[str, str] = Field(
        default_factory=dict, description="what is asked of them: text -> type (text, checkbox, …)"
    )

    @property
    def not_stated(self) -> tuple[str, ...]:
        """What a reader of the card will miss."""
        texts = ("purpose", "funding", "collection", "labelling", "ethics", "maintenance",
                 "contact")  # fmt: skip
        missing = tuple(name for name in texts if getattr(self, name) is None)
        return missing if self.creators else ("creators", *missing)


def read_about(file: Path | None) -> About:
    """Read what the maintainer tells; nothing where no file is given.

    Raises: ReleaseRefusedError naming the field that does not fit.
    """
    if file is None:
        return About()
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReleaseRefusedError(f"--about {file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ReleaseRefusedError(f"--about {file} holds no mapping of names to values")
    try:
        # Lists of YAML stand for tuples.
        return About.model_validate(values, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ReleaseRefusedError(
            f"--about {file}, at {where}: {first['msg']}. It may hold: "
            f"{', '.join(About.model_fields)}"
        ) from error
