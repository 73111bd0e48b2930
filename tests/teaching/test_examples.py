import json
from typing import Any

import pytest

from chat.conversation import Tool
from chat.schemas.validation import validate_arguments
from synthesis.pools import SEARCHED, TOPICS
from teaching.completion import complete_records
from teaching.examples import VALUES, example_values


def tool(name: str, required: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required.split()}
    return {"name": name, "description": "Does it.", "inputSchema": schema}


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("city", {"type": "string"}),
        ("when", {"type": "string", "format": "date-time"}),
        ("order_id", {"type": "string"}),
        ("count", {"type": "integer", "minimum": 3, "multipleOf": 5}),
        ("price", {"type": "number", "exclusiveMinimum": 0}),
        ("tags", {"type": "array", "items": {"type": "string"}, "minItems": 2}),
        ("note", {"type": ["null", "string"], "maxLength": 60}),
        ("size", {"anyOf": [{"type": "null"}, {"type": "integer"}]}),
        ("place", {"type": "object", "properties": {"city": {"type": "string"}}}),
    ],
)
def test_invented_values_fit_their_schema_and_differ(name: str, schema: dict[str, Any]):
    values = example_values(name, schema)
    checked = Tool(name, "", {"type": "object", "properties": {name: schema}})
    assert not [
        problem for value in values for problem in validate_arguments(checked, {name: value})
    ]
    assert len({json.dumps(value) for value in values}) == len(values) > VALUES / 2


def test_values_of_a_referred_schema_follow_its_definition():
    parameters = {"$defs": {"Place": {"type": "object", "properties": {"city": {}}}}}
    [first, *_] = example_values("where", {"$ref": "#/$defs/Place"}, parameters)
    assert first.keys() == {"city"}


NODE = {
    "type": "object",
    "properties": {"of": {}, "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    "required": ["of", "kids"],
}


@pytest.mark.parametrize(
    ("schema", "definitions"),
    [
        (True, {}),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 4}, {}),
        ({"$ref": "#/$defs/Node"}, {"Node": NODE}),
    ],
)
def test_unusual_schemas_get_values_too(schema: Any, definitions: dict[str, Any]):
    record = tool("get", "q", q=schema)
    record["inputSchema"]["$defs"] = definitions
    record["inputSchema"]["properties"]["never"] = False
    assert complete_records([record])[0]["examples"].keys() == {"q"}


def test_examples_that_are_no_object_are_named():
    with pytest.raises(ValueError, match=r"examples of the tool get are \['x'\], wanted an object"):
        complete_records([tool("get", "q", q={"type": "string"}) | {"examples": ["x"]}])


def test_own_examples_and_results_are_kept():
    own = tool("get", "lamp", lamp={"type": "string"})
    own |= {"examples": {"lamp": ["L-1"]}, "results": [{"state": "on"}]}
    [completed] = complete_records([own])
    assert (completed["examples"], completed["results"]) == (own["examples"], own["results"])


def test_a_tool_returns_the_code_that_another_wants():
    records = [
        tool("create_order", "city", city={"type": "string"}),
        tool("cancelOrder", "order_id", order_id={"type": "string"}),
    ]
    created, cancelled = complete_records(records)
    codes = {result["order_id"] for result in created["results"]}
    assert codes <= set(cancelled["examples"]["order_id"])
    assert all(result.keys() == {"status"} for result in cancelled["results"])


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("list_events", '{"events": ["'),
        ("searchIssues", '{"issues": '),
        ("list_directory", '{"found": '),
        ("read_file", '{"text": "'),
        ("get_address", '{"address": "'),
        ("get_weather", '{"updated_at": "'),
        ("calculate_tip", '{"result": '),
        ("get_stock_price", '{"price": '),
        ("translate_text", '{"status": "done"}'),
        ("get_order_status", '{"status": "'),
    ],
)
def test_an_invented_result_suits_what_the_tool_does(name: str, result: str):
    [completed] = complete_records([tool(name, "")])
    assert result in json.dumps(completed["results"])
    assert len({tuple(entry) for entry in completed["results"]}) == 1


def test_what_is_searched_for_is_a_topic():
    values = example_values("query", {"type": "string"})
    assert len(values) == VALUES
    assert all(value.partition(" ")[0] in TOPICS for value in values)
    assert all(value.partition(" ")[2] in ("", *SEARCHED) for value in values)


def test_results_follow_an_output_schema():
    record = tool("get", "") | {
        "outputSchema": {"type": "object", "properties": {"degrees": {"type": "integer"}}}
    }
    [completed] = complete_records([record])
    assert all(isinstance(result["degrees"], int) for result in completed["results"])


def test_a_required_value_that_cannot_be_made_is_asked_for():
    record = tool("get", "q", q={"type": "string", "pattern": "^[A-Z]{3}[0-9]{9}$"})
    with pytest.raises(ValueError, match=r'parameter q of get .* add "examples": \{"q": \[...\]\}'):
        complete_records([record])
    record["inputSchema"]["required"] = []
    assert complete_records([record])[0]["examples"] == {}
