"""Keyword values that the draft does not allow are converted, or kept under `x-original-`."""

from typing import Any

import pytest

from chat.schemas.dialects import normalise_parameters


def check_schema(schema: Any) -> None:
    """Fail unless this is a schema of draft 2020-12."""
    # Imported here, so that pytest can collect this file without jsonschema.
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)


def normalised(schema: dict[str, Any]) -> dict[str, Any]:
    wrapped = {"type": "object", "properties": {"a": schema}}
    found = normalise_parameters(wrapped)
    check_schema(found)
    return found["properties"]["a"]


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"description": None, "title": None}, {}),
        ({"description": 5}, {"description": "5"}),
        ({"description": ["a"]}, {"x-original-description": ["a"]}),
        ({"minimum": "1", "maximum": "2.5"}, {"minimum": 1, "maximum": 2.5}),
        ({"minimum": "one"}, {"x-original-minimum": "one"}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
        ({"minLength": 3.0, "maxLength": -1}, {"minLength": 3, "x-original-maxLength": -1}),
        ({"multipleOf": 0}, {"x-original-multipleOf": 0}),
        ({"uniqueItems": "true"}, {"uniqueItems": True}),
        ({"enum": []}, {}),
        ({"enum": "a, b"}, {"x-original-enum": "a, b"}),
        ({"pattern": "("}, {"x-original-pattern": "("}),
        ({"pattern": "^a$"}, {"pattern": "^a$"}),
        ({"examples": "a"}, {"examples": ["a"]}),
        ({"items": ["int", {}]}, {"prefixItems": [{"type": "integer"}, {}]}),
        ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}),
        ({"items": None, "anyOf": []}, {}),
        ({"items": "string"}, {"items": {"type": "string"}}),
        ({"anyOf": [{"type": "int"}, {}]}, {"anyOf": [{"type": "integer"}, {}]}),
        ({"anyOf": [5]}, {"x-original-anyOf": [5]}),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, {}),
        ({"additionalProperties": "int"}, {"additionalProperties": {"type": "integer"}}),
        ({"dependencies": {"a": ["b"]}}, {"x-original-dependencies": {"a": ["b"]}}),
        ({"example": {"type": "x"}, "unit": "kg"}, {"example": {"type": "x"}, "unit": "kg"}),
    ],
)
def test_keyword_value_is_converted_to_what_the_draft_allows(
    schema: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert normalised(schema) == wanted


def test_enum_of_an_array_moves_to_its_items() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]}
    assert normalised(schema) == {"type": "array", "items": {"enum": ["a", "b"], "type": "string"}}
    whole = {"type": "array", "enum": [["a"], ["b"]]}
    assert normalised(whole) == whole


@pytest.mark.parametrize("mark", [{"nullable": True}, {"default": None}])
def test_nullable_schema_allows_null_in_type_and_enum(mark: dict[str, Any]) -> None:
    found = normalised({"type": "str", "enum": ["a"], **mark})
    assert (found["type"], found["enum"]) == (["string", "null"], ["a", None])
    assert "nullable" not in found
    assert normalised({"nullable": False, "type": "string"}) == {"type": "string"}
