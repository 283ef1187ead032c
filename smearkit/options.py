"""From a config file and flags to one frozen config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def resolve(
    model: type[Model], base: Mapping[str, Any], file: Path | None, flags: Mapping[str, Any]
) -> Model:
    """Return base, then the file's values, then the flags that were given.

    Raises: typer.BadParameter (exit status 2) naming the field that does not fit.
    """
    values = {**base, **(_read(file) if file else {})}
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        # As JSON, in which a list may stand for a tuple; what JSON has no word for, such as a
        # date, goes as text.
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the config"
        raise typer.BadParameter(f"{where}: {first['msg']}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"--config {file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise typer.BadParameter(f"--config {file} holds no mapping of names to values")
    return values


def pairs(values: list[str] | None, flag: str) -> dict[str, str] | None:
    """Return ["A=B", …] as a mapping, None where nothing was given.

    Raises: typer.BadParameter.
    """
    if not values:
        return None
    split = [value.partition("=") for value in values]
    bad = [name for name, equals, target in split if not (name and equals and target)]
    if bad:
        raise typer.BadParameter(f"{flag} takes OWN=KNOWN; found {bad[0]!r}")
    return {name: target for name, _, target in split}
