"""xLAM rows: a query, flat tools, and the calls that answer it."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from chat.schemas.validation import validate_arguments
from data.outcomes import Draft, Rejected
from data.reading import SOURCES, detect_format, read_rows

TOOLS = [
    {"name": "f", "description": "d", "parameters": {"a": {"type": "List[int]"}}},
    {"name": "now", "description": "d", "parameters": {}},
]
CALLS = [{"name": "f", "arguments": {"a": [1]}}, {"name": "now", "arguments": {}}]


def read(answers: Any, tools: Any = TOOLS, query: Any = "hello") -> Draft:
    row = {"id": 1, "query": query, "answers": answers, "tools": tools}
    assert detect_format(row) == "xlam"
    return SOURCES["xlam"].read(row)


@pytest.mark.parametrize("answers", [CALLS, json.dumps(CALLS), repr(CALLS)])
@pytest.mark.parametrize("tools", [TOOLS, json.dumps(TOOLS), repr(TOOLS)])
def test_calls_and_tools_may_be_lists_or_their_text(answers: Any, tools: Any) -> None:
    draft = read(answers, tools)
    calls = (ToolCall("f", {"a": [1]}), ToolCall("now", {}))
    assert draft.conversation.messages == (
        Message("user", "hello"),
        Message("assistant", tool_calls=calls),
    )
    assert [tool.name for tool in draft.conversation.tools] == ["f", "now"]
    assert draft.conversation.tools[0].parameters["required"] == ["a"]
    assert [change.rule for change in draft.changes] == ["call-syntax"] * (answers == repr(CALLS))


@pytest.mark.parametrize("answers", [[], "[]", " [] ", ""])
def test_no_call_is_an_empty_answer(answers: Any) -> None:
    assert read(answers).conversation.messages[1] == Message("assistant", "")


def test_answer_may_be_text_and_query_may_be_turns() -> None:
    assert read("No tool does that.").conversation.messages[1].content == "No tool does that."
    query = [{"role": "user", "content": "a"}, {"role": "agent", "content": "b"}]
    roles = [message.role for message in read(CALLS, query=query).conversation.messages]
    assert roles == ["user", "assistant", "assistant"]


@pytest.mark.parametrize(
    ("answers", "tools", "rule", "where"),
    [
        ('[{"name": "f", "arguments": {"a"', TOOLS, "unreadable-call", "/answers"),
        ('name": "f", "arguments": {}}]', TOOLS, "unreadable-call", "/answers"),
        ('[{"name": "f", "arguments": [1]}]', TOOLS, "unreadable-call", "/answers"),
        ([5], TOOLS, "unreadable-call", "/answers"),
        (CALLS, '[{"name"', "unreadable-tools", "/tools"),
        (CALLS, [{"name": "f", "parameters": {"a": 5}}], "unreadable-tools", "/tools/0"),
    ],
)
def test_unreadable_row_is_rejected_with_rule_and_place(
    answers: Any, tools: Any, rule: str, where: str
) -> None:
    with pytest.raises(Rejected) as raised:
        read(answers, tools)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)


def test_real_calls_fit_the_schemas_of_their_tools(shared: Path) -> None:
    rows = list(read_rows(shared / "xlam_function_calling_60k" / "xlam_rows.json"))
    assert len(rows) == 9
    for row in rows:
        found = SOURCES["xlam"].read(row.value).conversation
        tools = {tool.name: tool for tool in found.tools}
        for call in found.messages[1].tool_calls:
            assert validate_arguments(tools[call.name], call.arguments) == []


def test_a_thought_before_the_answers_is_told_apart() -> None:
    said = read(f"<think>Hm.</think>\n{json.dumps(CALLS)}").conversation.messages[-1]
    assert said == Message(
        "assistant",
        "<think>\nHm.\n</think>\n\n",
        (ToolCall("f", {"a": [1]}), ToolCall("now", {})),
    )
