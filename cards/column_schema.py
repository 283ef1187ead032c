"""`schema.json`: the columns of a dataset as JSON Schema (draft 2020-12), one row an object."""

from __future__ import annotations

import json
from typing import Any

from .column_texts import column_text
from .facts import CardFacts

SCHEMA_NAME = "schema.json"
_TYPES = {"string": "string", "int64": "integer", "float64": "number"}
_NEVER_NULL = ("image", "image_id", "label", "origin")
_OF_SYNTHETIC = ("generator", "seed", "guidance", "steps", "training_corpus")


def column_schema(facts: CardFacts) -> str:
    """Return the text of `schema.json`."""
    synthetic = not facts.is_real
    properties = {name: _property(name, feature, facts) for name, feature in facts.features.items()}
    properties["origin"] = {**properties["origin"], "const": facts.record.kind}
    for name in _OF_SYNTHETIC:
        kind = properties[name]["type"][0]
        properties[name]["type"] = kind if synthetic else "null"
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A row of {facts.record.name}, {facts.record.kind} cells",
        "description": "Rows as `datasets` returns them with images not decoded. "
        + ("Every row stands in train." if synthetic else "No row is synthetic."),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _property(name: str, feature: Any, facts: CardFacts) -> dict[str, Any]:
    text = column_text(name, facts.manifest.attributes)
    if feature["_type"] == "Image":
        return {
            "type": "object",
            "description": text,
            "properties": {"bytes": {"description": "the file's bytes"}, "path": {"type": "null"}},
            "required": ["bytes", "path"],
            "additionalProperties": False,
        }
    if feature["_type"] == "ClassLabel":
        names = feature["names"]
        return {
            "type": "integer", "description": text, "minimum": 0, "maximum": len(names) - 1,
            "x-names": names,
        }  # fmt: skip
    kind = _TYPES[feature["dtype"]]
    return {"type": kind if name in _NEVER_NULL else [kind, "null"], "description": text}
