"""Tool declarations, wherever and however they stand in a row."""

import json
from typing import Any

import pytest

from chat.conversation import Tool
from data.outcomes import Rejected
from data.reading.declarations import read_tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
BARE = {"name": "f", "description": "It's f.", "parameters": SCHEMA}
OTHER = {"name": "g", "parameters": {}}


@pytest.mark.parametrize(
    "value",
    [
        [BARE, OTHER],
        json.dumps([BARE, OTHER]),
        json.dumps(json.dumps([BARE, OTHER])),
        repr([BARE, OTHER]),
        [json.dumps(BARE), repr(OTHER)],
        json.dumps(BARE, indent=4) + "\n\n" + json.dumps(OTHER),
        [{"type": "function", "function": BARE}, {"function": OTHER}],
        [{"type": "function", **BARE}, OTHER],
        {"tools": [BARE, OTHER]},
        {"f": {"description": "It's f.", "parameters": SCHEMA}, "g": {}},
        [[BARE], [OTHER]],
        [{"api_name": "f", "api_description": "It's f.", "parameters": SCHEMA}, OTHER],
    ],
    ids=lambda value: str(value)[:40],
)
def test_tools_are_the_same_however_they_are_written(value: Any) -> None:
    tools = read_tools(value, "/tools").tools
    assert tools == (
        Tool("f", "It's f.", SCHEMA),
        Tool("g", "", {"type": "object", "properties": {}}),
    )


@pytest.mark.parametrize("value", [None, [], "", "[]", {}, " \n"])
def test_empty_declarations_give_no_tools(value: Any) -> None:
    assert read_tools(value, "/tools").tools == ()


def test_single_tool_may_stand_without_a_list() -> None:
    assert [tool.name for tool in read_tools(BARE, "/tools").tools] == ["f"]
    assert [tool.name for tool in read_tools(json.dumps(BARE), "/tools").tools] == ["f"]


def test_built_in_tool_is_left_out_and_noted() -> None:
    found = read_tools([BARE, {"type": "code_interpreter"}], "/tools")
    assert [tool.name for tool in found.tools] == ["f"]
    (change,) = found.changes
    assert (change.rule, change.pointer) == ("tool-without-schema", "/tools/1")
    assert change.before == {"type": "code_interpreter"} and change.after is None


@pytest.mark.parametrize(
    ("value", "where", "reason"),
    [
        ("[", "/tools", "the tools are not JSON"),
        ("[f for f in ()]", "/tools", "the tools are not JSON"),
        ("[" * 100_000, "/tools", "the tools are not JSON"),
        (5, "/tools", "must be a list"),
        ([BARE, 5], "/tools/1", "a tool must be an object"),
        ([{"description": "no name"}], "/tools/0", "name must be text"),
        ([{"name": "f", "parameters": 5}], "/tools/0", "parameters must be an object"),
        ({"description": "no name"}, "/tools", "name must be text"),
        ({"f": {"parameters": 5}}, "/tools/f", "parameters must be an object"),
    ],
)
def test_unreadable_tools_are_rejected_with_their_place(
    value: Any, where: str, reason: str
) -> None:
    with pytest.raises(Rejected, match=reason) as raised:
        read_tools(value, "/tools")
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-tools", where)


@pytest.mark.parametrize(
    "last",
    [
        OTHER,
        {"type": "web_search"},
        {"name": "h", "parameters": {"type": "object", "properties": {"a": None, "b": {}}}},
        {"name": "h", "description": "A }\n\n{ inside."},
    ],
    ids=["tool", "built-in", "padding", "seam in a text"],
)
def test_tools_one_after_the_other_are_those_of_a_list(last: dict[str, Any]) -> None:
    texts = "\n\n".join(json.dumps(tool, indent=4) for tool in (BARE, last, BARE))
    assert read_tools(texts, "/t") == read_tools([BARE, last, BARE], "/t")
    raw = texts.replace("\\n", "\n")
    assert read_tools(raw, "/t") == read_tools([BARE, last, BARE], "/t")
