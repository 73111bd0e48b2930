"""Calls and results that stand in the texts of a row, put where they belong."""

import json
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Draft, Rejected
from data.reading import SOURCES
from data.reading.marked_calls import MARKS
from data.reading.written_turns import SIGNS

PORT = {"type": "object", "properties": {"port": {"type": "string"}}}
TIDE = {"name": "find_tide", "description": "Finds a tide.", "parameters": PORT}
CALL = '{"name": "find_tide", "arguments": {"port": "Hull"}}'
MADE = (ToolCall("find_tide", {"port": "Hull"}),)


def read(*turns: dict[str, Any], **row: Any) -> Draft:
    return SOURCES["openai"].read({"messages": list(turns), "tools": [TIDE], **row})


def saying(content: str, **turn: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **turn}


def test_a_call_in_a_text_is_noted_with_its_place() -> None:
    draft = read(saying(f"I look.\n```json\n{CALL}\n```"))
    assert draft.conversation.messages == (Message("assistant", "I look.", MADE),)
    (change,) = draft.changes
    assert (change.rule, change.pointer) == ("written-call", "/messages/0/content")
    assert change.after["content"] == "I look." and change.after["calls"] == [json.loads(CALL)]


def test_a_call_that_cannot_be_read_rejects_the_row_with_its_place() -> None:
    with pytest.raises(Rejected) as raised:
        read({"role": "user", "content": "Tide?"}, saying("[find_tide(port=Hull)]"))
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-call", "/messages/1/content")


def test_a_call_beside_its_own_text_is_made_once() -> None:
    beside = [{"id": "c1", "type": "function", "function": json.loads(CALL)}]
    draft = read(saying(f"I look. <tool_call>{CALL}</tool_call>", tool_calls=beside))
    (message,) = draft.conversation.messages
    assert (message.content, len(message.tool_calls)) == ("I look.", 1)
    assert message.tool_calls[0].id == "c1"
    assert [change.rule for change in draft.changes] == ["written-call"]
    with pytest.raises(Rejected, match="calls otherwise"):
        read(saying(CALL.replace("Hull", "Bath"), tool_calls=beside))


def test_text_about_a_mark_stays_beside_calls() -> None:
    beside = [{"type": "function", "function": json.loads(CALL)}]
    for text in ("<tool_call> opens one.", "So: <tool_call>{...}"):
        (message,) = read(saying(text, tool_calls=beside)).conversation.messages
        assert (message.content, message.tool_calls) == (text, MADE)


def test_what_is_thought_of_is_not_called() -> None:
    thought = f"<think>\n<tool_call>{CALL}</tool_call>?\n</think>\n\n"
    (message,) = read(saying(thought + "Good morning.")).conversation.messages
    assert (message.content, message.tool_calls) == (thought + "Good morning.", ())
    (message,) = read(saying(thought + CALL)).conversation.messages
    assert (message.content, message.tool_calls) == (thought, MADE)


def test_the_texts_of_a_cleaned_row_are_texts() -> None:
    draft = read(saying(CALL), sha256="ab")
    assert draft.conversation.messages == (Message("assistant", CALL),)


def test_a_result_leaves_its_fence_only_after_a_fenced_call() -> None:
    fenced = {"role": "tool", "content": '```json\n[{"high": "14:20"}]\n```'}
    draft = read(saying(f"```json\n{CALL}\n```"), fenced)
    assert draft.conversation.messages[1].content == '[{"high": "14:20"}]'
    assert [change.rule for change in draft.changes] == ["written-call", "written-result"]
    draft = read(saying(f"<tool_call>{CALL}</tool_call>"), fenced)
    assert draft.conversation.messages[1].content == fenced["content"]
    two = {"role": "tool", "content": "```\na\n```\nand\n```\nb\n```"}
    assert read(saying(f"```\n{CALL}\n```"), two).conversation.messages[1].content == two["content"]


@pytest.mark.parametrize(
    "row",
    [
        {"query": "Tide?", "tools": [TIDE], "answers": '[find_tide(port="Hull")]'},
        {"query": "Tide?", "tools": [TIDE], "answers": f"[TOOL_CALLS] [{CALL}]"},
        {
            "query": "Tide?",
            "tools": [TIDE],
            "answers": '[{"tool": "find_tide", "parameters": {"port": "Hull"}}]',
        },
    ],
)
def test_answers_are_read_in_other_notations(row: dict[str, Any]) -> None:
    assert SOURCES["xlam"].read(row).conversation.messages[1].tool_calls == MADE


def test_the_steps_of_react_become_turns() -> None:
    step = 'Thought: I look.\nAction: find_tide\nAction Input: {"port": "Hull"}'
    last = saying("Thought: I know.\nFinal Answer: At 14:20.")
    said = {"role": "user", "content": "Observation: 14:20"}
    draft = read(saying(step), said, last)
    assert draft.conversation.messages == (
        Message("assistant", "<think>\nI look.\n</think>\n\n", MADE),
        Message("tool", "14:20"),
        Message("assistant", "<think>\nI know.\n</think>\n\nAt 14:20."),
    )
    rules = [change.rule for change in draft.changes]
    assert rules == ["written-call", "written-result", "written-answer"]
    # Without steps before them these are words.
    messages = read(said, last).conversation.messages
    assert [message.content for message in messages] == [said["content"], last["content"]]


def test_a_users_turn_of_responses_is_results_after_calls_alone() -> None:
    said = {"role": "user", "content": "<tool_response>\n14:20\n</tool_response>"}
    assert read(said).conversation.messages == (Message("user", said["content"]),)
    called = saying(f"<tool_call>{CALL}</tool_call>")
    assert read(called, said).conversation.messages[1:] == (Message("tool", "14:20"),)
    asked = {"role": "user", "content": f"What does {said['content']} say?"}
    assert read(called, asked).conversation.messages[1].role == "user"


def test_a_turn_of_a_call_may_have_any_notation() -> None:
    for value in ('[find_tide(port="Hull")]', f"<tool_call>{CALL}</tool_call>", CALL):
        row = {"conversations": [{"from": "function_call", "value": value}], "tools": [TIDE]}
        assert SOURCES["sharegpt"].read(row).conversation.messages[0].tool_calls == MADE


def test_rows_of_glaive_may_call_in_other_notations() -> None:
    system = "SYSTEM: You are a helpful assistant with access to the following functions. "
    system += f"Use them if required -\n{json.dumps(TIDE)}"
    chat = f"USER: Tide?\n\n\nASSISTANT: {CALL} <|endoftext|>"
    draft = SOURCES["glaive"].read({"system": system, "chat": chat})
    assert draft.conversation.messages[1].tool_calls == MADE


def test_every_mark_of_a_call_holds_a_sign_that_is_looked_for() -> None:
    assert all(any(sign in mark for sign in SIGNS) for mark in MARKS)
