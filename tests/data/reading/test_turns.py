"""Turns become messages: every role, content, call and result that data sets write."""

import json
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Draft, Rejected
from data.reading.declarations import Declarations
from data.reading.layout import draft
from data.reading.turns import END, Style, read_turns

CALL = {"name": "f", "arguments": {"a": 1}}
CALLED = Message("assistant", "", (ToolCall("f", {"a": 1}),))


def read(*turns: Any) -> Draft:
    return draft(read_turns(list(turns), "/messages"), Declarations())


def one(turn: dict[str, Any]) -> Message:
    (message,) = read(turn).conversation.messages
    return message


def assistant(**turn: Any) -> dict[str, Any]:
    return {"role": "assistant", **turn}


@pytest.mark.parametrize(
    ("role", "read"),
    [
        ("user", "user"),
        ("Human", "user"),
        ("system", "system"),
        ("developer", "system"),
        ("assistant", "assistant"),
        ("gpt", "assistant"),
        ("model", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
        ("observation", "tool"),
        ("FUNCTION RESPONSE", "tool"),
        ("tool-response", "tool"),
    ],
)
@pytest.mark.parametrize("keys", [("role", "content"), ("from", "value"), ("role", "text")])
def test_roles_and_keys_have_many_names(role: str, read: str, keys: tuple[str, str]) -> None:
    found = one({keys[0]: role, keys[1]: "hello"})
    assert (found.role, found.content) == (read, "hello")


@pytest.mark.parametrize(
    "turn",
    [
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": "function-call", "value": CALL},
        {"role": "tool_call", "content": [CALL]},
        {"role": "tool_call", "content": f"<functioncall> {json.dumps(CALL)} <|endoftext|>"},
        assistant(tool_calls=[CALL]),
        assistant(content=None, tool_calls=[{"type": "function", "function": CALL}]),
        assistant(content=None, tool_calls=[{"name": "f", "parameters": {"a": 1}}]),
        assistant(tool_calls=json.dumps([CALL])),
        assistant(content=None, tool_calls=None, function_call=CALL),
        assistant(function_call={"name": "f", "arguments": '{"a": 1}'}),
        assistant(content=[{"type": "tool_call", "value": json.dumps(CALL)}]),
        assistant(content=[{"type": "tool_use", "name": "f", "input": {"a": 1}}]),
        assistant(content=f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"),
        assistant(content=f"<functioncall> {json.dumps(CALL)} <|endoftext|>"),
        assistant(content="""<functioncall> {"name": "f", "arguments": '{"a": 1}'}"""),
    ],
)
def test_a_call_is_the_same_wherever_it_stands(turn: dict[str, Any]) -> None:
    assert read(turn).conversation.messages == (CALLED,)
    assert read(turn).changes == ()


def test_text_stands_beside_calls_and_calls_keep_their_ids() -> None:
    calls = [{"id": "c1", "function": CALL}, {"id": "c2", "function": {**CALL, "name": "g"}}]
    found = one(assistant(content="One moment.", tool_calls=calls))
    assert found.content == "One moment."
    assert [(call.name, call.id) for call in found.tool_calls] == [("f", "c1"), ("g", "c2")]
    blocks = "".join(f"<tool_call>{json.dumps(CALL)}</tool_call>\n" for _ in range(2))
    found = one(assistant(content=f"One moment.\n{blocks}"))
    assert (found.content, len(found.tool_calls)) == ("One moment.", 2)


def test_a_mended_call_is_noted_with_its_place() -> None:
    twice = {"name": "f", "arguments": json.dumps(json.dumps({"a": 1}))}
    (change,) = read({"role": "user"}, assistant(tool_calls=[twice])).changes
    assert (change.rule, change.pointer) == ("call-syntax", "/messages/1/tool_calls")
    assert change.before == [twice] and change.after == [CALL]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("a", "a"),
        ([], ""),
        (["a ", "b"], "a b"),
        ([{"type": "text", "text": "a"}, {"type": "text", "value": "b"}], "ab"),
        ([{"type": "input_text", "text": "a"}], "a"),
        ([{"text": "a"}], "a"),
    ],
)
def test_content_may_be_missing_text_or_parts(content: Any, text: str) -> None:
    assert one({"role": "user", "content": content}).content == text
    assert one({"role": "user"}).content == ""


@pytest.mark.parametrize(
    "turn",
    [
        assistant(
            content=[{"type": "reasoning", "value": "Hm."}, {"type": "text", "value": "Hi."}]
        ),
        assistant(content=[{"type": "thinking", "thinking": "Hm."}, "Hi."]),
        assistant(content="Hi.", reasoning_content="Hm."),
        assistant(content="Hi.", reasoning={"text": "Hm."}),
        assistant(content="Hi.", reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]),
        assistant(content="Hi.", reasoning="Hm.", reasoning_content="Hm."),
        assistant(content="<think>\nHm.\n</think>\n\nHi.", reasoning_content="Hm."),
    ],
)
def test_thoughts_stand_before_the_answer_whatever_held_them(turn: dict[str, Any]) -> None:
    assert one(turn).content == "<think>\nHm.\n</think>\n\nHi."


@pytest.mark.parametrize(
    ("marks", "trained"),
    [({}, True), ({"weight": 1}, True), ({"weight": 0}, False), ({"trained": False}, False)],
)
def test_a_turn_of_weight_zero_is_not_learnt(marks: dict[str, Any], trained: bool) -> None:
    found = read(assistant(content="a", **marks))
    assert found.conversation.messages == (Message("assistant", "a", trained=trained),)
    assert found.changes == ()


def test_refusal_becomes_content() -> None:
    assert one(assistant(content=None, refusal="No.")).content == "No."


def test_results_keep_their_name_and_the_id_of_their_call() -> None:
    turn = {"role": "tool", "content": {"a": [1]}, "name": "f", "tool_call_id": "c1"}
    assert one(turn) == Message("tool", '{"a": [1]}', name="f", tool_call_id="c1")
    turn = {"role": "tool", "content": [{"type": "text", "text": "a"}]}
    assert one(turn) == Message("tool", "a")
    assert one({"role": "tool", "content": [1, 2]}).content == "[1, 2]"


def test_several_results_in_a_turn_are_several_messages() -> None:
    listed = [{"tool_call_id": f"c{i}", "name": "f", "content": f"r{i}"} for i in (1, 2)]
    assert read({"role": "tool", "content": json.dumps(listed)}).conversation.messages == (
        Message("tool", "r1", name="f", tool_call_id="c1"),
        Message("tool", "r2", name="f", tool_call_id="c2"),
    )
    named = json.dumps([{"name": "f", "content": {"r": i}} for i in (1, 2)])
    blocks = "".join(f"<tool_call>{json.dumps(CALL)}</tool_call>" for _ in range(2))
    for calling in (assistant(tool_calls=[CALL, CALL]), assistant(content=blocks)):
        found = read(calling, {"role": "tool", "content": named}).conversation.messages[1:]
        assert [(m.name, m.content) for m in found] == [("f", '{"r": 1}'), ("f", '{"r": 2}')]
    responses = "<tool_response>\nr1\n</tool_response>\n<tool_response>r2</tool_response>"
    messages = read({"from": "tool", "value": responses}).conversation.messages
    assert [message.content for message in messages] == ["r1", "r2"]


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "tool", "content": '[{"name": "a.txt", "content": "text"}]'},
        {"role": "tool", "content": '[{"name": "f", "content": 1}, {"name": "f", "content": 2}]'},
        {"role": "tool", "tool_call_id": "c1", "content": '[{"name": "f", "content": 1}]'},
        {"role": "tool", "name": "f", "content": '[{"name": "f", "content": 1}]'},
        {"role": "tool", "content": '[{"name": "f"}]'},
        {"role": "tool", "content": "[<tool_response>1</tool_response>]"},
    ],
)
def test_a_list_of_records_is_one_result(turn: dict[str, Any]) -> None:
    result = read(assistant(tool_calls=[CALL]), turn).conversation.messages[1:]
    assert [message.content for message in result] == [turn["content"]]


def test_markers_in_user_turns_are_text() -> None:
    text = "What is <tool_call> or <functioncall>? <|endoftext|>"
    assert one({"role": "user", "content": text}) == Message("user", text)


def test_an_end_mark_of_the_layout_is_no_text() -> None:
    found = read_turns([assistant(content="a <|endoftext|> ")], "/m", Style(end=END))
    assert found.messages[0].content == "a"


@pytest.mark.parametrize("key", ["tool", "tool_name", "function_name", "recipient_name", "action"])
def test_a_calls_name_has_many_keys(key: str) -> None:
    assert one(assistant(tool_calls=[{key: "f", "parameters": {"a": 1}}])) == CALLED


def test_what_stands_beside_a_call_does_no_harm() -> None:
    beside = {"index": 0, "status": "completed", "extra_content": {"a": 1}}
    function = {**CALL, "parsed_arguments": {"a": 1}}
    assert one(assistant(tool_calls=[{**beside, "function": function}])) == CALLED
    with pytest.raises(Rejected, match="found 'city' too"):
        one(assistant(tool_calls=[{**CALL, "city": "Hull"}]))


@pytest.mark.parametrize(
    ("turn", "rule", "where"),
    [
        ("a", "wrong-layout", "/messages/0"),
        ({"role": "robot", "content": "a"}, "wrong-layout", "/messages/0/role"),
        ({"role": None, "content": "a"}, "wrong-layout", "/messages/0/role"),
        ({"content": "a"}, "wrong-layout", "/messages/0/role"),
        ({"from": 5, "value": "a"}, "wrong-layout", "/messages/0/from"),
        ({"role": "user", "content": 5}, "wrong-layout", "/messages/0/content"),
        ({"role": "user", "content": {"a": 1}}, "wrong-layout", "/messages/0/content"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
            "wrong-layout",
            "/messages/0/content/0",
        ),
        (assistant(tool_calls=[{"name": "f"}, 5]), "unreadable-call", "/messages/0/tool_calls"),
        (
            assistant(function_call={"name": "f", "arguments": '{"a": '}),
            "unreadable-call",
            "/messages/0/function_call",
        ),
        (
            assistant(tool_calls=[{"name": "f", "arguments": None}]),
            "unreadable-call",
            "/messages/0/tool_calls",
        ),
        (
            assistant(tool_calls=[{"function": {"name": "python", "arguments": "l.remove(4)"}}]),
            "unreadable-call",
            "/messages/0/tool_calls",
        ),
        (assistant(content='<tool_call>{"name"'), "unreadable-call", "/messages/0/content"),
        ({"from": "function_call", "value": None}, "unreadable-call", "/messages/0/value"),
    ],
)
def test_unreadable_turn_is_rejected_with_its_place(turn: Any, rule: str, where: str) -> None:
    with pytest.raises(Rejected) as raised:
        read(turn)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)


def test_turns_may_be_the_json_text_of_a_list() -> None:
    assert read_turns('[{"role": "user", "content": "a"}]', "/m").messages == (
        Message("user", "a"),
    )
    for value in ("[", '{"a": 1}', 5, None):
        with pytest.raises(Rejected, match="list"):
            read_turns(value, "/m")
