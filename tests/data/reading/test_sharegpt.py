"""ShareGPT tool conversations, and how layouts are told apart."""

import json
from typing import Any

import pytest

from chat.conversation import Message, Tool, ToolCall
from data.outcomes import Draft, Rejected
from data.reading import SOURCES, detect_format, find_source

TOOLS = [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]


def read(turns: list[Any], tools: Any = "[]", **row: Any) -> Draft:
    return SOURCES["sharegpt"].read({"conversations": turns, "tools": tools, **row})


def turn(speaker: Any, value: Any) -> dict[str, Any]:
    return {"from": speaker, "value": value}


def test_turns_become_messages_and_calls_keep_their_arguments() -> None:
    draft = read(
        [
            turn("human", " a "),
            turn("function_call", '{"name": "f", "arguments": {"z": 1, "a": [2.0]}}'),
            turn("observation", "{}"),
            turn("gpt", "b"),
        ],
        json.dumps(TOOLS),
        system="Be brief.",
    )
    assert draft.conversation.messages == (
        Message("system", "Be brief."),
        Message("user", " a "),
        Message("assistant", tool_calls=(ToolCall("f", {"z": 1, "a": [2.0]}),)),
        Message("tool", "{}"),
        Message("assistant", "b"),
    )
    assert draft.conversation.tools == (Tool("f", "d", TOOLS[0]["parameters"]),)
    assert draft.changes == ()


@pytest.mark.parametrize(
    "tools", [TOOLS, json.dumps(TOOLS), [{"type": "function", "function": TOOLS[0]}]]
)
def test_tools_may_be_text_a_list_or_wrapped(tools: Any) -> None:
    assert [tool.name for tool in read([], tools).conversation.tools] == ["f"]


@pytest.mark.parametrize("tools", ["[]", "", None, []])
def test_empty_tools_give_no_tools(tools: Any) -> None:
    assert read([], tools).conversation.tools == ()


def test_several_calls_in_a_turn_and_mended_ones_are_read() -> None:
    value = '[{"name": "f", "arguments": {}}, {"name": "g", "arguments": "\\"{}\\""}]'
    draft = read([turn("function_call", value)])
    assert [call.name for call in draft.conversation.messages[0].tool_calls] == ["f", "g"]
    (change,) = draft.changes
    assert (change.rule, change.pointer) == ("call-syntax", "/conversations/0/value")
    assert change.before == value and change.after[1] == {"name": "g", "arguments": {}}


@pytest.mark.parametrize(
    ("turns", "tools", "rule", "where"),
    [
        ([turn("function_call", "{")], "[]", "unreadable-call", "/conversations/0/value"),
        ([turn("human", "a"), turn("robot", "b")], "[]", "wrong-layout", "/conversations/1/from"),
        ([turn("human", {"a": 1})], "[]", "wrong-layout", "/conversations/0/value"),
        (["a"], "[]", "wrong-layout", "/conversations/0"),
        ([], "[", "unreadable-tools", "/tools"),
        ([], "5", "unreadable-tools", "/tools"),
        ([], '[{"name": "f"}, 5]', "unreadable-tools", "/tools/1"),
        ([], '[{"name": "f", "description": 5}]', "unreadable-tools", "/tools/0"),
        (
            [],
            '[{"name": "f", "parameters": {"type": "object", "properties": 1.5}}]',
            "unreadable-tools",
            "/tools/0",
        ),
        ([turn([], "a")], "[]", "wrong-layout", "/conversations/0/from"),
    ],
)
def test_unreadable_row_is_rejected_with_rule_and_place(
    turns: list[Any], tools: Any, rule: str, where: str
) -> None:
    with pytest.raises(Rejected) as raised:
        read(turns, tools)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)


def test_layouts_are_told_apart_by_what_a_row_holds() -> None:
    assert detect_format({"system": "", "chat": ""}) == "glaive"
    assert detect_format({"conversations": [], "tools": "[]"}) == "sharegpt"


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"query": 1, "answers": 2}, "'query', 'answers'"),
        ({}, r"\(none\)"),
        ([1], "list"),
        (5, "int"),
    ],
)
def test_unknown_layout_error_has_the_keys_and_a_known_layout(row: Any, found: str) -> None:
    with pytest.raises(
        ValueError, match=f"found .*{found}.*README's layout is .*docs/data-formats.md"
    ):
        detect_format(row)


def test_a_misspelt_format_names_the_nearest_one() -> None:
    assert find_source("glaive") is SOURCES["glaive"]
    with pytest.raises(ValueError, match=r"no format 'sharegtp'; did you mean sharegpt\?"):
        find_source("sharegtp")


def test_tools_and_calls_between_tags_are_read() -> None:
    call = '<tool_call>\n{"arguments": {}, "name": "f"}\n</tool_call>'
    draft = read(
        [
            turn("system", f"Inside <tools></tools> tags: <tools> {TOOLS} </tools>"),
            turn("human", "a"),
            turn("gpt", f"One moment.\n{call}\n{call}"),
            turn("tool", "<tool_response>1</tool_response>\n<tool_response>2</tool_response>"),
            turn("gpt", "b"),
        ],
        None,
    )
    roles = [message.role for message in draft.conversation.messages]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert len(draft.conversation.messages[2].tool_calls) == 2
    assert [tool.name for tool in draft.conversation.tools] == ["f"]
    assert "description" not in draft.conversation.messages[0].content


@pytest.mark.parametrize(
    ("speakers", "roles"),
    [
        (["human", "function_call", "function"], ["user", "assistant", "tool"]),
        (["human", "function", "observation"], ["user", "assistant", "tool"]),
        (["user", "tool_call", "tool_response"], ["user", "assistant", "tool"]),
    ],
)
def test_function_turn_is_a_call_only_beside_observations(
    speakers: list[str], roles: list[str]
) -> None:
    draft = read([turn(speaker, '{"name": "f", "arguments": {}}') for speaker in speakers])
    assert [message.role for message in draft.conversation.messages] == roles
    assert draft.conversation.messages[1].tool_calls == (ToolCall("f", {}),)
    assert not draft.conversation.messages[2].tool_calls


def test_roles_and_contents_may_be_named_as_openai_does() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for value in (turns, json.dumps(turns)):
        draft = SOURCES["sharegpt"].read({"conversations": value, "functions": TOOLS})
        assert draft.conversation.messages == (Message("user", "a"), Message("assistant", "b"))
        assert [tool.name for tool in draft.conversation.tools] == ["f"]


def test_tools_may_stand_in_the_system_turn() -> None:
    first = {**turn("system", "Be brief."), "tools": json.dumps(TOOLS)}
    draft = read([first, turn("human", "a")], None)
    assert [tool.name for tool in draft.conversation.tools] == ["f"]
    assert draft.conversation.messages[0] == Message("system", "Be brief.")
