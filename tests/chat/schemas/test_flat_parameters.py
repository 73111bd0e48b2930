"""Flat parameters: which are required, and how they are recognised."""

from typing import Any

import pytest

from chat.schemas.dialects import normalise_parameters
from chat.schemas.flat_parameters import is_flat


def required(parameters: Any, beside: Any = None) -> list[str]:
    return normalise_parameters(parameters, beside).get("required", [])


def test_flat_parameters_are_required_unless_they_say_otherwise() -> None:
    parameters = {
        "a": {"type": "str"},
        "b": {"type": "int, optional"},
        "c": {"type": "float", "default": 1.5},
        "d": {"type": "Optional[int]"},
        "e": {"type": "int", "optional": True},
        "type": {"type": "List[Tuple[int, float]]"},
    }
    schema = normalise_parameters(parameters)
    assert list(schema["properties"]) == list(parameters)
    assert schema["required"] == ["a", "type"]
    assert schema["properties"]["b"] == {"type": "integer"}
    assert schema["properties"]["c"] == {"type": "number", "default": 1.5}
    assert schema["properties"]["e"] == {"type": "integer"}


def test_flat_parameters_follow_their_own_required_marks() -> None:
    marked = {"a": {"type": "string", "required": True}, "b": {"type": "string"}}
    assert required(marked) == ["a"]
    assert required({"a": {"type": "string", "required": False}}) == []
    assert required({"a": {"type": "str"}, "b": {"type": "str"}}, ["b"]) == ["b"]
    assert required({"a": {"type": "str"}}, []) == []


@pytest.mark.parametrize(
    ("parameters", "flat"),
    [
        ({"a": {"type": "str"}}, True),
        ({"a": "str", "type": "str"}, True),
        ({"type": {"type": "str"}, "properties": {"type": "str", "description": "d"}}, True),
        ({"a": {"type": "str"}, "required": ["a"], "description": "of f"}, True),
        ({"type": "object"}, False),
        ({"type": ["object", "null"], "properties": {}}, False),
        ({"type": "dict", "a": {"type": "str"}}, False),
        ({"properties": {"a": {"type": "str"}}}, False),
        ({"properties": None}, False),
        ({"$ref": "#/$defs/a", "$defs": {"a": {}}}, False),
        ({"anyOf": [{"type": "object"}]}, False),
        ({"additionalProperties": {"type": "string"}, "minProperties": 1}, False),
        ({}, False),
    ],
)
def test_flat_parameters_are_distinguished_from_schemas(
    parameters: dict[str, Any], flat: bool
) -> None:
    assert is_flat(parameters) is flat


def test_description_beside_flat_parameters_is_not_a_parameter() -> None:
    found = normalise_parameters({"a": {"type": "str"}, "description": "of f", "required": []})
    assert found["description"] == "of f" and list(found["properties"]) == ["a"]
