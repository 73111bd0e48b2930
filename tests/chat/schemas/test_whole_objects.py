"""Roots that refer or combine, and required names that nothing has."""

import json
from typing import Any

import pytest

from chat.schemas.dialects import normalise_parameters
from chat.schemas.validation import read_tool, validate_arguments

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TRIP = {**CITY, "required": ["city"], "additionalProperties": False}


@pytest.mark.parametrize(
    "parameters",
    [
        {"$ref": "#/definitions/Trip", "definitions": {"Trip": TRIP}},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": TRIP}},
        {"allOf": [{"$ref": "#/$defs/Trip"}], "$defs": {"Trip": TRIP}},
        {"type": "object", "properties": {}, "allOf": [TRIP]},
    ],
)
def test_root_that_only_refers_says_what_it_refers_to(parameters: dict[str, Any]) -> None:
    assert normalise_parameters(parameters) == TRIP


def test_objects_combined_at_the_root_are_one_object() -> None:
    named = {"$ref": "#/$defs/Named"}
    days = {"properties": {"days": {"$ref": "#/$defs/Days"}}, "required": ["days"]}
    places = {"Named": {**CITY, "required": ["city"]}, "Days": {"type": "integer"}}
    found = normalise_parameters({"allOf": [named, days], "$defs": places})
    assert found["properties"] == {**CITY["properties"], "days": {"$ref": "#/$defs/Days"}}
    assert found["required"] == ["city", "days"] and found["$defs"] == places
    assert "allOf" not in found


@pytest.mark.parametrize(
    "parameters",
    [
        {"allOf": [TRIP, {"properties": {"days": {}}}]},
        {"allOf": [CITY, {"properties": {"city": {"type": "integer"}}}]},
        {"allOf": [CITY, {"minProperties": 1}]},
        {"allOf": [CITY, {"$ref": "#/$defs/gone"}]},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#/$defs/A", "minProperties": 2, "$defs": {"A": CITY}},
        {"$ref": "https://example.com/schema"},
    ],
)
def test_root_that_says_more_than_one_object_stays(parameters: dict[str, Any]) -> None:
    found = normalise_parameters(parameters)
    assert {"allOf", "$ref"} & found.keys() == {"allOf", "$ref"} & parameters.keys()
    assert json.dumps(normalise_parameters(found)) == json.dumps(found)


def test_recursive_root_keeps_the_place_that_it_refers_to() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    tool = read_tool({"name": "f", "parameters": {"$ref": "#/$defs/Node", "$defs": {"Node": node}}})
    assert tool.parameters["properties"] == node["properties"]
    assert validate_arguments(tool, {"next": {"next": {}}}) == []
    (problem,) = validate_arguments(tool, {"next": {"next": {"other": 1}}})
    assert (problem.pointer, problem.rule) == ("/next/next/other", "undeclared")


@pytest.mark.parametrize(
    ("parameters", "required"),
    [
        ({**CITY, "required": ["label"]}, []),
        ({**CITY, "required": ["city", "label"]}, ["city"]),
        ({**CITY, "required": ["label"], "additionalProperties": False}, []),
        ({**CITY, "required": ["label"], "additionalProperties": True}, ["label"]),
        ({**CITY, "required": ["l"], "anyOf": [{"properties": {"l": {}}}]}, ["l"]),
        ({"type": "object", "properties": {}, "required": ["label"]}, ["label"]),
    ],
)
def test_required_name_that_no_property_has_is_dropped(
    parameters: dict[str, Any], required: list[str]
) -> None:
    assert normalise_parameters(parameters)["required"] == required
    nested = normalise_parameters({"type": "object", "properties": {"in": parameters}})
    assert nested["properties"]["in"]["required"] == required


def test_combined_schema_may_require_names_of_the_other() -> None:
    member = {"properties": {"b": {}}, "required": ["a", "b"]}
    found = normalise_parameters({"properties": {"a": {}}, "allOf": [member, {"minProperties": 1}]})
    assert found["allOf"][0]["required"] == ["a", "b"]


def test_root_that_refers_to_an_object_without_properties_gets_some() -> None:
    place = {"type": "object", "required": ["city"], "additionalProperties": {"type": "string"}}
    found = normalise_parameters({"$ref": "#/$defs/Trip", "$defs": {"Trip": place}})
    assert found["properties"] == {"city": {}}
    assert normalise_parameters(found) == found
