"""Calls: declared names, numbers written as text."""

from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.call_rules import declared_functions, valid_calls
from data.outcomes import Draft, Rejected

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "on": {"type": "boolean"},
        "text": {"type": "string"},
        "either": {"type": ["integer", "string"]},
        "list": {"type": "array", "items": {"type": "integer"}},
        "deep": {"type": "object", "properties": {"a/b": {"type": "number"}}},
    },
}
TOOLS = (Tool("math.add", "", SCHEMA), Tool("Get weather", "", SCHEMA))


def calling(name: str, arguments: dict[str, Any], user: str = "hello") -> Conversation:
    call = ToolCall(name, arguments)
    return Conversation((Message("user", user), Message("assistant", "", (call,))), TOOLS)


def arguments_of(draft: Draft) -> dict[str, Any]:
    return dict(draft.conversation.messages[1].tool_calls[0].arguments)


@pytest.mark.parametrize("name", ["math.add", "Get weather"])
def test_declared_names_with_dots_or_spaces_are_unchanged(name: str) -> None:
    said = calling(name, {"n": 1})
    assert declared_functions(said) == Draft(said)


@pytest.mark.parametrize("name", [" math.add", "functions.math.add", "functions.Get weather "])
def test_prefix_and_spaces_around_a_declared_name_are_removed(name: str) -> None:
    draft = declared_functions(calling(name, {}))
    (change,) = draft.changes
    assert (change.rule, change.before) == ("function-name", name)
    assert change.after == draft.conversation.messages[1].tool_calls[0].name
    assert change.after in ("math.add", "Get weather")


@pytest.mark.parametrize("name", ["add", "Math.Add", "math_add", "get_weather", "functions."])
def test_name_that_only_resembles_a_declared_one_is_rejected(name: str) -> None:
    with pytest.raises(Rejected, match="undeclared-function"):
        declared_functions(calling(name, {}))


@pytest.mark.parametrize(
    ("arguments", "fixed", "where"),
    [
        ({"n": "63"}, {"n": 63}, "/n"),
        ({"n": "-5", "text": "7"}, {"n": -5, "text": "7"}, "/n"),
        ({"x": "19.0"}, {"x": 19.0}, "/x"),
        ({"x": "1e3"}, {"x": 1000.0}, "/x"),
        ({"on": "true"}, {"on": True}, "/on"),
        ({"on": "False"}, {"on": False}, "/on"),
        ({"list": [1, "2"]}, {"list": [1, 2]}, "/list/1"),
        ({"deep": {"a/b": "2.5"}}, {"deep": {"a/b": 2.5}}, "/deep/a~1b"),
    ],
)
def test_number_or_boolean_written_as_text_is_converted(
    arguments: dict[str, Any], fixed: dict[str, Any], where: str
) -> None:
    said = calling("math.add", arguments)
    draft = valid_calls(said)
    assert arguments_of(draft) == fixed and list(arguments_of(draft)) == list(arguments)
    (change,) = draft.changes
    assert change.rule == "text-value" and isinstance(change.before, str)
    assert change.pointer == f"/messages/1/tool_calls/0/function/arguments{where}"
    assert said.messages[1].tool_calls[0].arguments == arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": "6.5"},
        {"n": "63 kg"},
        {"n": "063"},
        {"n": "six"},
        {"n": ""},
        {"n": "NaN"},
        {"x": "1e999"},
        {"n": "1234567890123456"},
        {"n": "true"},
        {"on": "1"},
        {"on": "yes"},
        {"text": 7},
        {"list": "1"},
        {"n": "63", "text": 7},
    ],
)
def test_other_values_of_a_wrong_type_are_rejected(arguments: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="invalid-arguments"):
        valid_calls(calling("math.add", arguments))


def test_text_is_unchanged_where_the_schema_allows_text() -> None:
    said = calling("math.add", {"text": "63", "either": "63"})
    assert valid_calls(said) == Draft(said)
