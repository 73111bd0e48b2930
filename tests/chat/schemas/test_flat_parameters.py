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
    "words",
    [
        "How it sounds. Required is false.",
        "How it sounds (required: no)",
        "The default is auto.",
        "A limit, which defaults to 5",
        "A limit. Default: 5",
        "The height (default 5).",
        "Default value is 'metric'.",
        "Optional. A limit",
        "(Optional) A limit",
        "A limit (optional)",
        "A limit, optional.",
        "Not required where a city is given.",
    ],
)
def test_flat_parameter_whose_text_says_optional_is_not_required(words: str) -> None:
    parameters = {"a": {"type": "str"}, "b": {"type": "str", "description": words}}
    assert required(parameters) == ["a"]
    assert required({**parameters, "required": ["b"]}) == ["b"], "a list says more than a text"
    assert required({"in": parameters}) == ["in"]


@pytest.mark.parametrize(
    "words",
    [
        "The language. Required is true.",
        "One of the optional extras.",
        "The amount of optionality",
        "There is no default value: say which.",
        "What is required.",
        "Required is true, and an optional suffix may follow.",
    ],
)
def test_flat_parameter_without_such_words_is_required(words: str) -> None:
    assert required({"a": {"type": "str", "description": words}}) == ["a"]


def test_parameter_marked_as_not_required_says_nothing_of_others() -> None:
    assert required({"a": {"type": "str"}, "b": {"type": "str", "required": False}}) == ["a"]
    assert required({"a": {}, "b": {"required": "no"}, "c": {"default": 1}}) == ["a"]
    marked = {"a": {"required": True}, "b": {"required": False}, "c": {"type": "str"}}
    assert required(marked) == ["a"]


def test_null_among_flat_parameters_is_padding_unless_required() -> None:
    found = normalise_parameters({"a": {"type": "str"}, "column": None})
    assert list(found["properties"]) == ["a"] and found["required"] == ["a"]
    assert normalise_parameters({"a": None, "required": ["a"]})["properties"] == {"a": {}}


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
