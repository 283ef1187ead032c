"""The published JSON schema of `measurements.json`."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from .measurement import MEASUREMENTS_FORMAT, Measurements

SCHEMA_NAME = "measurements_schema.json"


def published_schema() -> dict[str, Any]:
    """Return the schema as it lies in the package, for readers that know no pydantic."""
    return dict(json.loads((files(__package__) / SCHEMA_NAME).read_bytes()))


def generated_schema() -> dict[str, Any]:
    """Return the schema of the models as they are; what is published must equal it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:smearkit:measurements:{MEASUREMENTS_FORMAT}",
        **Measurements.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    """Return the generated schema as the file holds it."""
    return json.dumps(generated_schema(), indent=2, ensure_ascii=False) + "\n"
