"""The JSON schema: what is published is what the models write, and it refuses what they refuse."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from synth.measure.schema import SCHEMA_NAME, generated_schema, published_schema, schema_text
from tests.cards.made_report import full


def validate(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(published_schema()).validate(document)


@pytest.fixture
def document() -> dict[str, Any]:
    return dict(json.loads(full().model_dump_json()))


def test_what_is_published_is_what_the_models_say() -> None:
    assert published_schema() == generated_schema(), (
        f"synth/measure/{SCHEMA_NAME} is stale; write it anew from schema_text()"
    )
    assert json.loads(schema_text()) == generated_schema()
    jsonschema.Draft202012Validator.check_schema(published_schema())


def test_a_measurements_file_fits(document: dict[str, Any]) -> None:
    validate(document)
    assert len(document["measurements"]) > 100


@pytest.mark.parametrize("field", ["patient_name", "value"])
def test_unknown_and_missing_fields_do_not_fit(document: dict[str, Any], field: str) -> None:
    if field == "value":
        del document["measurements"][0]["value"]
    else:
        document["measurements"][0][field] = "x"
    with pytest.raises(jsonschema.ValidationError, match=field):
        validate(document)


def test_a_family_that_is_none_does_not_fit(document: dict[str, Any]) -> None:
    document["measurements"][0]["family"] = "beauty"
    with pytest.raises(jsonschema.ValidationError, match="beauty"):
        validate(document)
