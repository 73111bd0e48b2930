"""Cleaning rules, one by one: what each repairs, what each rejects, and where."""

from dataclasses import replace
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from data.cleaning.rules import MEANINGS, RULES
from data.cleaning.turn_rules import MOST_TURNS, limited_turns, whole_assistants
from data.outcomes import Draft, Rejected

ADD = Tool(
    "add",
    "Add two numbers",
    {
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": "number"},
            "unit": {"type": "string", "enum": ["cm", "in"]},
        },
        "required": ["a", "b"],
    },
)
NOW = Tool("now", "The time", {"type": "object", "properties": {}})

USER = Message("user", "hello")
TEXT = Message("assistant", "hi")
ADDED = Message("tool", "3")


def call(name: str = "add", **arguments: Any) -> Message:
    if name == "add" and not arguments:
        arguments = {"a": 1, "b": 2}
    return Message("assistant", tool_calls=(ToolCall(name, arguments),))


def apply(*messages: Message, tools: tuple[Tool, ...] = (ADD, NOW)) -> Draft:
    draft, changes = Draft(Conversation(messages, tools)), ()
    for rule in RULES:
        draft = rule(draft.conversation)
        changes += draft.changes
    return replace(draft, changes=changes)


def rejection(*messages: Message, tools: tuple[Tool, ...] = (ADD, NOW)) -> Rejected:
    with pytest.raises(Rejected) as raised:
        apply(*messages, tools=tools)
    assert MEANINGS[raised.value.rule].startswith("rejected: ")
    return raised.value


@pytest.mark.parametrize(
    "messages",
    [
        (USER, TEXT),
        (USER, TEXT, USER, TEXT),
        (Message("system", "Be brief."), USER, TEXT),
        (USER, call(), ADDED, TEXT),
        (USER, call()),
        (USER, call(), ADDED, call(), ADDED, call(), ADDED, TEXT),
        (USER, call(), Message("tool", ""), TEXT),
        (USER, call(), Message("tool", '{"error": "b is no number"}'), call(), ADDED, TEXT),
        (USER, Message("assistant", "One moment.", call().tool_calls), ADDED, TEXT),
        (USER, Message("assistant", "", call().tool_calls * 2), ADDED, ADDED, TEXT),
        (USER, call("now"), Message("tool", "noon"), TEXT),
        (USER, USER, TEXT),
    ],
)
def test_sound_conversation_is_unchanged(messages: tuple[Message, ...]) -> None:
    draft = apply(*messages)
    assert draft == Draft(Conversation(messages, (ADD, NOW)))


@pytest.mark.parametrize(
    ("messages", "kept", "rule"),
    [
        ((USER, TEXT, USER), 2, "unanswered-ending"),
        ((USER, TEXT, USER, USER), 2, "unanswered-ending"),
        ((USER, call(), ADDED), 2, "unanswered-ending"),
        ((USER, TEXT, Message("system", "bye")), 2, "unanswered-ending"),
        ((USER, TEXT, Message("user", " \n")), 2, "empty-ending"),
    ],
)
def test_messages_after_the_last_assistant_turn_are_cut_off(
    messages: tuple[Message, ...], kept: int, rule: str
) -> None:
    draft = apply(*messages)
    assert draft.conversation.messages == messages[:kept]
    (change,) = draft.changes
    assert (change.rule, change.pointer, change.after) == (rule, f"/messages/{kept}", [])
    assert [m["role"] for m in change.before] == [m.role for m in messages[kept:]]


def test_empty_last_answer_is_cut_off_with_its_question() -> None:
    draft = apply(USER, TEXT, USER, Message("assistant", " "))
    assert draft.conversation.messages == (USER, TEXT)
    assert [change.rule for change in draft.changes] == ["empty-ending", "unanswered-ending"]


def test_repeated_tool_is_dropped_and_conflicting_one_rejected() -> None:
    draft = apply(USER, TEXT, tools=(ADD, NOW, ADD))
    assert draft.conversation.tools == (ADD, NOW)
    (change,) = draft.changes
    assert (change.rule, change.pointer, change.after) == ("repeated-tool", "/tools/2", None)
    assert change.before["function"]["name"] == "add"
    other = replace(ADD, description="Something else")
    reason = rejection(USER, TEXT, tools=(ADD, other))
    assert (reason.rule, reason.pointer) == ("conflicting-tools", "/tools/1")


def test_text_and_the_call_directly_after_it_become_one_turn() -> None:
    draft = apply(USER, Message("assistant", "One moment."), call(), ADDED, TEXT)
    joined = Message("assistant", "One moment.", call().tool_calls)
    assert draft.conversation.messages == (USER, joined, ADDED, TEXT)
    (change,) = draft.changes
    assert (change.rule, change.pointer) == ("split-assistant", "/messages/1")
    assert len(change.before) == 2 and change.after["content"] == "One moment."


def test_split_assistant_turns_are_joined_in_one_repair() -> None:
    said, call = Message("assistant", "I look."), Message("assistant", "", (ToolCall("f", {}),))
    result = Message("tool", "1")
    draft = whole_assistants(Conversation((said, call, call, call, result, result, result)))
    first, *_ = draft.conversation.messages
    assert (first.content, len(first.tool_calls), len(draft.conversation.messages)) == (
        "I look.",
        3,
        4,
    )
    (change,) = draft.changes
    assert (change.pointer, len(change.before), change.after) == (
        "/messages/0",
        4,
        first.to_record(),
    )


def test_only_consecutive_calls_with_results_are_joined() -> None:
    said, call = Message("assistant", "I look."), Message("assistant", "", (ToolCall("f", {}),))
    result = Message("tool", "1")
    draft = whole_assistants(Conversation((said, call, call, call, result, result)))
    shape = [(m.role, len(m.tool_calls)) for m in draft.conversation.messages]
    assert shape == [("assistant", 1), ("assistant", 2), ("tool", 0), ("tool", 0)]
    assert [change.pointer for change in draft.changes] == ["/messages/0", "/messages/1"]


def test_conversation_with_too_many_turns_is_rejected() -> None:
    turns = (Message("user", "x"), Message("assistant", "y")) * (MOST_TURNS // 2)
    assert limited_turns(Conversation(turns)).conversation.messages == turns
    with pytest.raises(Rejected, match="too-many-turns"):
        limited_turns(Conversation((*turns, turns[0])))


def test_conversation_of_too_many_calls_is_rejected_by_name() -> None:
    calls = (ToolCall("f", {}),) * (MOST_TURNS + 1)
    with pytest.raises(Rejected, match=r"too-many-turns.*100,001 calls, at most 100,000 are read"):
        limited_turns(Conversation((Message("user", "x"), Message("assistant", "", calls))))
    limited_turns(Conversation((Message("user", "x"), Message("assistant", "", calls[1:]))))


def test_consecutive_calls_with_one_result_each_become_parallel_calls() -> None:
    draft = apply(USER, call(a=1, b=2), call("now"), ADDED, Message("tool", "noon"), TEXT)
    calls = call(a=1, b=2).tool_calls + call("now").tool_calls
    assert draft.conversation.messages[1] == Message("assistant", "", calls)
    assert rejection(USER, call(), call(), ADDED, TEXT).rule == "two-assistants"


@pytest.mark.parametrize(
    ("messages", "rule", "where"),
    [
        ((), "no-assistant", "/messages"),
        ((USER,), "no-assistant", "/messages"),
        ((USER, Message("assistant", "")), "no-assistant", "/messages"),
        ((USER, Message("assistant", " "), USER, TEXT), "empty-turn", "/messages/1"),
        ((Message("user", ""), TEXT), "empty-turn", "/messages/0"),
        ((USER, ADDED, TEXT), "result-without-call", "/messages/1"),
        ((USER, TEXT, ADDED, TEXT), "result-without-call", "/messages/2"),
        ((USER, call(), ADDED, ADDED, TEXT), "result-without-call", "/messages/3"),
        ((USER, call(), USER, TEXT), "call-without-result", "/messages/1"),
        ((USER, TEXT, USER, ADDED, TEXT), "result-without-call", "/messages/3"),
        ((USER, TEXT, TEXT), "two-assistants", "/messages/2"),
        ((USER, call(), TEXT), "two-assistants", "/messages/2"),
        ((USER, Message("user", "\ud800"), TEXT), "invalid-text", "/messages/1"),
        ((USER, call(a=float("nan"), b=1)), "invalid-text", "/messages/1"),
    ],
)
def test_turns_unusable_for_training_are_rejected_with_their_place(
    messages: tuple[Message, ...], rule: str, where: str
) -> None:
    reason = rejection(*messages)
    assert (reason.rule, reason.pointer) == (rule, where)


@pytest.mark.parametrize(
    ("message", "where", "says"),
    [
        (call(a=1), "", "required: 'b' is a required property"),
        (call(a=1, b="two"), "/b", "type: 'two' is not of type 'number'"),
        (call(a=1, b=2, c=3), "/c", "undeclared: add has no parameter c"),
        (call(a=1, b=2, unit="ft"), "/unit", "enum: 'ft' is not one of"),
        (call("now", zone="UTC"), "/zone", "undeclared: now has no parameter zone"),
    ],
)
def test_arguments_that_do_not_fit_their_schema_are_rejected(
    message: Message, where: str, says: str
) -> None:
    reason = rejection(USER, message, ADDED, TEXT)
    place = f"/messages/1/tool_calls/0/function/arguments{where}"
    assert (reason.rule, reason.pointer) == ("invalid-arguments", place)
    assert reason.reason.startswith(says) and message.tool_calls[0].name in reason.excerpt


def test_undeclared_function_error_lists_the_declared_ones() -> None:
    reason = rejection(USER, call("subtract"), ADDED, TEXT)
    assert reason.rule == "undeclared-function"
    assert reason.pointer == "/messages/1/tool_calls/0/function/name"
    assert reason.reason == "subtract is not declared (add, now is)"
    assert "no function is" in rejection(USER, call(), tools=()).reason


def test_invalid_schema_of_an_uncalled_tool_is_rejected() -> None:
    broken = Tool("broken", "", {"type": "object", "properties": {"a": {"type": "numbr"}}})
    reason = rejection(USER, TEXT, tools=(ADD, broken))
    assert (reason.rule, reason.pointer) == ("invalid-schema", "/tools/1/function/parameters")
