"""Reading tools, and checking calls against the schema of their tool."""

import re
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Tool
from chat.schemas.validation import ArgumentProblem, read_tool, validate_arguments

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class TestReadTool:
    @pytest.mark.parametrize(
        "record",
        [
            {"name": "f", "description": "d", "parameters": CITY},
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": CITY}},
        ],
        ids=["bare", "wrapped"],
    )
    def test_wrapped_and_bare_tools_are_read_the_same(self, record: dict[str, Any]) -> None:
        assert read_tool(record) == Tool("f", "d", CITY)

    @pytest.mark.parametrize("parameters", [{}, [], "", None, {"type": "dict"}, {"properties": {}}])
    def test_tool_without_parameters_gets_an_empty_object_schema(self, parameters: Any) -> None:
        tool = read_tool({"name": "f", "description": None, "parameters": parameters})
        assert tool == Tool("f", "", {"type": "object", "properties": {}})
        assert read_tool({"name": "f"}) == tool

    @pytest.mark.parametrize("key", ["parameters", "input_schema", "inputSchema"])
    def test_parameters_are_read_from_every_known_key(self, key: str) -> None:
        assert read_tool({"name": "f", "description": "d", key: CITY}) == Tool("f", "d", CITY)

    def test_required_list_may_stand_beside_the_parameters(self) -> None:
        parameters = {"type": "dict", "properties": {"city": {"type": "str"}}}
        tool = read_tool({"name": "f", "parameters": parameters, "required": ["city"]})
        assert tool == Tool("f", "", CITY)

    @pytest.mark.parametrize(
        ("record", "problem"),
        [
            ("f", "a tool must be an object, found f"),
            ({}, "a tool's name must be text, found None"),
            ({"name": " "}, "a tool's name must be text"),
            ({"name": "f", "description": 3}, "the description of f must be text, found 3"),
            ({"name": "f", "parameters": 5}, "tool f: parameters must be an object, found 5"),
            ({"name": "f", "parameters": [5]}, "tool f: a parameter .* must have a name, found 5"),
            (
                {"name": "f", "parameters": {"a": "the city"}},
                "tool f: .* no known dialect .*a JSON Schema",
            ),
        ],
    )
    def test_malformed_tool_is_refused_with_the_reason(self, record: Any, problem: str) -> None:
        with pytest.raises(ValueError, match=problem):
            read_tool(record)


TRIP = Tool(
    "trip",
    "",
    {
        "type": "object",
        "properties": {
            "to": {"type": "string", "enum": ["Rome", "Oslo"]},
            "days": {"type": "integer", "minimum": 1},
            "stops": {"type": "array", "items": {"type": "object", "required": ["a/b~c"]}},
        },
        "required": ["to"],
    },
)


class TestValidate:
    def test_fitting_arguments_have_no_problem(self) -> None:
        assert validate_arguments(TRIP, {"to": "Rome", "days": 2, "stops": [{"a/b~c": 1}]}) == []

    def test_every_problem_has_its_pointer_and_rule(self) -> None:
        arguments = {"to": "Bonn", "days": "2", "stops": [{"a/b~c": 1}, {}], "a/b~c": 1}
        found = [(problem.pointer, problem.rule) for problem in validate_arguments(TRIP, arguments)]
        assert found == [
            ("/a~1b~0c", "undeclared"),
            ("/days", "type"),
            ("/stops/1", "required"),
            ("/to", "enum"),
        ]
        assert validate_arguments(TRIP, {})[0] == ArgumentProblem(
            "", "required", "'to' is a required property"
        )

    def test_problem_messages_are_one_short_line(self) -> None:
        for problem in validate_arguments(TRIP, {"to": "x\n" * 5000, "y" * 500: 1}):
            assert "\n" not in problem.message and len(problem.message) <= 300

    @pytest.mark.parametrize("value", [True, 2.5, "2", None])
    def test_integer_parameter_refuses_boolean_fraction_text_and_null(self, value: Any) -> None:
        problems = validate_arguments(TRIP, {"to": "Rome", "days": value})
        assert [problem.rule for problem in problems] == ["type"]

    def test_tool_without_parameters_accepts_no_arguments(self) -> None:
        tool = read_tool({"name": "land"})
        assert validate_arguments(tool, {}) == []
        assert [problem.rule for problem in validate_arguments(tool, {"x": 1})] == ["undeclared"]

    @pytest.mark.parametrize(
        "schema",
        [
            {"additionalProperties": True},
            {"additionalProperties": {"type": "integer"}},
            {"patternProperties": {"^x": {}}},
            {"anyOf": [{"properties": {"x": {}}}]},
        ],
    )
    def test_open_schema_allows_undeclared_arguments(self, schema: dict[str, Any]) -> None:
        assert validate_arguments(Tool("f", "", {**CITY, **schema}), {"city": "Bonn", "x": 1}) == []

    def test_reference_inside_the_schema_is_followed(self) -> None:
        schema = {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "null"}}}
        problems = validate_arguments(Tool("f", "", schema), {"a": 1})
        assert [problem.rule for problem in problems] == ["type"]

    @pytest.mark.parametrize(
        ("schema", "message"),
        [
            ({"type": "str"}, "wrong at /properties/a/type: 'str' is not valid"),
            ({"pattern": "("}, "wrong at /properties/a/pattern"),
            ({"$ref": "https://schemas.invalid/a.json"}, "cannot be used: Unresolvable"),
            ({"$ref": "#/nowhere"}, "cannot be used: .*nowhere"),
            ({"$ref": "#/properties/a"}, "cannot be used: .*recursion"),
        ],
        ids=["type", "pattern", "remote", "nowhere", "endless"],
    )
    def test_unusable_schema_is_reported_with_the_schema_rule(
        self, schema: dict[str, Any], message: str
    ) -> None:
        tool = Tool("f", "", {"type": "object", "properties": {"a": schema}})
        (problem,) = validate_arguments(tool, {"a": "x"})
        assert (problem.pointer, problem.rule) == ("", "schema")
        assert re.search(message, problem.message), problem.message

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what fetching it would raise
    def test_reference_to_another_file_is_not_fetched(self, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere.json"
        elsewhere.write_text("{}")
        tool = Tool("f", "", {"properties": {"a": {"$ref": elsewhere.as_uri()}}})
        assert [problem.rule for problem in validate_arguments(tool, {"a": 1})] == ["schema"]
