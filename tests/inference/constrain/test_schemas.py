"""Schemas for constrained decoding: what is passed on, closed, and left as it was."""

from typing import Any

import pytest

from chat.conversation import Tool
from inference.constrain.schemas import enforceable, enforceable_parts


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


def test_a_schema_that_speaks_of_other_names_stays_open() -> None:
    words = {"additionalProperties": {"type": "null"}}
    assert read({"properties": {"a": {}}, **words})["additionalProperties"] == {"type": "null"}


def test_a_union_of_objects_is_closed_option_by_option() -> None:
    options = [{"type": "object", "properties": {name: {"type": "null"}}} for name in "ab"]
    closed = [{**option, "additionalProperties": False} for option in options]
    for keyword in ("anyOf", "allOf"):
        found = read({"properties": {"x": {keyword: options[: 2 - (keyword == "allOf")]}}})
        assert found["properties"]["x"][keyword] == closed[: 2 - (keyword == "allOf")]


def test_objects_that_hold_together_are_closed_by_all_their_names() -> None:
    parts = [{"properties": {"a": {"type": "null"}}}, {"required": ["b"]}]
    found = read({"properties": {"c": {}}, "allOf": parts})
    assert found["properties"] == {"c": {}, "a": True, "b": True}
    assert (found["additionalProperties"], found["allOf"]) == (False, parts)


def test_the_tools_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}
    read(schema)
    assert schema == {"type": "object", "properties": {"a": {"format": "date", "title": "t"}}}


def test_the_inner_schemas_come_first_with_their_pointers() -> None:
    schema = {"properties": {"a/b": {"items": {}}}, "anyOf": [{"$ref": "#/$defs/n"}]}
    tool = Tool("f", "", {**schema, "$defs": {"n": {"type": "object"}}})
    assert [pointer for pointer, _ in enforceable_parts(tool)] == [
        "/properties/a~1b/items",
        "/properties/a~1b",
        "/$defs/n",
        "/anyOf/0",
        "",
    ]


@pytest.mark.parametrize("type", ["string", ["null", "array"]])
def test_arguments_that_are_no_object_are_refused(type: Any) -> None:
    with pytest.raises(ValueError, match="and arguments are always an object"):
        read({"type": type})


@pytest.mark.parametrize(
    "root", [{"properties": {"a": {}}}, {"type": ["object", "null"], "properties": {"a": {}}}]
)
def test_arguments_are_an_object_whatever_the_root_says(root: dict[str, Any]) -> None:
    assert read(root)["type"] == "object"


def test_what_requires_itself_without_end_is_refused_or_left_out() -> None:
    endless = {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}
    with pytest.raises(ValueError, match="/\\$defs/n requires itself again and again"):
        read({**endless, "$defs": {"n": endless}})
    either = {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}
    found = read({"properties": {"a": either}, "$defs": {"n": endless}})
    assert found["properties"]["a"] == {"anyOf": [False, {"type": "null"}]}
