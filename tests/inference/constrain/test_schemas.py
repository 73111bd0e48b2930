"""Schemas for constrained decoding: what is passed on, closed, and left as it was."""

from typing import Any

import pytest

from chat.conversation import Tool
from inference.constrain.schemas import enforceable, subschemas


def read(schema: dict[str, Any]) -> dict[str, Any]:
    return enforceable(Tool("f", "", schema))


def test_only_what_is_enforced_is_left() -> None:
    schema = {
        "type": "object",
        "description": "d",
        "properties": {"a": {"type": "string", "default": "x", "x-original-type": "str"}},
        "required": ["a"],
    }
    assert read(schema) == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_parameter_named_like_a_keyword_is_a_parameter() -> None:
    properties = {"description": {"type": "string"}, "not": {"type": "null"}, "if": True}
    assert read({"type": "object", "properties": properties})["properties"] == properties


@pytest.mark.parametrize("words", [{"anyOf": [{}]}, {"additionalProperties": {"type": "null"}}])
def test_a_schema_that_speaks_of_other_names_stays_open(words: dict[str, Any]) -> None:
    assert read({"type": "object", "properties": {"a": {}}, **words}).get(
        "additionalProperties"
    ) == words.get("additionalProperties")


def test_what_is_combined_is_not_closed() -> None:
    part = {"type": "object", "properties": {"a": {"type": "null"}}}
    read_back = read({"type": "object", "properties": {"x": {"allOf": [part]}, "y": part}})
    assert read_back["properties"]["x"] == {"allOf": [part]}
    assert read_back["properties"]["y"] == {**part, "additionalProperties": False}


def test_the_tools_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}
    read(schema)
    assert schema == {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}


def test_the_inner_schemas_come_first_with_their_pointers() -> None:
    schema = {"properties": {"a/b": {"items": {}}}, "anyOf": [{}]}
    pointers = [pointer for pointer, _ in subschemas(schema)]
    assert pointers == ["/anyOf/0", "/properties/a~1b/items", "/properties/a~1b", ""]
